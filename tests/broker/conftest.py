"""A configuration for each broker on a free port, and raw clients to ask what really arrives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shelf_broker.config import BrokerConfig
from shelf_broker.errors import BrokerMissing
from shelf_broker.launcher import find_program
from shelf_testing.sessions import eventually, open_session, unused_port  # noqa: F401 - fixtures


@pytest.fixture
def broker_config(tmp_path: Path, unused_port: int) -> Callable[..., BrokerConfig]:  # noqa: F811 - the fixture
    def build(kind: str, **settings: Any) -> BrokerConfig:
        config = BrokerConfig.model_validate(
            {"kind": kind, "port": unused_port, "state": tmp_path / "state", **settings}
        )
        try:
            find_program(config)
        except BrokerMissing as missing:
            pytest.skip(str(missing))
        return config

    return build
