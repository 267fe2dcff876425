"""Build a repository's object and status from the catalog's data. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from berth.api import names
from berth.api.conditions import MESSAGE_MAX_LENGTH, Condition, ConditionReason, ConditionType
from berth.api.quantities import format_size
from berth.api.repository import LastPush, TagStatus
from berth.catalog.model import RepositoryKey, RepositoryView, Sync, Tag
from berth.kube.trim import with_tags_checksum

_FIELDS: Final = ("tags", "tagCount", "digestCount", "lastPush")
_NAMESPACE_PREFIX: Final = names.project_namespace("")


def path_of(manifest: Mapping[str, Any]) -> str:
    """The effective path of a DockerRepository object."""
    return str(manifest["spec"].get("repository") or manifest["metadata"]["name"])


def key_of_object(manifest: Mapping[str, Any]) -> RepositoryKey | None:
    """The repository of an object; None outside a project's namespace."""
    namespace = str(manifest["metadata"]["namespace"])
    project = namespace.removeprefix(_NAMESPACE_PREFIX)
    return RepositoryKey(project, path_of(manifest)) if project != namespace else None


def object_name(path: str, taken: bool) -> str:
    """The name of a generated object. `taken`: the usual name belongs to the object of another path."""
    usual = names.repository_object_name(path)
    return f"{usual[:52].rstrip('-')}-{hashlib.sha256(path.encode()).hexdigest()[:8]}" if taken else usual


def build_object(key: RepositoryKey, name: str) -> dict[str, Any]:
    """The object created at the first push. Berth never changes its spec afterwards."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "DockerRepository",
        "metadata": {
            "name": name,
            "namespace": names.project_namespace(key.project),
            "labels": {
                names.LABEL_PROJECT: key.project,
                names.LABEL_REPOSITORY: name,
            },
        },
        "spec": {"repository": key.path},
    }


def build_status(view: RepositoryView, live: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The catalog's part of the status of `live`, the present object."""
    status: dict[str, Any] = {
        "tags": [_tag(tag) for tag in view.tags],
        "tagCount": view.tag_count,
        "digestCount": view.digest_count,
        "conditions": [_in_sync(view, live, now).to_dict()],
    }
    if view.last_push is not None:
        push = view.last_push
        status["lastPush"] = LastPush(tag=push.tag, digest=push.digest, at=push.at, by=push.by or None).to_dict()
    return status


def differs(live: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Whether writing `status` would change the object, which may carry a checksum instead of its tags."""
    present = with_tags_checksum(dict(live)).get("status") or {}
    desired = with_tags_checksum({"status": dict(status)})["status"]
    if any(present.get(field) != desired.get(field) for field in _FIELDS):
        return True
    (condition,) = status["conditions"]
    found = _present_condition(live)
    return any(found.get(field) != condition[field] for field in ("status", "reason", "message"))


def _tag(tag: Tag) -> dict[str, Any]:
    return TagStatus(
        name=tag.name,
        digest=tag.digest,
        media_type=tag.media_type or None,
        size=format_size(tag.size) if tag.size else None,
        pushed_at=tag.pushed_at,
        pushed_by=tag.pushed_by or None,
    ).to_dict()


def _in_sync(view: RepositoryView, live: Mapping[str, Any], now: datetime) -> Condition:
    is_empty = view.digest_count == 0 and view.last_push is None
    status, reason, message = _compute_in_sync(view.sync, is_empty=is_empty)
    present = _present_condition(live)
    unchanged = present.get("status") == status
    return Condition.model_validate(
        {
            "type": ConditionType.CATALOG_IN_SYNC.value,
            "status": status,
            "reason": reason,
            "message": message[:MESSAGE_MAX_LENGTH],
            "last_transition_time": present["lastTransitionTime"] if unchanged else now,
        }
    )


def _compute_in_sync(sync: Sync, *, is_empty: bool) -> tuple[str, str, str]:
    if sync.in_sync is False:
        return "False", sync.reason, sync.message
    if is_empty:
        return "True", ConditionReason.NEVER_PUSHED.value, "Nothing was pushed to this repository yet."
    return "True", ConditionReason.IN_SYNC.value, "Tags and counts are those of the registry."


def _present_condition(live: Mapping[str, Any]) -> Mapping[str, Any]:
    conditions = (live.get("status") or {}).get("conditions") or ()
    return next((entry for entry in conditions if entry["type"] == ConditionType.CATALOG_IN_SYNC.value), {})
