"""How a client reaches one API server: address, TLS, credentials (`rest.Config` of client-go)."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from berth.kube.errors import KubeError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS: Final = 60.0  # a token file is read again after this time, because the kubelet rotates it


class NoClusterError(KubeError):
    """No way to a cluster: no kubeconfig, an unusable one, or no ServiceAccount."""


def no_authorization() -> None:
    """No Authorization header: anonymous, or identified by a client certificate."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Address, TLS and credentials. `authorization` returns the current Authorization header, if any."""

    server: str
    ca_file: str | None = None  # None: the certificate authorities of the system
    certificate_file: str | None = None
    key_file: str | None = None
    insecure: bool = False
    tls_server_name: str | None = None
    proxy: str | None = None
    authorization: Callable[[], str | None] = field(default=no_authorization, repr=False)

    def ssl_context(self) -> ssl.SSLContext:
        """TLS for this server. Raises OSError for a file that is missing or is not PEM."""
        for file in filter(None, (self.ca_file, self.certificate_file, self.key_file)):
            Path(file).open("rb").close()  # its error names the file, unlike that of ssl
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file, self.key_file)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class TokenFile:
    """The Authorization header with the token of a file, read again every minute."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._header = ""
        self._read_at = float("-inf")

    def __call__(self) -> str:
        """The header. A later read that fails keeps the last one, as client-go does.

        Raises OSError when the file was never read, and NoClusterError when it has no token.
        """
        if self._clock() - self._read_at >= TOKEN_SECONDS:
            try:
                self._header = f"Bearer {self._read()}"
            except (OSError, NoClusterError):
                if not self._header:
                    raise
            self._read_at = self._clock()
        return self._header

    def _read(self) -> str:
        token = self._path.read_text().strip()
        if not token:
            raise NoClusterError(f"The token file {self._path} is empty.")
        if not token.isprintable():
            raise NoClusterError(f"The token file {self._path} has more than a token.")
        return token


def in_cluster() -> ClientConfig:
    """The API server as the Pod's ServiceAccount. Raises NoClusterError outside a Pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise NoClusterError("This is no Pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set.")
    token_file, ca_file = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    for file in (token_file, ca_file):
        if not file.is_file():
            raise NoClusterError(f"The Pod's ServiceAccount is not mounted: {file} is missing.")
    address = f"[{host}]" if ":" in host else host
    return ClientConfig(f"https://{address}:{port}", ca_file=str(ca_file), authorization=TokenFile(token_file))
