"""Program that speaks HTTP byte for byte inside the cluster's namespaces: a request a line on stdin, an answer a line
on stdout, as JSON. Nothing is normalised: the request target and the header values go out as they are.

Standard library alone, because it runs with any Python. `e2e/suite/http.py` starts it and documents the fields.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import sys
import threading
from typing import Any

TIMEOUT_SECONDS = 60.0


def _connect(request: dict[str, Any], trust: ssl.SSLContext) -> socket.socket:
    host, port = request["address"]
    plain = socket.create_connection((host, port), timeout=request.get("timeout", TIMEOUT_SECONDS))
    return trust.wrap_socket(plain, server_hostname=request["server_name"]) if request["tls"] else plain


def _head(request: dict[str, Any], length: int) -> bytes:
    """The request line and the headers; Latin-1, so that any byte can be sent."""
    lines = [f"{request['method']} {request['target']} HTTP/1.1"]
    given = {name.lower() for name, _ in request["headers"]}
    lines += [f"{name}: {value}" for name, value in request["headers"]]
    if "host" not in given:
        lines.append(f"Host: {request['server_name']}")
    if "content-length" not in given and "transfer-encoding" not in given:
        lines.append(f"Content-Length: {length}")
    lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _exchange(request: dict[str, Any], trust: ssl.SSLContext) -> dict[str, Any]:
    body = base64.b64decode(request["body"])
    with contextlib.closing(_connect(request, trust)) as connection:
        if request.get("cut") is not None:
            connection.sendall(_head(request, len(body)) + body[: request["cut"]])
            return {"cut": True}
        # A server that refuses early answers before it has read all; what it said counts.
        with contextlib.suppress(ConnectionError):
            connection.sendall(_head(request, len(body)) + body)
        response = http.client.HTTPResponse(connection, method=request["method"])
        response.begin()
        content = response.read()
        return {
            "status": response.status,
            "headers": [[name.lower(), value] for name, value in response.getheaders()],
            "body": base64.b64encode(content).decode(),
        }


def _answer(request: dict[str, Any], trust: ssl.SSLContext) -> dict[str, Any]:
    try:
        return _exchange(request, trust)
    except (OSError, http.client.HTTPException) as problem:
        return {"failure": f"{type(problem).__name__}: {problem}"}


def main() -> None:
    """Answers until stdin ends; requests run beside each other, and answers carry the request's `id`."""
    trust = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
    writing = threading.Lock()

    def serve(request: dict[str, Any]) -> None:
        answer = json.dumps({**_answer(request, trust), "id": request["id"]})
        with writing:
            sys.stdout.write(f"{answer}\n")
            sys.stdout.flush()

    for line in sys.stdin:
        threading.Thread(target=serve, args=(json.loads(line),), daemon=True).start()


if __name__ == "__main__":
    main()
