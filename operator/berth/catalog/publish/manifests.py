"""What a repository's object in the cluster says, from what the catalog knows. Pure."""

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
from berth.kube.trim import with_sum_of_tags

_FIELDS: Final = ("tags", "tagCount", "digestCount", "lastPush")
_NAMESPACE_PREFIX: Final = names.project_namespace("")


def path_of(manifest: Mapping[str, Any]) -> str:
    """The effective path of a DockerRepository object."""
    return str(manifest["spec"].get("repository") or manifest["metadata"]["name"])


def key_of_object(manifest: Mapping[str, Any]) -> RepositoryKey | None:
    """The repository that an object stands for; None when it does not stand in the namespace of a project."""
    namespace = str(manifest["metadata"]["namespace"])
    project = namespace.removeprefix(_NAMESPACE_PREFIX)
    return RepositoryKey(project, path_of(manifest)) if project != namespace else None


def object_name(path: str, taken: bool) -> str:
    """The name of a generated object. `taken`: an object of the usual name stands for another path."""
    usual = names.repository_object_name(path)
    return f"{usual[:52].rstrip('-')}-{hashlib.sha256(path.encode()).hexdigest()[:8]}" if taken else usual


def build_object(key: RepositoryKey, name: str) -> dict[str, Any]:
    """The object that the first push makes. Its spec is written this once and belongs to people afterwards."""
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
    """The catalog's part of the status of `live` (the object as it is)."""
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
    """Whether writing `status` would change anything in the object, of whose tags only a checksum may be known."""
    present = with_sum_of_tags(dict(live)).get("status") or {}
    planned = with_sum_of_tags({"status": dict(status)})["status"]
    if any(present.get(field) != planned.get(field) for field in _FIELDS):
        return True
    (wanted,) = status["conditions"]
    found = _present(live)
    return any(found.get(part) != wanted[part] for part in ("status", "reason", "message"))


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
    status, reason, message = _judgement(view.sync, pushed=view.digest_count > 0 or view.last_push is not None)
    present = _present(live)
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


def _judgement(sync: Sync, *, pushed: bool) -> tuple[str, str, str]:
    if sync.in_sync is False:
        return "False", sync.reason, sync.message
    if not pushed:
        return "True", ConditionReason.NEVER_PUSHED.value, "Nothing was pushed to this repository yet."
    return "True", ConditionReason.IN_SYNC.value, "Tags and counts are those of the registry."


def _present(live: Mapping[str, Any]) -> Mapping[str, Any]:
    conditions = (live.get("status") or {}).get("conditions") or ()
    return next((found for found in conditions if found["type"] == ConditionType.CATALOG_IN_SYNC.value), {})
