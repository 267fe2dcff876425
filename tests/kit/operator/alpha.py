"""The Project `alpha` of the reconcile tests: its names, labels and inventory."""

from __future__ import annotations

from typing import Any

from berth.api import names
from berth.kube.resources import PODS, PROJECTS
from tests.kit.operator.memory import Operator

SPACE = "berth-alpha"
PODS_KEY = (PODS, (SPACE, "registry-0"))
MADE = {names.ANNOTATION_DESIRED_HASH: "0"}
OURS = {names.LABEL_PROJECT: "alpha", names.LABEL_MANAGED_BY: names.FIELD_MANAGER_OPERATOR}
LABEL = {names.LABEL_PROJECT: "alpha"}


def deleted(operator: Operator, **metadata: Any) -> None:
    """The Project is being deleted."""
    operator.change(PROJECTS, "alpha", metadata={"deletionTimestamp": "2026-11-24T12:00:00Z", **metadata})


def inventory(operator: Operator) -> set[tuple[str, str]]:
    """Kind and name of each entry of the inventory."""
    return {(entry["kind"], entry["name"]) for entry in operator.status(PROJECTS, "alpha").get("inventory", ())}
