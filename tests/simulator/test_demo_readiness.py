"""What somebody reads when a part of the demo does not get ready."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shelf_simulator.demo.children import Children, ChildSpec
from shelf_simulator.demo.readiness import NotReady, wait_until


@pytest.mark.parametrize(("load", "is_busy"), [(0.5, False), (400.0, True)])
def test_a_part_that_is_not_ready_in_time_shows_its_log_and_whether_the_machine_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: float, is_busy: bool
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    with Children(tmp_path) as children:
        child = children.start(ChildSpec("collector", "http.server", ("0", "--bind", "127.0.0.1")))
        with pytest.raises(NotReady) as problem:
            wait_until("the collector", lambda: False, children, 0.3, lambda: False)
    said = str(problem.value)
    assert said.startswith("the collector is not ready after 0.3 s")
    assert f"the end of {child.log_path}:" in said
    assert ("load 400.0 on 2 cores" in said) == is_busy
