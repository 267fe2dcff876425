"""A small client of the API server: JSON in, JSON out, watches as a stream of lines."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any

from node.settings import API_PORT, NODE_IP, Settings

Object = dict[str, Any]


class ApiError(OSError):
    """The API server answered with something other than success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:300]}")
        self.status = status


class Api:
    """Talks to the API server as one of the identities of `pki`."""

    def __init__(self, settings: Settings, identity: str = "admin") -> None:
        self._context = ssl.create_default_context(cafile=str(settings.pki / "ca.crt"))
        certificate = settings.pki / f"{identity}.crt"
        self._context.load_cert_chain(str(certificate), str(settings.pki / f"{identity}.key"))

    def _send(
        self, method: str, path: str, body: Object | None, content_type: str, timeout: float
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(NODE_IP, API_PORT, context=self._context, timeout=timeout)
        headers = {"Content-Type": content_type, "Accept": "application/json", "User-Agent": "test-node"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection.getresponse()

    def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        content_type: str = "application/json",
        timeout: float = 15.0,
    ) -> Object:
        """One request; ApiError unless it succeeds."""
        try:
            answer = self._send(method, path, body, content_type, timeout)
            text = answer.read().decode()
        except http.client.HTTPException as problem:
            raise OSError(str(problem)) from problem
        if answer.status >= 300:
            raise ApiError(answer.status, text)
        return dict(json.loads(text)) if text.startswith("{") else {"text": text}

    def get(self, path: str) -> Object:
        return self.call("GET", path)

    def merge(self, path: str, body: Object) -> Object:
        """Merge a part into an object."""
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def watch(self, path: str, version: str, seconds: int = 300) -> Iterator[Object]:
        """The events of a collection since a version, until the API server ends the stream."""
        query = f"watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={seconds}"
        answer = self._send("GET", f"{path}?{query}", None, "application/json", seconds + 30.0)
        if answer.status >= 300:
            raise ApiError(answer.status, answer.read().decode())
        for line in answer:
            yield json.loads(line)
