"""The application's dependencies, built once by the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from berth.catalog.db.database import Database
from berth.catalog.index.write_log import WriteLog
from berth.identity.service_account import ServiceAccountVerifier
from berth.services.catalog.metrics import CatalogMetrics


@dataclass(frozen=True, slots=True)
class Deps:
    """The application's dependencies.

    `accounts`: ServiceAccounts (`namespace/name`) that may call. `migrated`: whether the schema is up to date.
    `ended`: background tasks that have ended, with the reason; none should.
    """

    database: Database
    write_log: WriteLog
    verifier: ServiceAccountVerifier
    accounts: frozenset[str]
    metrics: CatalogMetrics
    migrated: Callable[[], bool]
    ended: Callable[[], Mapping[str, str]]
    monotonic: Callable[[], float]
