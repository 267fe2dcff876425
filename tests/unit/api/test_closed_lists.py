"""The closed lists of the API, and the record of what was added to them."""

from __future__ import annotations

import re
from pathlib import Path

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.policy import RuleSource
from berth.api.reasons import Reason

ADR = Path(__file__).parents[3] / "docs" / "adr" / "0009-additions-to-the-closed-lists.md"
FIRST = re.findall(
    r"\w+",
    """
    BadCredentials TooManyAttempts UserDisabled TokenExpired TokenRevoked NotAuthenticated NotFound ProjectTrashed
    RepositoryTrashed ProjectSuspended LevelTooLow NotCertified CertificationExpired TokenScopeMissing CreationDeclared
    ExternalRepository TagImmutable QuotaExceeded LayerTooLarge Collecting ReadOnly PolicyStale CatalogUnavailable
    InvalidRequest
""",
)


def recorded(column: str) -> set[str]:
    """The words that the record says were added to a list."""
    rows = (line.split("|") for line in ADR.read_text().splitlines() if line.startswith("| "))
    return {
        word for _, where, cell, *_ in rows if where.strip().startswith(column) for word in re.findall(r"`(\w+)`", cell)
    }


def test_the_reasons_of_refusals_are_those_of_the_beginning_and_those_that_a_record_added() -> None:
    assert {reason.value for reason in Reason} == set(FIRST) | recorded("reasons of refusals")


def test_the_sources_of_rules_are_recorded() -> None:
    words = {source.value for source in RuleSource}
    assert words == {"Sharing", "LocalSharing"} | recorded("sources of rules")


def test_every_word_of_the_record_exists() -> None:
    words = set(re.findall(r"`([A-Z]\w+)`", ADR.read_text()))
    kinds = {"AccessTest", "AccessPolicy"}
    lists = (Reason, RuleSource, ConditionType, ConditionReason)
    assert words - kinds - {word.value for each in lists for word in each} == set()
    assert recorded("conditions") <= {kind.value for kind in ConditionType}
