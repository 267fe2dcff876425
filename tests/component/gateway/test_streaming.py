"""Blobs go through memory, in both directions, with a real registry behind the gateway."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kit.gateway.running import Gateway, free_port, wait_for
from tests.kit.gateway.stage import Stage
from tests.kit.gateway.stub import Answer

BLOCK = b"berth" * 13107 + b"!"  # 64 KiB
BLOCKS = 3200  # 200 MiB
# What one worker may grow by while 200 MiB go through it: its buffers, TLS, and some slack.
GROWTH_LIMIT_KIB = 32 * 1024


def tool(name: str) -> str:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(os.environ.get("BERTH_TOOLS") or Path(base) / "berth" / "tools") / "bin"
    path = folder / name
    assert path.exists(), f"{path} is missing: run e2e/tools/build {name}"
    return str(path)


@pytest.fixture
def real_registry(tmp_path: Path) -> Iterator[int]:
    """Distribution on loopback, as the operator configures it where it matters here; yields its port."""
    port, folder = free_port(), tmp_path / "registry"
    folder.mkdir()
    configuration = tmp_path / "registry.yml"
    configuration.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', relativeurls: true, secret: only-for-this-test}}\n"
    )
    with (tmp_path / "registry.log").open("wb") as log:
        environment = {"OTEL_TRACES_EXPORTER": "none", "PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            [tool("registry"), "serve", str(configuration)], stdout=log, stderr=log, env=environment
        )
    try:
        wait_for(lambda: _listens(port))
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def streaming(stage: Stage, real_registry: int) -> Gateway:
    stage.access.respond = lambda seen: Answer(
        200, {"Berth-Upstream": f"http://127.0.0.1:{real_registry}{seen.headers['Berth-Original-URI']}"}
    )
    return stage.gateway


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def blob() -> Iterator[bytes]:
    return (BLOCK for _ in range(BLOCKS))


def blob_digest() -> str:
    digest = hashlib.sha256()
    for block in blob():
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def peak_kib(gateway: Gateway) -> int:
    """The most memory that the worker has had resident so far, in KiB (proc(5), VmHWM)."""
    (worker,) = gateway.workers()
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
    assert found
    return int(found.group(1))


def folders(gateway: Gateway) -> dict[str, int]:
    """When something was last created in each folder where nginx may put temporary files."""
    inside = (path for path in gateway.settings.output_dir.iterdir() if path.is_dir())
    return {path.name: path.stat().st_mtime_ns for path in inside}


def upload(gateway: Gateway, start: str) -> str:
    location = gateway.request("POST", start).headers["Location"]
    parts = urlsplit(location)
    assert f"{parts.scheme}://{parts.netloc}" == f"https://{gateway.address}"
    return f"{parts.path}?{parts.query}"


def test_200_mib_go_up_in_chunks_and_down_again_without_touching_the_disk(streaming: Gateway) -> None:
    digest, target = blob_digest(), "/v2/genomics/aligner/blobs"
    streaming.request("GET", "/v2/")
    memory, touched = peak_kib(streaming), folders(streaming)

    patch = streaming.request("PATCH", upload(streaming, f"{target}/uploads/"), body=blob())
    assert patch.status == 202
    after = urlsplit(patch.headers["Location"])
    put = streaming.request("PUT", f"{after.path}?{after.query}&digest={digest}")
    assert put.status == 201
    assert put.headers["Docker-Content-Digest"] == digest

    assert received(streaming, f"{target}/{digest}") == digest
    assert folders(streaming) == touched
    assert peak_kib(streaming) - memory < GROWTH_LIMIT_KIB
    assert [line for line in streaming.error_log if "temporary file" in line] == []


def test_200_mib_of_known_length_go_up_in_one_put(streaming: Gateway) -> None:
    digest = blob_digest()
    streaming.request("GET", "/v2/")
    memory, touched = peak_kib(streaming), folders(streaming)
    start = upload(streaming, "/v2/genomics/aligner/blobs/uploads/")
    length = {"Content-Length": str(len(BLOCK) * BLOCKS)}
    assert streaming.request("PUT", f"{start}&digest={digest}", length, blob()).status == 201
    assert folders(streaming) == touched
    assert peak_kib(streaming) - memory < GROWTH_LIMIT_KIB


def received(gateway: Gateway, target: str) -> str:
    digest, connection = hashlib.sha256(), gateway.connection()
    connection.request("GET", target)
    response = connection.getresponse()
    assert response.status == 200
    while block := response.read(1 << 20):
        digest.update(block)
    connection.close()
    return f"sha256:{digest.hexdigest()}"


def test_the_registry_gets_the_first_bytes_before_the_client_has_sent_the_last(streaming: Gateway) -> None:
    start = upload(streaming, "/v2/genomics/aligner/blobs/uploads/")
    folder = streaming.settings.output_dir.parent / "registry"
    connection = streaming.connection()
    connection.putrequest("PATCH", start)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    for _ in range(64):
        connection.send(b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK))
    wait_for(lambda: any(file.stat().st_size > 0 for file in folder.rglob("data")))
    connection.send(b"0\r\n\r\n")
    assert connection.getresponse().status == 202
    connection.close()


def test_a_real_client_pushes_and_pulls_over_http_2(streaming: Gateway, tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    subprocess.run(["tar", "-cf", str(layer), "-C", str(streaming.settings.tls_dir), "tls.crt"], check=True, timeout=30)
    image = f"{streaming.address}/genomics/aligner:v1"
    environment = {"SSL_CERT_FILE": str(streaming.ca_file), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    for command in (
        ["append", "--new_layer", str(layer), "--new_tag", image],
        ["pull", image, str(tmp_path / "image.tar")],
    ):
        done = subprocess.run(
            [tool("crane"), *command], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    lines = streaming.settled(4)
    assert {line["protocol"] for line in lines} == {"HTTP/2.0"}
    assert {"PUT", "GET"} <= {line["method"] for line in lines}
