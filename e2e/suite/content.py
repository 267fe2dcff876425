"""What clients push: small images, multi-arch indexes, charts and files, with random bytes, so that nothing is cached.

Images and indexes are OCI image layouts (image-spec 1.1, "OCI Image Layout Specification").
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import secrets
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from e2e.suite.world import TOOLS

MEDIA_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_CONFIG = "application/vnd.oci.image.config.v1+json"
MEDIA_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURES = ("amd64", "arm64")
RANDOM_BYTES = 4096
PROGRAM = "pause"


class Kind(StrEnum):
    """What a piece of content is, and so which clients handle it."""

    IMAGE = "image"
    INDEX = "index"
    CHART = "chart"
    ARTIFACT = "artifact"


@dataclass(frozen=True)
class Content:
    """Something to push: `files` is what it is made of, `layout` the same as an OCI image layout (images, indexes).

    `digest` is that of the layout's manifest or index. A client that compresses layers itself pushes another one.
    """

    kind: Kind
    files: Path
    layout: Path
    digest: str = ""

    def archive(self, name: str) -> Path:
        """The layout as a tar that names the image: read by docker (either store), podman and ctr."""
        target = self.layout.parent / "archive.tar"
        index = json.loads((self.layout / "index.json").read_bytes())
        index["manifests"][0]["annotations"] = {"io.containerd.image.name": name}
        with tarfile.open(target, "w") as tar:
            for blob in sorted((self.layout / "blobs" / "sha256").iterdir()):
                tar.add(blob, f"blobs/sha256/{blob.name}")
            _add(tar, "oci-layout", (self.layout / "oci-layout").read_bytes())
            _add(tar, "index.json", json.dumps(index).encode())
            if self.kind is Kind.IMAGE:
                _add(tar, "manifest.json", json.dumps([self._docker_entry(name)]).encode())
        return target

    def _docker_entry(self, name: str) -> dict[str, Any]:
        """How `docker save` describes this image; the classic store reads nothing else."""
        blobs = "blobs/sha256"
        manifest = json.loads((self.layout / blobs / self.digest.removeprefix("sha256:")).read_bytes())
        paths = [f"{blobs}/{d['digest'].removeprefix('sha256:')}" for d in (manifest["config"], *manifest["layers"])]
        return {"Config": paths[0], "RepoTags": [name], "Layers": paths[1:]}


def make(kind: Kind, folder: Path, name: str = "content", version: str = "1.0.0", size: int = RANDOM_BYTES) -> Content:
    """New content in a new folder, with `size` random bytes. A chart carries its own name and version."""
    files, layout = folder / "files", folder / "layout"
    files.mkdir(parents=True)
    (files / "random").write_bytes(secrets.token_bytes(size))
    match kind:
        case Kind.IMAGE:
            _add_program(files)
            return Content(kind, files, layout, _layout(layout, [_image(layout, files, "amd64")]))
        case Kind.INDEX:
            _add_program(files)
            images = [_image(layout, files, architecture) for architecture in ARCHITECTURES]
            index = {"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": images}
            return Content(kind, files, layout, _layout(layout, [_blob(layout, MEDIA_INDEX, _json(index))]))
        case Kind.CHART:
            return Content(kind, _chart(files, name, version), layout)
        case Kind.ARTIFACT:
            return Content(kind, files, layout)


def _add_program(files: Path) -> None:
    """A static program that does nothing, forever, so that a Pod can run the image."""
    shutil.copy(TOOLS / "bin" / PROGRAM, files / PROGRAM)


def _image(layout: Path, files: Path, architecture: str) -> dict[str, Any]:
    """Write an image for one architecture; its descriptor."""
    layer = _tar((path.name, path.read_bytes()) for path in sorted(files.iterdir()))
    layer += b"" if architecture == ARCHITECTURES[0] else bytes(tarfile.RECORDSIZE)
    platform = {"architecture": architecture, "os": "linux"}
    config = {
        **platform,
        "config": {"Entrypoint": [f"/{PROGRAM}"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        "history": [{"created_by": "end-to-end test"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MEDIA_MANIFEST,
        "config": _blob(layout, MEDIA_CONFIG, _json(config)),
        "layers": [_blob(layout, MEDIA_LAYER, gzip.compress(layer, mtime=0))],
    }
    return {**_blob(layout, MEDIA_MANIFEST, _json(manifest)), "platform": platform}


def _layout(layout: Path, manifests: list[dict[str, Any]]) -> str:
    """Complete a layout; the digest of the one manifest or index in it."""
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": manifests}))
    return str(manifests[0]["digest"])


def _chart(files: Path, name: str, version: str) -> Path:
    """A Helm chart archive, made as `helm package` makes it."""
    chart = f"apiVersion: v2\nname: {name}\nversion: {version}\n\n"
    archive = files / f"{name}-{version}.tgz"
    entries = [(f"{name}/Chart.yaml", chart.encode()), (f"{name}/random", (files / "random").read_bytes())]
    archive.write_bytes(gzip.compress(_tar(entries)))
    return archive


def _blob(layout: Path, media_type: str, content: bytes) -> dict[str, Any]:
    folder = layout / "blobs" / "sha256"
    folder.mkdir(parents=True, exist_ok=True)
    digest = _digest(content)
    (folder / digest.removeprefix("sha256:")).write_bytes(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _tar(entries: Iterable[tuple[str, bytes]]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in entries:
            _add(tar, name, content)
    return written.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o755
    tar.addfile(info, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
