"""What is named instead of a file: links, folders, pipes and devices."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from songsplit import Separator
from songsplit.errors import AudioFileError

from .entries import holds
from .headers import stepped, wav
from .test_zoo import check_stems

pytestmark = pytest.mark.skipif(os.name != "posix", reason="about files of Unix")


def refused(separator: Separator, source: Path | str, out: Path) -> str:
    with pytest.raises(AudioFileError) as caught:
        separator.separate_to_files(source, out)
    assert not out.exists()
    message = str(caught.value)
    assert message.startswith(f"{source}: ")
    return message


def test_links_lead_to_the_song(tmp_path: Path, separator: Separator) -> None:
    (tmp_path / "song.wav").write_bytes(wav())
    (tmp_path / "link.wav").symlink_to("song.wav")
    (tmp_path / "link to link.mp3").symlink_to("link.wav")
    saved = separator.separate_to_files(tmp_path / "link to link.mp3", tmp_path / "out")
    check_stems(holds(stepped()), tmp_path / "link.wav", *saved.values())
    assert (tmp_path / "link.wav").is_symlink()


def test_links_that_lead_nowhere(tmp_path: Path, separator: Separator) -> None:
    (tmp_path / "gone.wav").symlink_to("nothing.wav")
    assert "no such file" in refused(separator, tmp_path / "gone.wav", tmp_path / "out")
    (tmp_path / "circle.wav").symlink_to("circle.wav")
    refused(separator, tmp_path / "circle.wav", tmp_path / "out")


def test_folders(tmp_path: Path, separator: Separator) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "link.wav").symlink_to("folder.wav")
    for name in ("folder.wav", "link.wav"):
        assert "this is a folder" in refused(separator, tmp_path / name, tmp_path / "out")


@pytest.mark.parametrize("name", ["", "a\0b.wav", "a" * 256 + ".wav", "x/" * 3000 + "a.wav"])
def test_names_that_no_file_can_have(name: str, tmp_path: Path, separator: Separator) -> None:
    with pytest.raises(AudioFileError):
        separator.separate_to_files(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_devices(tmp_path: Path, separator: Separator) -> None:
    assert "empty" in refused(separator, "/dev/null", tmp_path / "out")


def test_named_pipes(tmp_path: Path, separator: Separator) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    (tmp_path / "song.wav").write_bytes(wav())
    writer = threading.Thread(target=lambda: pipe.write_bytes(wav()))
    writer.start()
    saved = separator.separate_to_files(pipe, tmp_path / "out")
    writer.join()
    check_stems(holds(stepped()), tmp_path / "song.wav", *saved.values())
