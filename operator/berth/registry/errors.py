"""What can go wrong between Berth and a registry, as types. Each text is one sentence. No I/O."""

from __future__ import annotations


class RegistryError(Exception):
    """A request that a registry (or `access`, on the way to one) did not carry out. `status` is 0 without an answer."""

    def __init__(self, sentence: str, *, status: int = 0) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class RegistryUnavailableError(RegistryError):
    """No answer, or one that asks to try again later (429, 5xx)."""


class RegistryRefusedError(RegistryError):
    """An answer that trying again will not change: the token was refused (401, 403), or the request itself."""
