"""The page as a static site that separates songs in the visitor's browser."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile

import songsplit
from songsplit.errors import OutputExistsError
from songsplit.models.weights import load_network
from songsplit.web.server import PAGE
from songsplit.web.site import export_site
from tests.contract.material import command
from tests.web.conftest import CHROMIUM, EXAMPLE
from tests.web.test_page import done, downloaded, wait_until

pytestmark = pytest.mark.slow


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map: ClassVar = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "site"
    export_site(folder)
    return folder


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the site like a host of static files; yield its address."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The address of the site."""
    with serving(site) as found:
        yield found


@pytest.fixture(scope="module")
def precise_address(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site whose network computes in float32."""
    folder = tmp_path_factory.mktemp("precise") / "site"
    shutil.copytree(site, folder)
    network = load_network()
    assert network is not None
    (folder / "model.onnx").write_bytes(network)
    with serving(folder) as found:
        yield found


def test_the_network_of_the_site_is_one_that_ships(site: Path) -> None:
    assert (site / "model.onnx").read_bytes() == load_network(int8=True)


def test_export_writes_the_network_that_ships(tmp_path: Path) -> None:
    done = command("export", "default", str(tmp_path / "my.onnx"))
    assert done.code == 0, done
    assert (tmp_path / "my.onnx").read_bytes() == load_network()
    assert command("export", "default", str(tmp_path / "my.onnx")).code == 1


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError, match="already exists"):
        export_site(tmp_path)


def test_an_export_that_fails_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("songsplit.web.site.shutil.copytree", fail)
    with pytest.raises(KeyboardInterrupt):
        export_site(tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_vendored_libraries_are_those_that_are_named() -> None:
    table = (PAGE / "vendor" / "README.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| `([^`]+)` .* `([0-9a-f]{64})` \|$", table, re.MULTILINE))
    found = {}
    for path in (PAGE / "vendor").iterdir():
        if path.suffix != ".md":
            content = path.read_bytes()
            content = gzip.decompress(content) if path.suffix == ".gz" else content
            found[path.name] = hashlib.sha256(content).hexdigest()
    assert named == found


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("kind", ["song", "only the left side", "opposite sides", "mono"])
def test_the_browser_separates_as_the_library_does(
    browser: Any, precise_address: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, rate = soundfile.read(EXAMPLE, dtype="float32")
    short = samples[: 8 * rate]
    songs = {
        "song": samples,
        "only the left side": short * np.float32([1, 0]),
        "opposite sides": short * np.float32([1, -1]),
        "mono": short[:, 0],
    }
    soundfile.write(tmp_path / "song.wav", songs[kind], rate)
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(precise_address)
    page.set_input_files("#files", tmp_path / "song.wav")
    done(page)
    _, content = downloaded(page, "vocals", "wav")
    vocals, found_rate = soundfile.read(io.BytesIO(content), dtype="float32")
    monkeypatch.setattr("songsplit.inference.engine.has_quick_integers", lambda: False)
    # The page uses shorter chunks, because browsers have less memory.
    monkeypatch.setattr("songsplit.inference.onnx_engine.OnnxEngine.chunk_seconds", 18.0)
    expected = songsplit.separate(tmp_path / "song.wav", device="cpu").vocals.T
    expected = expected[:, 0] if kind == "mono" else expected
    error = np.sum((vocals - expected) ** 2) / np.sum(expected**2)
    assert found_rate == rate
    assert 10 * np.log10(error) < -60
    if kind == "mono":
        for name in ("flac", "mp3"):
            _, content = downloaded(page, "vocals", name)
            assert soundfile.info(io.BytesIO(content)).format == name.upper()
    assert not errors


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_site_works_offline_after_the_first_visit(browser: Any, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    wait_until(page, "caches.match('model.onnx').then(Boolean)")
    context.set_offline(True)
    page.reload()
    page.set_input_files("#files", EXAMPLE)
    done(page)
    # Several threads need an isolated page.
    assert page.evaluate("crossOriginIsolated")
    assert "44.1 kHz" in page.inner_text("#downloads")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_new_version_of_the_site_replaces_the_old_one(
    browser: Any, site: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(site, tmp_path / "site")
    (version,) = re.findall(r"[0-9a-f]{16}", (site / "offline.js").read_text("utf-8"))
    changes = {"offline.js": (version, "newer"), "style.css": (":root {", ":root { --new: yes;")}
    page = browser.new_context().new_page()
    with serving(folder) as address:
        page.goto(address)
        # Browsers check for a new version while the old one runs.
        wait_until(page, "navigator.serviceWorker.controller?.state === 'activated'")
        for name, (old, new) in changes.items():
            text = (folder / name).read_text(encoding="utf-8")
            (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        page.reload()
        wait_until(page, "caches.keys().then((keys) => keys[0].endsWith('newer') && !keys[1])")
        page.reload()
        style = "getComputedStyle(document.body).getPropertyValue('--new')"
        assert page.evaluate(style).strip() == "yes"
    page.context.close()


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_what_the_browser_cannot_read_is_said(browser: Any, address: str, tmp_path: Path) -> None:
    notes = shutil.copy(__file__, tmp_path / "notes.mp3")
    (tmp_path / "empty.mp3").touch()
    page = browser.new_page()
    page.goto(address)
    page.set_input_files("#files", str(notes))
    wait_until(page, "songsplit.songs[0]?.state === 'failed'")
    assert "cannot read notes.mp3" in page.text_content("#notice")
    page.set_input_files("#files", str(tmp_path / "empty.mp3"))
    wait_until(page, "songsplit.songs[1]?.state === 'failed'")
    page.click("#queue >> text=empty")
    assert page.text_content("#notice") == "empty.mp3: the file is empty"
    message = page.evaluate(
        """import("./encoding.js").then(({ encode }) =>
            encode(Array(6).fill(new Float32Array(9)), 44100, "mp3").catch(({ message }) => message)
        )"""
    )
    assert message == "mp3 files have at most 2 channels, not 6"
