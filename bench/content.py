"""Content to pull: an image of ten layers and two blobs, of bytes that do not compress."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from typing import Final

from bench.installation import IMAGE, put_blob, put_manifest

LAYERS: Final = 10
LAYER_BYTES: Final = 4 << 20
BLOBS: Final = {"1 MiB": 1 << 20, "100 MiB": 100 << 20}
TAG: Final = "v1"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Content:
    """Digests of the blobs, by their size in words."""

    blobs: dict[str, str]


def put_content(address: str) -> Content:
    """Push everything to a registry without authorization."""
    source = random.Random(1)  # noqa: S311 - bytes, no secret
    layers = [_put(address, source.randbytes(LAYER_BYTES), _LAYER) for _ in range(LAYERS)]
    rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    config = _put(address, json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode(), _CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
    put_manifest(address, IMAGE, TAG, json.dumps(manifest).encode(), _MANIFEST)
    return Content({name: str(_put(address, source.randbytes(size), _LAYER)["digest"]) for name, size in BLOBS.items()})


def _put(address: str, data: bytes, media_type: str) -> dict[str, object]:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    put_blob(address, IMAGE, data, digest)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}
