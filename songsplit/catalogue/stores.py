"""Files on this machine and in object stores, behind fsspec."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from songsplit.errors import ConfigError, MissingExtraError
from songsplit.files import write_whole

_WEB = ("http", "https")
_LOCAL = ("file", "local")
_VERSION_KEYS = ("ETag", "etag", "mtime", "LastModified")  # of S3, Google, disks, memory


class Store:
    """A folder of results: local, or a prefix of an object store."""

    def __init__(self, url: str) -> None:
        self._fs, self.root = open_url(url)
        self._is_local = is_local(url)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        if self._is_local:
            write_whole(Path(self.root, name), content)
        else:
            self._fs.pipe_file(f"{self.root}/{name}", content)

    def read(self, name: str) -> bytes | None:
        """Read a file; None if there is none."""
        try:
            content: bytes = self._fs.cat_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return None
        return content

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of each file below a folder, by its path in the store."""
        # What an earlier listing saw may be gone.
        self._fs.invalidate_cache()
        found = self._fs.find(posixpath.join(self.root, folder), detail=True)
        return {path[len(self.root) + 1 :]: about["size"] for path, about in found.items()}

    def folders(self) -> list[str]:
        """Return the names of the folders directly below."""
        self._fs.invalidate_cache()
        found = self._fs.ls(self.root, detail=True)
        return [posixpath.basename(f["name"]) for f in found if f["type"] == "directory"]

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """Give a local folder whose files are in the store when the block ends well."""
        if self._is_local:
            yield Path(self.root, name)
            return
        with TemporaryDirectory(prefix="songsplit-") as folder:
            yield Path(folder)
            for path in Path(folder).iterdir():
                self._fs.put_file(str(path), f"{self.root}/{name}/{path.name}")


def open_url(url: str, *, web: bool = True) -> tuple[Any, str]:
    """Return the file system of a URL or local path, and the path in it.

    A ConfigError says that the URL is of an unknown kind, or of the web, which `web` allows.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError("fsspec", "catalogue") from error
    if scheme(url) in _WEB and not web:
        raise ConfigError(f"{url}: songs are not fetched from the web unless --web allows it")
    try:
        # Listings change while other machines work.
        options = {} if is_local(url) else {"use_listings_cache": False}
        file_system, path = url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{url}: this kind of address cannot be opened: {error}") from error
    except OSError as error:
        raise ConfigError(f"{url}: the store cannot be reached: {error}") from error
    return file_system, path.rstrip("/")


def scheme(url: str) -> str:
    """Return the part before ``://``, in lower case; "file" for a path."""
    head, separator, _ = url.partition("://")
    return head.lower() if separator else "file"


def is_local(url: str) -> bool:
    """Say whether a URL names a file on this machine."""
    return scheme(url) in _LOCAL


def absolute(url: str, base: str = "") -> str:
    """Return a URL, or an absolute path for a file of this machine.

    A relative path starts at `base`, a folder.
    """
    if not is_local(url):
        return url
    path = url.partition("://")[2] or url
    if not is_local(base) and not Path(path).is_absolute():
        return posixpath.join(base, path)
    # Links stay: what they name may move.
    return os.path.normpath(Path.cwd() / (base.partition("://")[2] or base) / path)


def version(url: str) -> str:
    """Return a text that changes when a file does: its size and its checksum or time."""
    file_system, path = open_url(url)
    about = file_system.info(path)
    changed = next((about[key] for key in _VERSION_KEYS if about.get(key)), "")
    return f"{about['size']} {changed}"


@contextmanager
def local_copy(url: str) -> Iterator[Path]:
    """Give a file of this machine, or a temporary copy of one that is elsewhere."""
    file_system, path = open_url(url)
    if is_local(url):
        yield Path(path)
        return
    with TemporaryDirectory(prefix="songsplit-") as folder:
        # The name is that of the song for those who read about errors.
        copy = Path(folder, posixpath.basename(path) or "song")
        file_system.get_file(path, str(copy))
        yield copy


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
