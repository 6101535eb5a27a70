"""One demo shop for all end-to-end tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shelf_testing.demo import OpenDemo, free_port, open_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDemo]:
    opened = open_demo(tmp_path_factory.mktemp("demo") / "run", "--port", str(free_port()))
    yield opened
    if opened.process.poll() is None:
        opened.stop()
    assert opened.process.stderr is not None
    opened.process.stderr.close()
