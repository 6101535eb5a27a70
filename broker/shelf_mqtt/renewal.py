"""Renews a device's certificate before it ends: one thread, every step of which has a deadline."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from shelf_mqtt.enrolment import EnrolmentFailed, renew
from shelf_mqtt.identity import now_utc, read_validity

log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 3600.0  # clocks jump: ask the calendar again at least this often
_SHORTEST_WAIT_S = 1.0


class CertificateRenewal:
    """Watches the certificate in ``folder``; ``on_renewed`` is called on its thread after each renewal.

    A renewal that fails is tried again, at least ten times before the certificate ends.

    Attributes:
        renewals, failures: since the start.
    """

    def __init__(self, folder: Path, on_renewed: Callable[[], None], *, now: Callable[[], datetime] = now_utc) -> None:
        self._folder = folder
        self._on_renewed = on_renewed
        self._now = now
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="certificate-renewal", daemon=True)
        self.renewals = 0
        self.failures = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Idempotent; a request under way is left behind after the timeout (it ends by its own deadline)."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.wait(self._wait_s()):
            if not self._is_due():
                continue
            try:
                validity = renew(self._folder)
            except EnrolmentFailed as failure:
                self.failures += 1
                log.warning("the certificate in %s was not renewed and will be tried again: %s", self._folder, failure)
                continue
            self.renewals += 1
            log.info("the certificate in %s was renewed; valid until %s", self._folder, validity.ends.isoformat())
            try:
                self._on_renewed()
            except Exception:  # the caller's mistake must not end the renewals
                log.exception("what follows a renewal failed")

    def _is_due(self) -> bool:
        try:
            return self._now() >= read_validity(self._folder).renew_from
        except (OSError, ValueError):
            return False

    def _wait_s(self) -> float:
        try:
            validity = read_validity(self._folder)
        except (OSError, ValueError) as error:
            log.warning("%s: no certificate can be read: %s", self._folder, error)
            return _LONGEST_WAIT_S
        until_due_s = (validity.renew_from - self._now()).total_seconds()
        if until_due_s <= 0:  # due, or tried in vain
            until_due_s = (validity.ends - validity.renew_from).total_seconds() / 12
        return min(_LONGEST_WAIT_S, max(_SHORTEST_WAIT_S, until_due_s))
