"""A DNS server on loopback with one address for every name, in place of the cluster's DNS.

Source: RFC 1035, 4.1 (messages).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_ANSWER, _A, _IN, _SECONDS = 0x8180, 1, 1, 60


@contextlib.contextmanager
def names_server(address: str) -> Iterator[int]:
    """Answer every question for an IPv4 address with this one until the block ends; the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(server, socket.inet_aton(address)))
        thread.start()
        port = int(server.getsockname()[1])
        try:
            yield port
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", port))
            thread.join()


def _serve(server: socket.socket, address: bytes) -> None:
    while True:
        question, client = server.recvfrom(512)
        if not question:
            return
        server.sendto(reply(question, address), client)


def reply(question: bytes, address: bytes) -> bytes:
    """The answer to one question: one address for type A, none for any other type."""
    end = question.index(b"\0", 12) + 5  # the name's root, then type and class
    kind, _ = struct.unpack("!HH", question[end - 4 : end])
    record = b"\xc0\x0c" + struct.pack("!HHIH", _A, _IN, _SECONDS, 4) + address if kind == _A else b""
    header = question[:2] + struct.pack("!HHHHH", _ANSWER, 1, 1 if record else 0, 0, 0)
    return header + question[12:end] + record
