"""The catalog's responses as JSON documents (docs/architecture.md, "Catalog API")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from berth.api.base import rfc3339
from berth.catalog.model import Referrer, Tag, TagMove


def repositories_document(paths: Sequence[str], limit: int) -> dict[str, Any]:
    """A page of repository paths. `next` is present when there may be more: pass it as `after`."""
    return {"repositories": list(paths), **({"next": paths[-1]} if len(paths) == limit else {})}


def tags_document(tags: Sequence[Tag], limit: int) -> dict[str, Any]:
    """A page of present tags; `next` as for repositories."""
    items = [
        {
            "name": tag.name,
            "digest": tag.digest,
            "mediaType": tag.media_type,
            "artifactType": tag.artifact_type,
            "size": tag.size,
            "pushedAt": rfc3339(tag.pushed_at),
            "pushedBy": tag.pushed_by,
        }
        for tag in tags
    ]
    return {"tags": items, **({"next": tags[-1].name} if len(tags) == limit else {})}


def history_document(moves: Sequence[TagMove], limit: int) -> dict[str, Any]:
    """A page of tag moves, newest first. `next` is present when there may be more: pass it as `before`."""
    items = [
        {
            "id": move.id,
            "tag": move.tag,
            "at": rfc3339(move.at),
            "by": move.by,
            "client": move.client,
            "from": move.from_digest,
            "to": move.to_digest,
            "cause": move.cause.value,
        }
        for move in moves
    ]
    return {"history": items, **({"next": moves[-1].id} if len(moves) == limit else {})}


def referrers_document(referrers: Sequence[Referrer]) -> dict[str, Any]:
    """Descriptors of referrers (OCI distribution spec 1.1, "Listing Referrers")."""
    return {"referrers": [_descriptor(referrer) for referrer in referrers]}


def _descriptor(referrer: Referrer) -> dict[str, Any]:
    descriptor: dict[str, Any] = {
        "mediaType": referrer.media_type,
        "digest": referrer.digest,
        "size": referrer.size,
    }
    if referrer.artifact_type:
        descriptor["artifactType"] = referrer.artifact_type
    if referrer.annotations:
        descriptor["annotations"] = dict(referrer.annotations)
    return descriptor
