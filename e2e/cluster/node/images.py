"""Container images without pulling anything: a static program becomes an OCI archive of one layer."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from node.settings import ClusterError, Settings

IMPORT_LIMIT = 300
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}


def static_image(settings: Settings, name: str, program: str) -> Path:
    """The OCI archive of an image that holds and starts one built program; made once, kept with the tools."""
    binary = Path(settings.program(program)).resolve()
    archive = settings.tools / "images" / f"{binary.parent.name}-{program}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".partial")
        _write_archive(partial, name, binary, [f"/{program}"])
        partial.replace(archive)
    return archive


def _write_archive(archive: Path, name: str, binary: Path, entrypoint: Sequence[str]) -> None:
    layer_file = io.BytesIO()
    with tarfile.open(fileobj=layer_file, mode="w") as layer:
        member = layer.gettarinfo(str(binary), entrypoint[0].lstrip("/"))
        member.mtime, member.mode, member.uid, member.gid, member.uname, member.gname = 0, 0o755, 0, 0, "", ""
        with binary.open("rb") as content:
            layer.addfile(member, content)
    layer_bytes = layer_file.getvalue()
    digest = _digest(layer_bytes)
    config = _json(
        {
            "architecture": ARCHITECTURE[platform.machine()],
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "User": "65532:65532"},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer_bytes)],
        }
    )
    entry = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    index = _json({"schemaVersion": 2, "manifests": [entry]})
    with tarfile.open(archive, "w") as whole:
        _add(whole, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(whole, "index.json", index)
        for blob in (config, manifest, layer_bytes):
            _add(whole, f"blobs/sha256/{_digest(blob).partition(':')[2]}", blob)


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def import_command(settings: Settings, archive: Path) -> list[str]:
    """The command that imports an archive for the kubelet; runs inside the namespaces."""
    ctr = [settings.program("ctr"), "--address", str(settings.containerd_socket), "--namespace", "k8s.io"]
    return [*ctr, "images", "import", "--all-platforms", "--local", str(archive)]


def import_archive(settings: Settings, archive: Path) -> str:
    """Import an archive; what ctr said."""
    done = subprocess.run(
        import_command(settings, archive),
        capture_output=True,
        text=True,
        timeout=IMPORT_LIMIT,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise ClusterError(f"{archive} could not be imported: {done.stderr.strip()[-1500:]}")
    return done.stdout.strip()
