"""Measure the page as a static site in Chromium.

``python benchmarks/web.py`` prints, for one and for several threads, the speed, the seconds from
the drop of a song to the first samples, and the peak memory of the page's process. It also prints
the size of the download at a first visit. It needs the extra dev and Chromium.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table

from songsplit.web.site import export_site

EXAMPLE = Path(__file__).parents[1] / "examples" / "lithium.ogg"
SECONDS = 180
TIMEOUT = 600


class Host(SimpleHTTPRequestHandler):
    """A host of static files, which isolates the page for several threads."""

    def __init__(self, *args: Any, isolated: bool, **kwargs: Any) -> None:
        self.isolated = isolated
        types = {".mjs": "text/javascript", ".wasm": "application/wasm"}
        self.extensions_map = {**self.extensions_map, **types}
        super().__init__(*args, **kwargs)

    def end_headers(self) -> None:
        """Add the headers that isolate the page."""
        if self.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def song(folder: Path) -> Path:
    """Write a song of three minutes."""
    samples, rate = soundfile.read(EXAMPLE, dtype="float32")
    repeats = int(np.ceil(SECONDS * rate / len(samples)))
    path = folder / "song.flac"
    soundfile.write(path, np.tile(samples, (repeats, 1))[: SECONDS * rate], rate)
    return path


def peak_memory() -> int:
    """Return the largest peak of all renderer processes so far, in bytes."""
    peaks = [0]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" in (process / "cmdline").read_bytes():
                for line in (process / "status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        peaks.append(1024 * int(line.split()[1]))
        except OSError:
            continue
    return max(peaks)


def measure(browser: Browser, address: str, path: Path) -> tuple[float, float, int]:
    """Return the factor of real time, seconds to the first samples, and peak bytes."""
    page = browser.new_context(service_workers="block").new_page()
    page.goto(address)
    page.wait_for_timeout(3000)  # a user needs this time to choose a song
    start = time.perf_counter()
    page.set_input_files("#files", path)
    first = 0.0
    while page.evaluate("songsplit.songs[0]?.state") != "done":
        if not first and page.evaluate("songsplit.songs[0]?.frames"):
            first = time.perf_counter() - start
        if time.perf_counter() - start > TIMEOUT:
            raise SystemExit("the page has not finished the song in time")
        page.wait_for_timeout(20)
    return SECONDS / (time.perf_counter() - start), first, peak_memory()


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        site = Path(name) / "site"
        export_site(site)
        path = song(Path(name))
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        table = Table("threads", "times real time", "first samples, s", "peak of the page, MB")
        for isolated in (False, True):
            handler = partial(Host, directory=str(site), isolated=isolated)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                address = f"http://127.0.0.1:{server.server_port}/"
                speed, first, peak = measure(browser, address, path)
                server.shutdown()
            browser.close()
            shown = "several" if isolated else "1"
            table.add_row(shown, f"{speed:.1f}", f"{first:.2f}", f"{peak / 1e6:.0f}")
        kept = json.loads((site / "api" / "engine").read_text(encoding="utf-8"))["files"]
        contents = [(site / file).read_bytes() for file in kept]
    raw = sum(map(len, contents)) / 1e6
    packed = sum(len(gzip.compress(content, 9)) for content in contents) / 1e6
    console = Console()
    console.print(table)
    console.print(f"A first visit downloads {raw:.1f} MB, {packed:.1f} MB with gzip.")


if __name__ == "__main__":
    main()
