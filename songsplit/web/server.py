"""The server of the page. It serves only this machine, and songs never leave it.

The page receives stems as a stream of messages. A message is the length of its head as a 32-bit
little-endian integer, the head as JSON, and as many bytes as ``bytes`` in the head states. Types
are ``waiting`` (another song is being separated), ``start`` (``sampleRate``, ``channels``,
``seconds``, ``song``), ``stems`` (float32 samples: all channels of the vocals, then all channels
of the rest), ``end``, and ``error`` (``message``).
"""

from __future__ import annotations

import hmac
import json
import secrets
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any, cast, get_args
from urllib.parse import parse_qs, urlsplit

import numpy as np

import songsplit
from songsplit.audio import OutputFormat, StemFilesWriter, Tags, open_audio, read_tags
from songsplit.audio.arrays import MAX_CHANNELS, MAX_SAMPLE_RATE
from songsplit.audio.formats import FormatName
from songsplit.errors import ConfigError, SongsplitError
from songsplit.inference import QUALITIES
from songsplit.inference.engine import choose_device
from songsplit.separator import Separator

PAGE = Path(str(files("songsplit.web") / "page"))
"""The folder of the page's files."""

_MAX_UPLOAD_BYTES = 4 << 30
_MAX_TAGS = 100  # songs whose tags are remembered for downloads
_PIECE_BYTES = 1 << 20
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_HEADERS = {
    # The page itself contains the rest of its policy, which also applies on other servers.
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class RequestError(Exception):
    """A refused request, with the status of the response."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class PageServer(ThreadingHTTPServer):
    """Serves the page and separates songs for it, one at a time.

    `songs` are files that the page opens at the start. Port 0 selects a free port. The address
    contains a secret token, without which the server refuses every request.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, songs: Sequence[Path] = (), *, port: int = 0, device: str | None = None
    ) -> None:
        choose_device(device)  # raises for an invalid name
        super().__init__(("127.0.0.1", port), _Handler)
        self.songs = list(songs)
        self.token = secrets.token_urlsafe(16)
        self.uploads = tempfile.TemporaryDirectory(prefix="songsplit-", ignore_cleanup_errors=True)
        port_in_host = "" if self.server_port == 80 else f":{self.server_port}"
        self.hosts = {name + port_in_host for name in ("127.0.0.1", "localhost")}
        self.tags: dict[str, Tags] = {}
        self.at_work = threading.Lock()
        self.page = _page_files()
        self.separator = cache(lambda model, quality: Separator(model, device, quality=quality))

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def get_ready(self) -> None:
        """Load the default model before the first song arrives."""
        with self.at_work:
            self.separator("default", "balanced")

    def server_close(self) -> None:
        """Close the server and remove the songs of unfinished requests."""
        super().server_close()
        self.uploads.cleanup()

    def folder(self) -> tempfile.TemporaryDirectory[str]:
        """Return a temporary folder for the files of one request."""
        return tempfile.TemporaryDirectory(dir=self.uploads.name, ignore_cleanup_errors=True)

    def remember(self, tags: Tags) -> str:
        """Keep the tags of a song for downloads, and return the song's name for the page."""
        song = secrets.token_hex(4)
        self.tags[song] = tags
        while len(self.tags) > _MAX_TAGS:
            self.tags.pop(next(iter(self.tags)))
        return song


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds of inactivity
    server: PageServer

    def do_GET(self) -> None:
        self._answer({"api/engine": self._engine})

    def do_POST(self) -> None:
        self._answer({"api/separate": self._separate, "api/encode": self._encode})

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the terminal shows the address, and the page shows errors."""

    def _answer(self, calls: dict[str, Any]) -> None:
        # Unread bytes of a body would be parsed as the next request.
        bodies = ("Content-Length", "Transfer-Encoding")
        if self.command == "POST" or any(name in self.headers for name in bodies):
            self.close_connection = True
        try:
            path = self._checked_path()
            if path in calls:
                calls[path]()
            elif self.command == "GET" and path in self.server.page:
                self._send(self.server.page[path], _TYPES[Path(path).suffix])
            else:
                raise RequestError(HTTPStatus.NOT_FOUND, "page not found")
        except RequestError as error:
            self._refuse(error.status, str(error))
        except SongsplitError as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except ConnectionError:  # the page was closed
            self.close_connection = True

    def _checked_path(self) -> str:
        """Return the path below the token; refuse other origins and other host names."""
        host, origin = self.headers.get("Host"), self.headers.get("Origin")
        try:
            address = urlsplit(self.path)
        except ValueError as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"invalid address: {error}") from error
        token, _, path = address.path.lstrip("/").partition("/")
        self.query = {key: values[0] for key, values in parse_qs(address.query).items()}
        if (
            host not in self.server.hosts
            or origin not in (None, f"http://{host}")
            or not hmac.compare_digest(token.encode(), self.server.token.encode())
        ):
            raise RequestError(HTTPStatus.FORBIDDEN, "use the address that songsplit app shows")
        return path or "index.html"

    def _engine(self) -> None:
        models = songsplit.list_models()
        self._send_json(
            {
                "kind": "local",
                "version": songsplit.__version__,
                "models": [{"name": m.name, "terms": m.card.get("terms", "")} for m in models],
                "qualities": list(QUALITIES),
                "formats": [name for name in get_args(FormatName) if name != "stem.mp4"],
                "songs": [path.name for path in self.server.songs],
            }
        )

    def _separate(self) -> None:
        model, quality = self.query.get("model", "default"), self.query.get("quality", "balanced")
        # The page cannot name files of weights, so no path from a request reaches the disk.
        if model not in {info.name for info in songsplit.list_models()}:
            raise ConfigError(f"there is no model {model!r}")
        with self._song() as (path, name):
            self.send_response(HTTPStatus.OK)
            self._send_headers("application/octet-stream", {"Transfer-Encoding": "chunked"})
            try:
                while not self.server.at_work.acquire(timeout=1):
                    self._message({"type": "waiting"})
                try:
                    self._stream(self.server.separator(model, quality), path)
                finally:
                    self.server.at_work.release()
                self._message({"type": "end"})
            except SongsplitError as error:
                message = str(error).replace(str(path), name)
                self._message({"type": "error", "message": message})
            self.wfile.write(b"0\r\n\r\n")

    def _stream(self, separator: Separator, path: Path) -> None:
        with open_audio(path) as reader:
            info = reader.info
        start = {
            "type": "start",
            "sampleRate": info.sample_rate,
            "channels": info.channels,
            "seconds": info.seconds,
            "song": self.server.remember(read_tags(path)),
        }
        self._message(start)
        for stems in separator.stream(path):
            pair = np.stack([stems["vocals"], stems.karaoke()])
            self._message({"type": "stems"}, pair.astype("<f4", copy=False).tobytes())

    def _encode(self) -> None:
        """Encode float32 samples from the page in an output format."""
        try:
            rate, channels = int(self.query["rate"]), int(self.query["channels"])
            output = OutputFormat(cast("FormatName", self.query["format"]))
        except (KeyError, ValueError) as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"invalid request: {error}") from error
        with self.server.folder() as folder:
            raw, path = Path(folder) / "raw", Path(folder) / "result"
            self._receive(raw)
            frames = raw.stat().st_size // (4 * max(channels, 1))
            if not (1 <= channels <= MAX_CHANNELS and 1 <= rate <= MAX_SAMPLE_RATE and frames):
                raise RequestError(HTTPStatus.BAD_REQUEST, "invalid request: no samples")
            samples = np.memmap(raw, "<f4", "r", shape=(channels, frames))
            tags, stem = self.server.tags.get(self.query.get("song", "")), self.query.get("stem")
            tags = tags.of_stem(stem) if tags and stem else tags
            with StemFilesWriter(
                {"": path}, rate, channels, output=output, tags=tags, guarded=True
            ) as writer:
                for begin in range(0, frames, 10 * rate):
                    block = samples[:, begin : begin + 10 * rate]
                    writer.write({"": np.ascontiguousarray(block, np.float32)})
            del samples  # Windows cannot remove a mapped file
            self._send(path.read_bytes(), "application/octet-stream")

    @contextmanager
    def _song(self) -> Iterator[tuple[Path, str]]:
        """Yield the file to separate and its name, from the command line or an upload."""
        if "given" in self.query:
            try:
                path = self.server.songs[int(self.query["given"])]
            except (ValueError, IndexError) as error:
                raise RequestError(HTTPStatus.NOT_FOUND, "song not found") from error
            yield path, path.name
            return
        with self.server.folder() as folder:
            path = Path(folder) / "song"
            self._receive(path)
            yield path, self.query.get("name", "the song")

    def _receive(self, path: Path) -> None:
        """Write the body of the request to a file."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 18:
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "the length of the song is missing")
        left = int(length)
        if left > _MAX_UPLOAD_BYTES:
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the file is larger than 4 GiB")
        try:
            with path.open("wb") as file:
                while left:
                    piece = self.rfile.read(min(left, _PIECE_BYTES))
                    if not piece:
                        raise ConnectionAbortedError
                    file.write(piece)
                    left -= len(piece)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            message = f"the song cannot be stored on disk ({error.strerror}); free some space"
            raise RequestError(HTTPStatus.INSUFFICIENT_STORAGE, message) from error

    def _message(self, head: dict[str, Any], data: bytes = b"") -> None:
        text = json.dumps({**head, "bytes": len(data)}).encode()
        message = struct.pack("<I", len(text)) + text + data
        self.wfile.write(f"{len(message):x}\r\n".encode() + message + b"\r\n")

    def _send_json(self, content: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _send(self, data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self._send_headers(kind, {"Content-Length": str(len(data))})
        self.wfile.write(data)

    def _send_headers(self, kind: str, headers: dict[str, str]) -> None:
        for name, value in {"Content-Type": kind, **headers, **_HEADERS}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        # The rest of the request's body stays unread.
        self.close_connection = True
        self._send_json({"error": message}, status)


def _page_files() -> dict[str, bytes]:
    """Read the files of the page, by their paths in addresses; no other files are served."""
    return {
        path.relative_to(PAGE).as_posix(): path.read_bytes()
        for path in PAGE.rglob("*")
        if path.suffix in _TYPES
    }
