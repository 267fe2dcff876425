"""The write probe of a registry."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from berth.registry.client import RegistryClient
from berth.registry.errors import RegistryError
from berth.registry.token_source import TokenSource
from berth.status.observed import ObservedProbe, ProbeOutcome


class RegistryProber:
    """Probes registries with tokens from access. `base` returns the URL of a project's registry."""

    def __init__(self, session: aiohttp.ClientSession, tokens: TokenSource, base: Callable[[str], str]) -> None:
        self._session = session
        self._tokens = _AccessProblems(tokens)
        self._base = base

    async def __call__(self, project_id: str) -> ObservedProbe | None:
        """Probe one registry. None when access gives no token, so that nothing is known about the registry."""
        client = RegistryClient(self._session, self._base(project_id), self._tokens)
        try:
            await client.probe_write(project_id)
        except _NoTokenError:
            return None
        except RegistryError as error:
            return ObservedProbe(_outcome(error.status), error.sentence)
        return ObservedProbe(ProbeOutcome.WRITTEN)


def _outcome(status: int) -> ProbeOutcome:
    """The outcome of a failed probe by its HTTP status; by default the registry cannot write or read."""
    if status in (401, 403):
        return ProbeOutcome.REFUSED
    if status in (0, 429):
        return ProbeOutcome.UNREACHABLE
    return ProbeOutcome.NOT_WRITABLE


class _NoTokenError(Exception):
    """Access did not issue a token."""


class _AccessProblems:
    """A token source with an error of its own, so that it is not mistaken for an error of a registry."""

    def __init__(self, tokens: TokenSource) -> None:
        self._tokens = tokens

    async def token(self, scopes: tuple[str, ...]) -> str | None:
        try:
            return await self._tokens.token(scopes)
        except RegistryError as error:
            raise _NoTokenError(error.sentence) from error

    def forget(self, scopes: tuple[str, ...]) -> None:
        self._tokens.forget(scopes)
