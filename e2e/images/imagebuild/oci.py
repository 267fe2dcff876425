"""Images as files: OCI image layout 1.1 in a tar archive, which containerd, podman, skopeo and crane read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
# What containerd names an image by when it imports an archive; the other is the OCI specification's own.
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


@dataclass(frozen=True)
class Entry:
    """A file of a layer: its content (bytes, or a file to copy), mode and owner. Content None is a folder."""

    content: bytes | Path | None
    mode: int = 0o644
    owner: int = 0


@dataclass(frozen=True)
class Settings:
    """What a container of the image runs, and as which user."""

    entrypoint: Sequence[str]
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "65532:65532"
    labels: Mapping[str, str] = field(default_factory=dict)


def write_layer(entries: Mapping[str, Entry], target: Path) -> None:
    """Write a layer that depends on the entries alone: sorted, without times and names of owners."""
    complete = dict(entries)
    for path in entries:
        for parent in PurePosixPath(path).parents:
            if str(parent) not in {".", "/"}:
                complete.setdefault(str(parent), Entry(None, 0o755))
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as layer:
        for path in sorted(complete):
            _add(layer, path, complete[path])


def _add(layer: tarfile.TarFile, path: str, entry: Entry) -> None:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.mode, info.uid, info.gid = entry.mode, entry.owner, entry.owner
    if entry.content is None:
        info.type = tarfile.DIRTYPE
        layer.addfile(info)
    elif isinstance(entry.content, bytes):
        info.size = len(entry.content)
        layer.addfile(info, io.BytesIO(entry.content))
    else:
        info.size = entry.content.stat().st_size
        with entry.content.open("rb") as source:
            layer.addfile(info, source)


def write_archive(layer: Path, settings: Settings, name: str, target: Path) -> None:
    """Write an archive of one image of one layer (an uncompressed tar)."""
    digest, size = _digest(layer)
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {
            "User": settings.user,
            "Entrypoint": list(settings.entrypoint),
            "Cmd": list(settings.command),
            "Env": [f"{key}={value}" for key, value in settings.environment.items()],
            "Labels": dict(settings.labels),
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest]},
        "history": [{"created_by": "e2e/images/build"}],
    }
    config_bytes = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, **_descriptor(config_bytes)},
        "layers": [{"mediaType": LAYER, "digest": digest, "size": size}],
    }
    manifest_bytes = json.dumps(manifest).encode()
    blobs: dict[str, bytes | Path] = {digest: layer}
    for content in (config_bytes, manifest_bytes):
        blobs[_descriptor(content)["digest"]] = content
    _write(target, name, {"mediaType": MANIFEST, **_descriptor(manifest_bytes)}, manifest, blobs)


def archive_of_layout(layout: Path, name: str, target: Path) -> None:
    """Pack a folder in OCI image layout that holds one image, under a name that containerd takes over as it is."""
    index = json.loads((layout / "index.json").read_text())
    (descriptor,) = index["manifests"]
    blobs = {
        f"{algorithm.name}:{blob.name}": blob
        for algorithm in (layout / "blobs").iterdir()
        for blob in algorithm.iterdir()
    }
    manifest = json.loads(blobs[descriptor["digest"]].read_text())
    plain = {key: descriptor[key] for key in ("mediaType", "digest", "size")}
    _write(target, name, plain, manifest, blobs)


def _write(
    target: Path,
    name: str,
    descriptor: dict[str, Any],
    manifest: dict[str, Any],
    blobs: Mapping[str, bytes | Path],
) -> None:
    named = descriptor | {"annotations": dict.fromkeys(NAME_ANNOTATIONS, name)}
    files: dict[str, Entry] = {
        "oci-layout": Entry(b'{"imageLayoutVersion":"1.0.0"}'),
        "index.json": Entry(json.dumps({"schemaVersion": 2, "manifests": [named]}).encode()),
        # `docker load` and `crane push` read this one.
        "manifest.json": Entry(json.dumps([_docker_entry(name, manifest)]).encode()),
    }
    files |= {_blob_path(digest): Entry(content) for digest, content in blobs.items()}
    partial = target.with_name(f".{target.name}.new")
    write_layer(files, partial)
    partial.replace(target)


def _docker_entry(name: str, manifest: dict[str, Any]) -> dict[str, Any]:
    return {
        "Config": _blob_path(manifest["config"]["digest"]),
        "RepoTags": [name],
        "Layers": [_blob_path(layer["digest"]) for layer in manifest["layers"]],
    }


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _descriptor(content: bytes) -> dict[str, Any]:
    return {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}", path.stat().st_size
