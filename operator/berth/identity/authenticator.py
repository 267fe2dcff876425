"""Proving who is asking at `/token`.

The password is first tried as a token, and then the user name means nothing: an `AccessToken`, a ServiceAccount token
of the cluster, a token of a configured identity provider. Then it is a password. What an identity may, and whether
its credential still holds, is judged on the present policy by whoever gets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from berth.api.names import AUDIENCE_ACCESS
from berth.api.reasons import Reason
from berth.api.sharing import SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import ANONYMOUS, CredentialKind, Identity, Snapshot
from berth.authz.token_format import is_token, token_sha256
from berth.identity.credentials import Basic
from berth.identity.failure_delay import FailureDelay
from berth.identity.jwks import TooManyWaitersError
from berth.identity.login_limits import LoginLimits, TooManyAttemptsError
from berth.identity.oidc import IssuerUnavailableError, OidcLogins, unverified_issuer
from berth.identity.passwords import Passwords, TooBusyError
from berth.identity.service_account import (
    KeysPendingError,
    OtherAudienceError,
    ServiceAccountTokenError,
    ServiceAccountVerifier,
    TokenExpiredError,
)

PROBING: Final = frozenset({TokenScope.VIEW, TokenScope.DOWNLOAD, TokenScope.MODIFY})
"""The operator uploads a small blob to each registry and reads it back."""
READING: Final = frozenset({TokenScope.VIEW, TokenScope.DOWNLOAD})
"""The catalog lists repositories and tags and reads manifests."""

_BUSY_SECONDS: Final = 2  # until there is room again among the passwords that wait to be verified


@dataclass(frozen=True, slots=True)
class Proof:
    """What credentials proved. `retry_after` is in seconds, and set when there were too many tries."""

    identity: Identity
    retry_after: int = 0


def failed(reason: Reason, name: str = "") -> Identity:
    """Somebody whose credentials were given and refused for this reason. `name` is whom or what it is about."""
    return Identity(credential=CredentialKind.FAILED, name=name, failure=reason)


class Authenticator:
    """Turns credentials into an identity; never raises for what a client sent.

    `own_processes` are the ServiceAccounts of Berth's own processes that get registry tokens, as `namespace/name`, and
    what each may use them for; `token_audience` is what the ServiceAccount tokens of everybody else are made for.
    """

    def __init__(
        self,
        *,
        verifier: ServiceAccountVerifier,
        own_processes: Mapping[str, frozenset[TokenScope]],
        token_audience: str,
        oidc: OidcLogins,
        passwords: Passwords,
        attempts: LoginLimits,
        failures: FailureDelay,
    ) -> None:
        self._verifier = verifier
        self._own_processes = own_processes
        self._token_audience = token_audience
        self._oidc = oidc
        self._passwords = passwords
        self._attempts = attempts
        self._failures = failures

    async def keep_keys(self) -> None:
        """Keep the keys that tokens are verified by: the cluster's, and each identity provider's. For ever."""
        async with asyncio.TaskGroup() as keepers:
            keepers.create_task(self._verifier.keep(), name="keys of the cluster")
            keepers.create_task(self._oidc.keep(), name="keys of identity providers")

    async def identify(self, basic: Basic | None, snapshot: Snapshot, source: str) -> Proof:
        """The identity that these credentials prove; without any, nobody. `source` is the address they come from."""
        if basic is None or not (basic.user or basic.password):
            return Proof(ANONYMOUS)
        if is_token(basic.password):
            return Proof(_access_token(basic.password, snapshot))
        issuer = unverified_issuer(basic.password)
        of_cluster = bool(issuer) and issuer == self._verifier.issuer
        if not of_cluster and not self._oidc.knows(issuer):
            return await self._password(basic, snapshot, source)
        try:
            login = self._cluster_login if of_cluster else self._oidc_login
            return Proof(await login(basic.password, issuer))
        except (TooManyWaitersError, KeysPendingError) as full:
            return Proof(failed(Reason.TOO_MANY_ATTEMPTS), full.retry_after)

    async def _cluster_login(self, token: str, issuer: str) -> Identity:
        """With a token that says it is the cluster's: whose it is depends on whom it is meant for."""
        try:
            return await self._service_account(token)
        except TokenExpiredError as over:
            return failed(Reason.TOKEN_EXPIRED, over.account)
        except OtherAudienceError:
            # The cluster may be an identity provider as well, for another audience.
            known = self._oidc.knows(issuer)
            return await self._oidc_login(token, issuer) if known else failed(Reason.BAD_CREDENTIALS)
        except KeysPendingError:
            raise
        except ServiceAccountTokenError:
            return failed(Reason.BAD_CREDENTIALS)

    async def _service_account(self, token: str) -> Identity:
        """Raises NotServed."""
        try:
            holder = await self._verifier.holder(token, self._token_audience)
        except OtherAudienceError:
            return await self._own_process(token)
        return Identity(
            CredentialKind.SERVICE_ACCOUNT,
            name=holder.account,
            kind=SubjectKind.SERVICE_ACCOUNT,
            expires_at=datetime.fromtimestamp(holder.until, UTC),
        )

    async def _own_process(self, token: str) -> Identity:
        account = await self._verifier.verify(token, AUDIENCE_ACCESS)
        scopes = self._own_processes.get(account)
        if scopes is None:
            return failed(Reason.BAD_CREDENTIALS)
        return Identity(CredentialKind.SERVICE, name=account, kind=SubjectKind.SERVICE_ACCOUNT, scopes=scopes)

    async def _oidc_login(self, token: str, issuer: str) -> Identity:
        try:
            identity = await self._oidc.identify(token, issuer)
        except IssuerUnavailableError as away:
            return failed(Reason.ISSUER_UNAVAILABLE, away.issuer)
        return identity or failed(Reason.BAD_CREDENTIALS)

    async def _password(self, basic: Basic, snapshot: Snapshot, source: str) -> Proof:
        user = snapshot.users.get(basic.user)
        try:
            with self._attempts.trying(basic.user, source, basic.password) as attempt:
                found = await self._passwords.verify(basic.user, basic.password, user.password_hash if user else None)
                attempt.failed = not found.fits
        except TooManyAttemptsError as throttled:
            return Proof(failed(Reason.TOO_MANY_ATTEMPTS), throttled.retry_after)
        except TooBusyError:
            return Proof(failed(Reason.TOO_MANY_ATTEMPTS), _BUSY_SECONDS)
        if not found.fits or user is None:
            await self._failures.over(found.began)
            return Proof(failed(Reason.BAD_CREDENTIALS))
        return Proof(Identity(CredentialKind.PASSWORD, name=user.name, kind=user.subject.kind))


def _access_token(token: str, snapshot: Snapshot) -> Identity:
    sha256 = token_sha256(token)
    record = snapshot.tokens.get(sha256)
    if record is None:
        return failed(Reason.TOKEN_REVOKED)
    return Identity(
        CredentialKind.ACCESS_TOKEN,
        name=record.owner.name,
        kind=record.owner.kind,
        scopes=record.scopes,
        token=record.name,
        token_sha256=sha256,
    )
