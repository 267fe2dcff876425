"""Authentication at `/token`.

The password is first tried as a token, and then the user name is ignored: an `AccessToken`, a ServiceAccount token of
the cluster, a token of a configured identity provider. Otherwise it is a password. What an identity is allowed to do,
and whether its credential is still valid, is decided later by the present policy.
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
from berth.identity.oidc import IssuerUnavailableError, OidcAuthenticator, unverified_issuer
from berth.identity.passwords import PasswordVerifier, TooBusyError
from berth.identity.service_account import (
    KeysPendingError,
    OtherAudienceError,
    ServiceAccountTokenError,
    ServiceAccountVerifier,
    TokenExpiredError,
)

PROBER_SCOPES: Final = frozenset({TokenScope.VIEW, TokenScope.DOWNLOAD, TokenScope.MODIFY})
"""Scopes of the operator: it uploads a small blob to each registry and reads it back."""
READER_SCOPES: Final = frozenset({TokenScope.VIEW, TokenScope.DOWNLOAD})
"""Scopes of the catalog: it lists repositories and tags and reads manifests."""

_BUSY_RETRY_SECONDS: Final = 2  # until the queue of password verifications has a free place


@dataclass(frozen=True, slots=True)
class AuthenticationResult:
    """The identity of a caller. `retry_after` is in seconds, and 0 unless the caller has to wait."""

    identity: Identity
    retry_after: int = 0


def failed_identity(reason: Reason, name: str = "") -> Identity:
    """The identity of a caller whose credentials are refused. `name` is the subject or issuer of the refusal."""
    return Identity(credential=CredentialKind.FAILED, name=name, failure=reason)


class Authenticator:
    """Turns credentials into an identity. Never raises for anything that a client sends.

    `own_processes` are the ServiceAccounts of Berth's own processes that get registry tokens, as `namespace/name`, with
    their scopes. `token_audience` is the audience of all other ServiceAccount tokens.
    """

    def __init__(
        self,
        *,
        verifier: ServiceAccountVerifier,
        own_processes: Mapping[str, frozenset[TokenScope]],
        token_audience: str,
        oidc: OidcAuthenticator,
        passwords: PasswordVerifier,
        login_limits: LoginLimits,
        failure_delay: FailureDelay,
    ) -> None:
        self._verifier = verifier
        self._own_processes = own_processes
        self._token_audience = token_audience
        self._oidc = oidc
        self._passwords = passwords
        self._login_limits = login_limits
        self._failure_delay = failure_delay

    async def refresh_keys(self) -> None:
        """Keep the verification keys of the cluster and of each identity provider current, forever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._verifier.refresh_keys(), name="keys of the cluster")
            tasks.create_task(self._oidc.refresh_keys(), name="keys of identity providers")

    async def identify(self, basic: Basic | None, snapshot: Snapshot, source: str) -> AuthenticationResult:
        """The identity of a caller; anonymous without credentials. `source` is the client's address."""
        if basic is None or not (basic.user or basic.password):
            return AuthenticationResult(ANONYMOUS)
        if is_token(basic.password):
            return AuthenticationResult(_access_token(basic.password, snapshot))
        issuer = unverified_issuer(basic.password)
        of_cluster = bool(issuer) and issuer == self._verifier.issuer
        if not of_cluster and not self._oidc.has_issuer(issuer):
            return await self._password(basic, snapshot, source)
        try:
            login = self._cluster_login if of_cluster else self._oidc_login
            return AuthenticationResult(await login(basic.password, issuer))
        except (TooManyWaitersError, KeysPendingError) as error:
            return AuthenticationResult(failed_identity(Reason.TOO_MANY_ATTEMPTS), error.retry_after)

    async def _cluster_login(self, token: str, issuer: str) -> Identity:
        """The identity of a token that names the cluster as its issuer. The audience decides its kind."""
        try:
            return await self._service_account(token)
        except TokenExpiredError as expired:
            return failed_identity(Reason.TOKEN_EXPIRED, expired.account)
        except OtherAudienceError:
            # The cluster can also be an identity provider, for another audience.
            if self._oidc.has_issuer(issuer):
                return await self._oidc_login(token, issuer)
            return failed_identity(Reason.BAD_CREDENTIALS)
        except KeysPendingError:
            raise
        except ServiceAccountTokenError:
            return failed_identity(Reason.BAD_CREDENTIALS)

    async def _service_account(self, token: str) -> Identity:
        """The identity of a pod or of one of Berth's processes. Raises ServiceAccountTokenError."""
        try:
            verified = await self._verifier.authenticate(token, self._token_audience)
        except OtherAudienceError:
            return await self._own_process(token)
        return Identity(
            CredentialKind.SERVICE_ACCOUNT,
            name=verified.account,
            kind=SubjectKind.SERVICE_ACCOUNT,
            expires_at=datetime.fromtimestamp(verified.expires, UTC),
        )

    async def _own_process(self, token: str) -> Identity:
        account = await self._verifier.verify(token, AUDIENCE_ACCESS)
        scopes = self._own_processes.get(account)
        if scopes is None:
            return failed_identity(Reason.BAD_CREDENTIALS)
        return Identity(CredentialKind.SERVICE, name=account, kind=SubjectKind.SERVICE_ACCOUNT, scopes=scopes)

    async def _oidc_login(self, token: str, issuer: str) -> Identity:
        try:
            identity = await self._oidc.identify(token, issuer)
        except IssuerUnavailableError as error:
            return failed_identity(Reason.ISSUER_UNAVAILABLE, error.issuer)
        return identity or failed_identity(Reason.BAD_CREDENTIALS)

    async def _password(self, basic: Basic, snapshot: Snapshot, source: str) -> AuthenticationResult:
        user = snapshot.users.get(basic.user)
        try:
            with self._login_limits.attempt(basic.user, source, basic.password) as attempt:
                password_hash = user.password_hash if user else None
                verification = await self._passwords.verify(basic.user, basic.password, password_hash)
                attempt.failed = not verification.matches
        except TooManyAttemptsError as throttled:
            return AuthenticationResult(failed_identity(Reason.TOO_MANY_ATTEMPTS), throttled.retry_after)
        except TooBusyError:
            return AuthenticationResult(failed_identity(Reason.TOO_MANY_ATTEMPTS), _BUSY_RETRY_SECONDS)
        if not verification.matches or user is None:
            await self._failure_delay.wait(verification.started_at)
            return AuthenticationResult(failed_identity(Reason.BAD_CREDENTIALS))
        return AuthenticationResult(Identity(CredentialKind.PASSWORD, name=user.name, kind=user.subject.kind))


def _access_token(token: str, snapshot: Snapshot) -> Identity:
    sha256 = token_sha256(token)
    record = snapshot.tokens.get(sha256)
    if record is None:
        return failed_identity(Reason.TOKEN_REVOKED)
    return Identity(
        CredentialKind.ACCESS_TOKEN,
        name=record.owner.name,
        kind=record.owner.kind,
        scopes=record.scopes,
        token=record.name,
        token_sha256=sha256,
    )
