"""Errors of requests to a registry. Each text is one sentence. No I/O."""

from __future__ import annotations


class RegistryError(Exception):
    """A failed request to a registry, or to `access` for its token. `status` is 0 without a response."""

    def __init__(self, sentence: str, *, status: int = 0) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class RegistryUnavailableError(RegistryError):
    """No response, or one that requests a retry (429, 5xx)."""


class RegistryRefusedError(RegistryError):
    """A final refusal: of the token (401, 403) or of the request itself."""
