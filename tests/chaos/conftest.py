"""Sessions on real brokers."""

from __future__ import annotations

from shelf_testing.sessions import eventually, open_session, unused_port  # noqa: F401 - fixtures
