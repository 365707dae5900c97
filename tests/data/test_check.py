"""Results of a check of training data."""

from __future__ import annotations

import numpy as np
import pytest

from songsplit.data.check import check_folder
from songsplit.errors import ConfigError, DataError
from tests.data import recordings

RATE = 22050


@pytest.fixture
def write(tmp_path):
    def write(folder, **stems):
        for name, seconds in stems.items():
            rng = np.random.default_rng(len(name))
            audio = 0.1 * (seconds > 0) * rng.normal(size=(1, int(abs(seconds) * RATE)))
            recordings.write(tmp_path / folder / f"{name}.wav", audio, RATE)

    return write


def test_songs_and_what_keeps_them_from_being_used(write, tmp_path):
    write("good", vocals=1, instrumental=1)
    write("padded", vocals=1, mix=1.5)
    write("quiet", vocals=1, drums=-1, bass=1)
    write("long", vocals=1, bass=2.5)
    write("broken", vocals=1, bass=1)
    write("alone", vocals=1)
    (tmp_path / "broken" / "bass.wav").write_bytes(b"nonsense")
    (tmp_path / "good" / "no drums.wav").touch()
    rows = {row.name: row for row in check_folder(tmp_path)}
    used = {name: row.used for name, row in rows.items()}
    assert used == {
        "good": True, "padded": True, "quiet": True, "long": False, "broken": False,
        "alone": False, "good/no drums.wav": None,
    }  # fmt: skip
    assert rows["good"].remark == ""
    assert rows["good"].seconds == pytest.approx(1, abs=1e-3)
    assert rows["padded"].stems == ["vocals", "instrumental"]
    assert "padded with silence" in rows["padded"].remark
    assert rows["quiet"].remark == "silent: drums"
    assert "lasts 2.50 s, but" in rows["long"].remark
    assert "bass.wav" in rows["broken"].remark
    assert "vocals alone" in rows["alone"].remark


def test_kinds(write, tmp_path):
    write("x", take1=1, take2=1)
    with pytest.raises(DataError, match="nowhere"):
        check_folder(tmp_path / "nowhere")
    assert [row.stems for row in check_folder(tmp_path, "instrumentals")] == [["instrumental"]] * 2
    with pytest.raises(ConfigError, match="kind 'voices' is unknown"):
        check_folder(tmp_path, "voices")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no songs found"):
        check_folder(tmp_path / "empty")


def test_musdb18_hq_with_a_file_missing(write, tmp_path):
    stems = dict.fromkeys(("mixture", "drums", "bass", "other", "vocals"), 1)
    write("train/A", **stems)
    write("train/B", **stems)
    (tmp_path / "train" / "B" / "vocals.wav").unlink()
    first, second = check_folder(tmp_path)
    assert (first.name, first.used, second.used) == ("A", True, False)
    assert "no vocals" in second.remark
