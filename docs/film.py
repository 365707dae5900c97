"""Film the page for the README: ``python docs/film.py`` (needs the dev extra and Chromium).

The film runs in real time: a song is dropped, its stems appear and play, and buttons and a slider
change what plays.
"""

from __future__ import annotations

import base64
import io
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, sync_playwright

from songsplit.web.server import PageServer

IMAGES = Path(__file__).parent / "images"
EXAMPLE = Path(__file__).parents[1] / "examples" / "lithium.ogg"
SIZE: Any = {"width": 720, "height": 656}
SCALE, CAPTION = 1.25, 64  # the caption's height is in image pixels
DARK, POINTER = "#1d2027", ((0, 0), (0, 27), (6, 21), (11, 32), (16, 30), (11, 19), (20, 19))
BUTTONS = {"Mute the vocals": "mute", "Hear the vocals alone": "solo"}
DROP = """([name, content]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer(), file = new File([bytes], name);
    dataTransfer.items.add(file);
    document.dispatchEvent(new DragEvent("drop", { dataTransfer }));
}"""


class Film:
    """Frames of a page, with a caption, the pointer, and the name of the file that it carries."""

    def __init__(self, page: Page) -> None:
        self._page, self._at, self.caption, self.carried = page, (560.0, 560.0), "", ""
        self._font = ImageFont.truetype(findfont("DejaVu Sans:bold"), 30)
        self.frames: list[Image.Image] = []
        self.durations: list[int] = []  # milliseconds

    def shoot(self, seconds: float, until: str = "true") -> None:
        """Add frames for some time, and then until an expression holds."""
        start = now = time.monotonic()
        while now < start + seconds or not self._page.evaluate(until):
            self.frames.append(self._drawn(Image.open(io.BytesIO(self._page.screenshot()))))
            time.sleep(max(0.0, now + 0.1 - time.monotonic()))
            self.durations.append(round(1000 * (time.monotonic() - now)))
            now = time.monotonic()

    def go(self, place: str, share: float = 0.5) -> None:
        """Move the pointer to an element, at a share of its width."""
        box: Any = self._page.locator(place).bounding_box()
        (x, y), to_x, to_y = self._at, box["x"] + share * box["width"], box["y"] + box["height"] / 2
        for part in (0.1, 0.35, 0.65, 0.9, 1.0):
            self._at = (x + part * (to_x - x), y + part * (to_y - y))
            self._page.mouse.move(*self._at)
            self.shoot(0.01)

    def _drawn(self, shot: Image.Image) -> Image.Image:
        frame = Image.new("RGB", (shot.width, shot.height + CAPTION), DARK)
        frame.paste(shot)
        pen, (x, y) = ImageDraw.Draw(frame), (SCALE * part for part in self._at)
        if self.carried:
            pen.rounded_rectangle((x + 8, y + 12, x + 216, y + 60), 8, "white", "#d8481f", 2)
            pen.text((x + 112, y + 36), self.carried, DARK, self._font, "mm")
        pen.polygon([(x + a, y + b) for a, b in POINTER], DARK, "white", 2)
        middle = (shot.width / 2, shot.height + CAPTION / 2)
        pen.text(middle, self.caption, "white", self._font, "mm")
        return frame


if __name__ == "__main__":
    with PageServer(device="cpu") as server, sync_playwright() as playwright:
        server.get_ready()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport=SIZE, device_scale_factor=SCALE)
        page.goto(server.address)
        film = Film(page)
        film.caption, film.carried = "Drop a song", EXAMPLE.name
        film.go("#drop")
        film.shoot(0.7)
        page.evaluate(DROP, [EXAMPLE.name, base64.b64encode(EXAMPLE.read_bytes()).decode()])
        film.caption, film.carried = "songsplit separates it on your machine", ""
        film.shoot(0.5, "songsplit.songs[0]?.state === 'done'")
        film.caption = "Play the stems together"
        page.evaluate("songsplit.player().seek(9)")
        film.go("#play")
        page.click("#play")
        film.shoot(1.4)
        for film.caption, button in BUTTONS.items():
            film.go(f"[data-stem=vocals] .{button}")
            page.click(f"[data-stem=vocals] .{button}")
            film.shoot(1.5)
            page.click(f"[data-stem=vocals] .{button}")
        film.caption = "Change the level of a stem"
        film.go("[data-stem=instrumental] input", 0.66)
        page.mouse.down()
        film.go("[data-stem=instrumental] input", 0.2)
        page.mouse.up()
        film.shoot(2)
        browser.close()
        server.shutdown()
    options: Any = {"lossless": True, "method": 4, "kmin": 500, "kmax": 1000}  # a small file
    options |= {"append_images": film.frames[1:], "duration": film.durations, "loop": 0}
    film.frames[0].save(IMAGES / "page.webp", save_all=True, **options)
