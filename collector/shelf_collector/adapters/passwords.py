"""Passwords as argon2id hashes (RFC 9106), and secrets that are drawn once and kept as a hash only."""

from __future__ import annotations

import hashlib
import secrets
import threading

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

_AT_ONCE = 2
_SECRET_BYTES = 32


class Passwords:
    """Hashes and checks; at most two at once, so that a flood of guesses can take 128 MiB and no more.

    Args:
        hasher: how dear a guess is; by default 3 passes over 64 MiB, about 0.1 s.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1, type=Type.ID)
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._nobodys = self._hasher.hash(secrets.token_urlsafe(_SECRET_BYTES))

    def hash(self, password: str) -> str:
        """What is stored; another one each time."""
        with self._slots:
            return self._hasher.hash(password)

    def is_right(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one. For somebody unknown (None) it takes as long, and is never right."""
        with self._slots:
            try:
                return self._hasher.verify(stored or self._nobodys, password) and stored is not None
            except (VerificationError, InvalidHashError):
                return False

    def is_dated(self, stored: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)


def new_secret() -> str:
    """256 random bits as text that fits into an address."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def secret_hash(secret: str) -> str:
    """What is stored of a secret. Plain SHA-256 is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
