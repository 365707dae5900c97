"""The page in a real browser, used as by a musician."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import songsplit
from songsplit.web.server import PageServer
from tests.web.conftest import CHROMIUM, EXAMPLE

PLACE = "document.querySelector('#time').textContent.startsWith('{}')"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def page(browser: Any, server: PageServer) -> Iterator[Any]:
    """The page with the server's song separated."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    opened.goto(server.address)
    done(opened)
    yield opened
    assert not errors


def done(page: Any, index: int = 0) -> None:
    wait_until(page, f"songsplit.songs[{index}]?.state === 'done'", seconds=120)


def wait_until(page: Any, expression: str, seconds: float = 30) -> None:
    # The page's security policy forbids what Playwright's own waiting needs.
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def downloaded(page: Any, what: str, format: str) -> tuple[str, bytes]:
    page.select_option("#format", format)
    with page.expect_download(timeout=120_000) as waiting:
        page.click(f"[data-download={what}]")
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_downloads_add_up_to_the_song(page: Any) -> None:
    name, content = downloaded(page, "all", "flac")
    assert name == "lithium.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = sorted(archive.namelist())
        stems = [soundfile.read(io.BytesIO(archive.read(n)), dtype="float32")[0] for n in names]
    mixture, _ = soundfile.read(EXAMPLE, dtype="float32")
    assert names == ["lithium (instrumental).flac", "lithium (vocals).flac"]
    parts = [part.vocals for part in songsplit.Separator(device="cpu").stream(EXAMPLE)]
    expected = np.concatenate(parts, axis=1)
    error = np.sum((stems[1].T - expected) ** 2) / np.sum(expected**2)
    assert 10 * np.log10(error) < -60
    np.testing.assert_allclose(stems[0] + stems[1], mixture, atol=1e-3)


def test_presets_and_buttons_change_what_is_downloaded(page: Any) -> None:
    page.click("[data-preset=karaoke]")
    _, karaoke = downloaded(page, "heard", "flac")
    _, instrumental = downloaded(page, "instrumental", "flac")
    heard, _ = soundfile.read(io.BytesIO(karaoke))
    np.testing.assert_allclose(heard, soundfile.read(io.BytesIO(instrumental))[0], atol=1e-4)
    page.click("[data-preset=song]")
    page.click("[data-stem=vocals] .mute")
    _, muted = downloaded(page, "heard", "flac")
    np.testing.assert_array_equal(heard, soundfile.read(io.BytesIO(muted))[0])
    page.click("[data-stem=vocals] .mute")


def test_half_the_tempo_is_twice_as_long_in_the_same_key(page: Any) -> None:
    frames, rendered, recorded = page.evaluate(
        """async () => {
            const levels = { vocals: 1, instrumental: 1 };
            const power = ([left]) => left.reduce((sum, x) => sum + x * x, 0) / left.length;
            const [song] = songsplit.songs;
            const slow = await songsplit.render(song, { levels, tempo: 0.5, key: 0 });
            const usual = await songsplit.render(song, { levels, tempo: 1, key: 0 });
            return [slow[0].length, power(slow), power(usual)];
        }"""
    )
    assert frames == pytest.approx(2 * soundfile.info(EXAMPLE).frames, abs=1)
    assert rendered == pytest.approx(recorded, rel=0.3)


def test_playing_moves_on_and_seeking_goes_there(page: Any) -> None:
    page.click("#play")
    wait_until(page, PLACE.format("0:01"))
    assert page.text_content("#play") == "Pause"
    page.keyboard.press("ArrowRight")
    wait_until(page, PLACE.format("0:07"))
    page.evaluate(
        """() => {
            const slider = document.querySelector("#tempo");
            for (slider.value = 95; slider.value > 80; slider.value--) {
                slider.dispatchEvent(new Event("input"));
            }
        }"""
    )
    wait_until(page, PLACE.format("0:08"))
    page.click("#play")
    assert page.text_content("#play") == "Play"
    page.click("#reset")


@pytest.mark.parametrize("tempo", ["100", "140"])
def test_a_loop_at_the_end_of_a_song_repeats(page: Any, tempo: str) -> None:
    page.fill("#tempo", tempo)
    page.evaluate("songsplit.player().seek(1000)")
    page.keyboard.press("l")
    assert page.evaluate("songsplit.player().loop.from") == pytest.approx(29, abs=0.1)
    page.evaluate("songsplit.player().seek(36.5)")
    page.click("#play")
    wait_until(page, PLACE.format("0:29"))
    assert page.text_content("#play") == "Pause"
    page.click("#play")
    page.click("#loop")
    page.click("#reset")


def test_a_cancelled_song_ends_where_its_samples_end(page: Any) -> None:
    page.evaluate("songsplit.songs[0].state = 'failed'")
    page.fill("#tempo", "150")
    page.evaluate("songsplit.player().seek(36.5)")
    page.click("#play")
    wait_until(page, "document.querySelector('#play').textContent === 'Play'")
    assert page.evaluate("songsplit.player().position") == 0
    page.evaluate("songsplit.songs[0].state = 'done'")
    page.click("#reset")


def test_keys_work_on_sliders_and_leave_the_settings_to_the_browser(page: Any) -> None:
    page.focus("[data-stem=vocals] .level input")
    page.keyboard.press("Space")
    assert page.text_content("#play") == "Pause"
    page.keyboard.press("Space")
    page.focus("summary")
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('#settings').open")
    assert page.text_content("#play") == "Play"


def test_what_is_dropped_before_the_engine_answers_is_not_lost(
    browser: Any, server: PageServer, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("la la la")
    page = browser.new_page()
    calls: list[Any] = []
    page.route("**/api/engine", lambda route: calls.append(route))
    page.goto(server.address)
    page.set_input_files("#files", str(tmp_path / "notes.txt"))
    page.route("**/api/separate*", lambda route: route.abort())
    calls[0].fulfill(
        json={
            "kind": "local",
            "formats": [],
            "songs": [],
            "qualities": [],
            "models": [{"name": "default", "terms": ""}],
            "version": "",
        }
    )
    wait_until(page, "songsplit.songs[0].state === 'failed'")
    assert "Check that songsplit is running" in page.text_content("#notice")
    page.close()


def test_songs_wait_for_each_other_and_what_is_no_song_is_said(page: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("la la la")
    second = tmp_path / "second.wav"
    soundfile.write(second, np.random.default_rng(0).normal(0, 0.1, (22050, 1)), 22050)
    page.set_input_files("#files", [str(notes), str(second)])
    done(page, 2)
    assert page.locator("#queue button").count() == 3
    page.click("text=notes (failed)")
    assert "notes" in page.text_content("#notice")
    page.click("#queue >> text=lithium")
    page.click("[data-preset=karaoke]")
    page.click("#queue >> text=second")
    assert page.text_content("#title") == "second"
    assert page.text_content("#status") == "Separated."
    assert page.evaluate("songsplit.player().levels") == {"vocals": 1, "instrumental": 1}


def test_a_screen_reader_names_each_control(page: Any) -> None:
    for name in ("Tempo 100 %", "Key 0", "Level of the vocals", "Position in the song"):
        assert page.get_by_role("slider", name=name).count() == 1, name
    for stem in ("Vocals", "Instrumental"):
        lane = page.get_by_role("group", name=stem)
        assert lane.get_by_role("button", name="Mute").count() == 1
    # Values that change all the time, such as the position, are not announced.
    assert page.get_by_role("status").count() == 1


def test_nothing_is_wider_than_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1280, "height": 900})
