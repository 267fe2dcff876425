"""A password hasher that a test holds back."""

from __future__ import annotations

import threading
from typing import Literal

import argon2


class GatedHasher(argon2.PasswordHasher):
    """A hasher that counts, and waits for a gate to open."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verifications = 0
        self.open = threading.Event()
        self.open.set()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.verifications += 1
        assert self.open.wait(30)
        return super().verify(hash, password)
