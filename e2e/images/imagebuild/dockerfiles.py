"""Builds the Dockerfiles of the project with buildah, the way any builder would, on the bases made here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild.cache import Cache
from imagebuild.failure import BuildFailed, tail
from imagebuild.oci import archive_of_layout

LIMIT_SECONDS = 20 * 60
_PIP_OPTION = re.compile(r"^(?::env:\.|global\.|install\.)(?P<key>[a-z-]+)='(?P<value>.*)'$")
# Where the build finds the host's CA bundle; the Dockerfile says the same.
_CA_INSIDE = "/run/secrets/ca_bundle"
_CA_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_CA_DEFAULT = "/etc/ssl/certs/ca-certificates.crt"
_PIP_KEPT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile below the project's root, the files that it uses, and the argument for each base.

    `trial` is a command that must succeed in a container of the image before the image counts as built.
    """

    path: str
    uses: tuple[str, ...]
    bases: Mapping[str, str]
    trial: tuple[str, ...]


def build_dockerfile(
    dockerfile: Dockerfile,
    root: Path,
    base_names: Mapping[str, str],
    name: str,
    labels: Mapping[str, str],
    cache: Cache,
) -> None:
    """Build the image and write it as an archive. `base_names` gives each base's name in buildah's storage."""
    log = cache.scratch() / f"{Path(dockerfile.path).name}.log"
    with tempfile.TemporaryDirectory(dir=cache.scratch()) as folder:
        secrets = _secrets(Path(folder))
        command = [*buildah(cache), "bud", "--isolation=chroot", "--layers", "--pull-never", "--format=oci"]
        command += [f"--file={root / dockerfile.path}", f"--ignorefile={root / dockerfile.path}.dockerignore"]
        command += [f"--build-arg={argument}={base_names[base]}" for argument, base in dockerfile.bases.items()]
        command += [f"--label={key}={value}" for key, value in labels.items()]
        command += [f"--secret=id={key},src={path}" for key, path in secrets.items()]
        _run([*command, f"--tag={name}", str(root)], log)
        _try(name, dockerfile.trial, cache, log)
        layout = Path(folder) / "layout"
        _run([*buildah(cache), "push", "--disable-compression", name, f"oci:{layout}"], log)
        archive_of_layout(layout, name, cache.archive(_short(name)))


def load_base(name: str, archive: Path, cache: Cache) -> None:
    """Take an archive into buildah's storage under the name that it holds."""
    _run([*buildah(cache), "pull", "--quiet", f"oci-archive:{archive}"], cache.scratch() / "load.log")
    if subprocess.run([*buildah(cache), "inspect", "--type=image", name], capture_output=True, timeout=60).returncode:
        raise BuildFailed(f"{archive} was loaded, but there is no image {name}")


def buildah(cache: Cache) -> list[str]:
    """The command, with a storage of its own: other images on the machine are not touched."""
    if not shutil.which("buildah"):
        raise BuildFailed("buildah is missing: run e2e/tools/build, or apt-get install buildah")
    storage = cache.root / "storage"
    return ["buildah", f"--root={storage}", f"--runroot={storage}-run", "--storage-driver=overlay"]


def _try(name: str, trial: Sequence[str], cache: Cache, log: Path) -> None:
    started = [*buildah(cache), "from", "--pull-never", name]
    container = subprocess.run(started, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    try:
        _run([*buildah(cache), "run", "--isolation=chroot", container, "--", *trial], log)
    finally:
        subprocess.run([*buildah(cache), "rm", container], check=True, capture_output=True, timeout=60)


def _short(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0]


def _secrets(folder: Path) -> dict[str, Path]:
    """The host's pip configuration and CA bundle, for the time of the build."""
    pip_conf = folder / "pip.conf"
    options = _pip_options()
    bundle = next((Path(path) for path in map(os.environ.get, _CA_VARIABLES) if path), Path(_CA_DEFAULT))
    secrets = {"pip_conf": pip_conf}
    if bundle.is_file():
        options["cert"] = _CA_INSIDE
        secrets["ca_bundle"] = bundle
    pip_conf.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in options.items()))
    pip_conf.chmod(0o600)
    return secrets


def _pip_options() -> dict[str, str]:
    done = subprocess.run(
        ["python3", "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=False
    )
    found = (_PIP_OPTION.match(line) for line in done.stdout.splitlines())
    return {one["key"]: one["value"] for one in found if one and one["key"] in _PIP_KEPT}


def _run(command: Sequence[str], log: Path) -> None:
    with log.open("wb") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=LIMIT_SECONDS, check=False
        )
    if done.returncode != 0:
        raise BuildFailed(f"`{' '.join(command[:6])} …` ended with {done.returncode}; the end of {log}:\n{tail(log)}")
