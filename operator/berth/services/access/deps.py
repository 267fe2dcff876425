"""The parts of the application.

The process builds them once; tests build their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from berth.authz.model import Snapshot
from berth.identity.authenticator import Authenticator
from berth.identity.gateway_caller import GatewayAuthenticator
from berth.identity.service_account import ServiceAccountVerifier
from berth.services.access.audit import AuditLog
from berth.services.access.http.messages import Response
from berth.services.access.metrics import AccessMetrics
from berth.services.access.tokens.registry_tokens import TokenService
from berth.services.access.tokens.validity import Validity
from berth.services.access.upstream.ports import Catalog, Registries

WaitFor: TypeAlias = Callable[[Mapping[str, int], float], Awaitable[Mapping[str, int]]]
"""Waits until the policy holds these resource versions (by plural of the kind), at most so many seconds; returns the
resource versions that it holds."""


@dataclass(frozen=True, slots=True)
class PolicyRevisions:
    """What `GET /policy-revision` needs: its callers and the present revisions."""

    verifier: ServiceAccountVerifier
    accounts: frozenset[str]
    """ServiceAccounts that may call it, as `namespace/name`."""
    wait_for: WaitFor


@dataclass(frozen=True, slots=True)
class Deps:
    """The parts of the application."""

    host: str
    snapshot: Callable[[], Snapshot]
    now: Callable[[], datetime]
    ready: Callable[[], Mapping[str, bool]]  # by part; the service is ready when all are true
    tokens: TokenService
    authenticator: Authenticator
    gateway: GatewayAuthenticator
    policy: PolicyRevisions
    catalog: Catalog
    registries: Registries
    audit: AuditLog
    token_used: Callable[[str], None]  # called with the name of each AccessToken that is used to log in
    metrics: AccessMetrics
    upstream_self: str  # base address of this service
    registry_base: Callable[[str], str]  # base address of a project's registry
    manifest_size_limit: int  # bytes
    certification_warning_days: int
    running_writes: set[asyncio.Task[Response]] = field(default_factory=set)

    def holds(self, validity: Validity) -> bool:
        """Whether a decision with this validity still holds."""
        return validity.holds(self.snapshot().generation, self.tokens.key_generation, self.now().timestamp())
