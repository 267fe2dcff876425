"""What the application is made of. Built once by the process, and by tests with their own parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from berth.catalog.db.database import Database
from berth.catalog.index.write_log import Store
from berth.identity.service_account import ServiceAccountVerifier
from berth.services.catalog.metrics import CatalogMetrics


@dataclass(frozen=True, slots=True)
class Deps:
    """The parts of the application.

    `accounts` are the ServiceAccounts (`namespace/name`) that may call; `migrated` says whether the schema is this
    version's; `ended` names the background tasks that have ended, which none of them may.
    """

    database: Database
    store: Store
    verifier: ServiceAccountVerifier
    accounts: frozenset[str]
    metrics: CatalogMetrics
    migrated: Callable[[], bool]
    ended: Callable[[], Mapping[str, str]]
    monotonic: Callable[[], float]
