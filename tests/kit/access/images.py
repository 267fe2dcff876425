"""Images pushed through the access service to a real registry."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.kit.access.served import Served
from tests.kit.access.world import OCI_MANIFEST

SCOPE = "repository:genomics/aligner:pull,push"
NAME = "/v2/genomics/aligner"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image(config: bytes, layer: bytes) -> bytes:
    """A manifest of these blobs."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": digest_of(layer), "size": len(layer)}],
    }
    return json.dumps(document).encode()


async def push_blob(service: Served, token: str, data: bytes) -> None:
    begun = await service.through_gateway("POST", f"{NAME}/blobs/uploads/", token)
    assert begun.status == 202, begun
    target = f"{begun.headers['location']}&digest={digest_of(data)}"
    done = await service.through_gateway("PUT", target, token, data, "application/octet-stream")
    assert done.status == 201, done


async def push_image(service: Served, token: str, tag: str = "v1") -> bytes:
    config, layer = b"{}", b"layer"
    for blob in (config, layer):
        await push_blob(service, token, blob)
    body = image(config, layer)
    done = await service.through_gateway("PUT", f"{NAME}/manifests/{tag}", token, body, OCI_MANIFEST)
    assert done.status == 201, done
    assert done.headers["docker-content-digest"] == digest_of(body)
    assert done.headers["location"].endswith(f"{NAME}/manifests/{digest_of(body)}")
    return body
