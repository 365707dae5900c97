"""Responses of the page's server, and refused requests."""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import songsplit
from songsplit.errors import DeviceError
from songsplit.web.server import PageServer
from tests.web.conftest import EXAMPLE


def ask(
    server: PageServer,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    token: str | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.request(method, f"/{token or server.token}/{path}", body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def messages(stream: bytes) -> list[tuple[dict[str, Any], bytes]]:
    found = []
    while stream:
        (size,) = struct.unpack("<I", stream[:4])
        head = json.loads(stream[4 : 4 + size])
        end = 4 + size + head["bytes"]
        found.append((head, stream[4 + size : end]))
        stream = stream[end:]
    return found


def a_song(seconds: float = 3, rate: int = 22050, channels: int = 1) -> bytes:
    noise = np.random.default_rng(0).normal(0, 0.1, (int(seconds * rate), channels))
    file = io.BytesIO()
    soundfile.write(file, noise, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


@pytest.mark.parametrize("path", ["", "api/engine"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "guessed"},
        {"Host": "attacker.example"},
        {"Host": "attacker.example:80"},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_only_the_page_itself_is_answered(
    server: PageServer, path: str, wrong: dict[str, str]
) -> None:
    assert ask(server, path, **wrong)[0] == 403  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    ["../server.py", "..%2Fserver.py", "/etc/passwd", "%2e%2e/__init__.py", "vendor", "vendor/"],
)
def test_files_outside_of_the_page_are_not_served(server: PageServer, path: str) -> None:
    assert ask(server, path)[0] == 404


def test_the_page_may_reach_nothing_but_its_server(server: PageServer) -> None:
    status, headers, body = ask(server, "", Origin=f"http://127.0.0.1:{server.server_port}")
    assert status == 200
    assert b"default-src 'none'" in body
    assert b"connect-src 'self'" in body
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"


def test_the_engine_names_models_formats_and_given_songs(server: PageServer) -> None:
    engine = json.loads(ask(server, "api/engine")[2])
    assert [model["name"] for model in engine["models"]] == ["default", "open"]
    assert {"wav", "flac", "mp3"} <= set(engine["formats"])
    assert engine["songs"] == [EXAMPLE.name]


def test_stems_come_as_the_library_makes_them(server: PageServer) -> None:
    song = a_song()
    expected = songsplit.separate(io.BytesIO(song), device="cpu")
    status, _, stream = ask(server, "api/separate?name=a.wav", method="POST", body=song)
    (start, _), *stems, (end, _) = messages(stream)
    assert status == 200
    assert start["sampleRate"] == 22050
    assert start["channels"] == 1
    assert start["seconds"] == 3
    assert end["type"] == "end"
    parts = [np.frombuffer(data, "<f4").reshape(2, 1, -1) for _, data in stems]
    vocals, instrumental = np.concatenate(parts, axis=-1)
    assert vocals.shape == expected.vocals.shape
    np.testing.assert_allclose(vocals, expected.vocals, atol=1e-4)
    mixture, _ = soundfile.read(io.BytesIO(song), dtype="float32", always_2d=True)
    np.testing.assert_allclose(vocals + instrumental, mixture.T, atol=1e-6)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("api/separate?given=1", None, 404, "song not found"),
        ("api/separate?given=-5", None, 404, "song not found"),
        ("api/separate?model=/tmp/x.safetensors", b"x", 422, "no model"),
        ("api/encode?format=exe&rate=44100&channels=1", b"\0" * 8, 400, "exe"),
        ("api/encode?format=wav&rate=44100&channels=0", b"\0" * 8, 400, "no samples"),
        ("api/encode?format=wav&rate=0&channels=1", b"\0" * 8, 400, "no samples"),
        ("api/encode?format=wav&channels=1", b"\0" * 8, 400, "rate"),
    ],
)
def test_wrong_requests_are_refused_by_name(
    server: PageServer, path: str, body: bytes | None, status: int, said: str
) -> None:
    found, _, answer = ask(server, path, method="POST", body=body)
    assert found == status
    assert said in json.loads(answer)["error"]


def test_what_is_no_song_is_said_with_its_own_name(server: PageServer) -> None:
    _, _, stream = ask(server, "api/separate?name=notes.txt", method="POST", body=b"la la" * 99)
    ((head, _),) = messages(stream)
    assert head["type"] == "error"
    assert head["message"].startswith("notes.txt")


def test_downloads_are_files_of_the_format(server: PageServer) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 44100)).astype("<f4")
    query = "api/encode?format=flac&rate=44100&channels=2"
    status, _, body = ask(server, query, method="POST", body=samples.tobytes())
    read, rate = soundfile.read(io.BytesIO(body), dtype="float32")
    assert status == 200
    assert rate == 44100
    np.testing.assert_allclose(read.T, samples, atol=2**-15)


def test_a_page_that_goes_away_makes_room_for_the_next(server: PageServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    path = f"/{server.token}/api/separate?name=long.wav"
    connection.request("POST", path, a_song(seconds=120))
    connection.getresponse().read(4)
    connection.close()
    _, _, stream = ask(server, "api/separate?name=short.wav", method="POST", body=a_song(1))
    assert messages(stream)[-1][0]["type"] == "end"


def sent(server: PageServer, request: str, *headers: str, body: bytes = b"") -> bytes:
    """Send raw bytes; return the response until the server closes the connection."""
    host = f"Host: 127.0.0.1:{server.server_port}"
    head = "\r\n".join([f"{request} HTTP/1.1", host, *headers, "", ""]).encode()
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as connection:
        connection.sendall(head + body)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "api/engine", ["content-length: 99"]),
        ("GET", "api/engine", ["Transfer-Encoding: chunked"]),
        ("POST", "api/separate?given=9", ["Content-Length: 99"]),
        ("POST", "api/encode?format=wav&rate=8000&channels=1", ["Content-Length: 4"] * 2),
        ("POST", "api/encode?format=exe&rate=8000&channels=1", ["Content-Length: 0"]),
    ],
)
def test_what_follows_a_request_with_a_body_is_no_request(
    server: PageServer, method: str, path: str, headers: list[str]
) -> None:
    second = f"GET /{server.token}/icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    answer = sent(server, f"{method} /{server.token}/{path}", *headers, body=bytes(4) + second)
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        ("http://[", "0", 400),
        ("api/separate", "9" * 5000, 411),
        ("api/separate", "-1", 411),
        ("api/separate", str(5 << 30), 413),
    ],
)
def test_malformed_requests_are_refused(
    server: PageServer, path: str, length: str, status: int
) -> None:
    path = path if ":" in path else f"/{server.token}/{path}"
    answer = sent(server, f"POST {path}", f"Content-Length: {length}")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_many_connections_at_once_are_taken(server: PageServer) -> None:
    begin = time.monotonic()
    address = ("127.0.0.1", server.server_port)
    connections = [socket.create_connection(address, timeout=30) for _ in range(64)]
    assert ask(server, "api/engine")[0] == 200
    assert time.monotonic() - begin < 10
    for connection in connections:
        connection.close()


def test_nothing_of_an_unfinished_upload_is_kept() -> None:
    with PageServer(device="cpu") as server:
        folder = Path(server.uploads.name)
        (folder / "song").touch()
    assert not folder.exists()


def test_a_device_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(DeviceError, match="no-such"):
        PageServer(device="no-such")
