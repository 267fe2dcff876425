"""The authorities that the node and its clients trust: the machine's and, once it is known, the registry's."""

from __future__ import annotations

from pathlib import Path

from node.settings import ClusterError, Settings

MACHINE_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def prepare(settings: Settings) -> None:
    """The bundle without the registry's authority, and what containers' clients need in /etc."""
    settings.trust.mkdir(parents=True, exist_ok=True)
    (settings.trust / "containerd").mkdir(exist_ok=True)
    settings.bundle.write_bytes(MACHINE_BUNDLE.read_bytes())
    containers = settings.data / "over" / "etc-containers"
    containers.mkdir(parents=True, exist_ok=True)
    files = {
        "policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
        "registries.conf": "unqualified-search-registries = []\n",
        "storage.conf": '[storage]\ndriver = "overlay"\nrunroot = "/run/containers/storage"\n'
        'graphroot = "/var/lib/containers/storage"\n',
        "containers.conf": '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n',
    }
    for name, text in files.items():
        (containers / name).write_text(text)


def trust(settings: Settings, authority: Path, host: str) -> None:
    """Make every client on the node trust an authority for a host name. Nothing needs a restart."""
    pem = authority.read_text()
    if "BEGIN CERTIFICATE" not in pem:
        raise ClusterError(f"{authority} holds no PEM certificate")
    _replace(settings.registry_ca, pem)
    _replace(settings.bundle, f"{MACHINE_BUNDLE.read_text()}\n{pem}")
    for folder in ("etc-docker", "etc-containers"):
        _replace(settings.data / "over" / folder / "certs.d" / host / "ca.crt", pem)
    place = settings.trust / "containerd" / host
    _replace(place / "ca.crt", pem)
    _replace(place / "hosts.toml", f'server = "https://{host}"\nca = "{place / "ca.crt"}"\n')


def _replace(path: Path, text: str) -> None:
    """Write a file so that a client that reads it at this moment finds the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)
