"""Real songs come out alike from MUSDB18, from MUSDB18-HQ's layout and from a folder of stems."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from songsplit.data.musdb import STEM_NAMES, musdb_tracks
from songsplit.data.sources import SourceConfig, find_source
from tests.data import recordings

pytestmark = [pytest.mark.data, pytest.mark.slow]


def filled(name, source, folder):
    return recordings.fill({name: find_source(name, source)}, folder)


def test_three_layouts_of_one_song(musdb_root, tmp_path):
    tracks = [
        *musdb_tracks(musdb_root, split="train")[:1],
        *musdb_tracks(musdb_root, split="valid")[:1],
    ]
    for track in tracks:
        (tmp_path / "mp4" / "train").mkdir(parents=True, exist_ok=True)
        shutil.copy(track.path, tmp_path / "mp4" / "train")
        mixture, stems = track.audio()
        for name, audio in {**stems, "mixture": mixture}.items():
            recordings.write(tmp_path / "hq" / "train" / track.name / f"{name}.wav", audio)
            other = tmp_path / "mine" / "album" / track.name / f"{name}.wav"
            recordings.write(other, audio)

    encoded = filled("mp4", SourceConfig(kind="musdb", path=str(tmp_path / "mp4")), tmp_path / "a")
    wav = filled("hq", SourceConfig(kind="musdb", path=str(tmp_path / "hq")), tmp_path / "b")
    mine = filled("mine", SourceConfig(kind="songs", path=str(tmp_path / "mine")), tmp_path / "c")
    for cache in (encoded, wav):
        splits = {clip.name: clip.split for clip in cache.clips}
        assert splits == {tracks[0].name: "train", tracks[1].name: "valid"}
    for clip in encoded.clips:
        for cache, name in ((wav, clip.name), (mine, f"album/{clip.name}")):
            (twin,) = [other for other in cache.clips if other.name == name]
            for stem in STEM_NAMES:
                expected = encoded.read(clip, stem)
                step = max(clip.stems[stem].scale, 1e-9)
                np.testing.assert_allclose(cache.read(twin, stem), expected, atol=step)
