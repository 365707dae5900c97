"""The model that ships separates real music."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import soundfile
import torch

import songsplit.audio
from songsplit.data.musdb import musdb_tracks
from songsplit.evaluation import usdr
from songsplit.inference import devices, runner
from songsplit.inference.engine import LONG, SHORT, Chunking, stream_stems
from tests.conftest import EXAMPLE


@pytest.mark.data
def test_the_default_model_on_songs_that_it_was_not_trained_on(separator, musdb_root):
    pytest.importorskip("musdb", reason="the list of validation songs comes with it")
    scores = []
    for track in musdb_tracks(musdb_root, split="valid"):
        mixture, stems = track.audio()
        start = max(0, mixture.shape[1] // 2 - 4 * 44100)
        part = slice(start, start + 8 * 44100)
        vocals = separator.separate(mixture[:, part], track.sample_rate).vocals
        scores.append(usdr(stems["vocals"][np.newaxis, :, part], vocals[np.newaxis])[0])
    assert np.median(scores) > 6.0


def test_it_does_not_matter_where_the_song_is_cut(separator):
    song = songsplit.audio.read_audio(EXAMPLE)[0]
    stems = []
    for chunking in (LONG, SHORT, Chunking(15.0)):
        parts = stream_stems(separator._runner, [song], 44100, 2, chunking)
        stems.append(np.concatenate(list(parts), axis=-1)[0])
    for other in stems[1:]:
        error = np.square(stems[0] - other).mean() / np.square(song).mean()
        assert 10 * np.log10(error) < -40


def test_half_precision_changes_nothing_that_can_be_heard(separator, monkeypatch):
    if isinstance(devices.precision(torch.device("cpu")), nullcontext):
        pytest.skip("this processor has no bfloat16")
    mixture, rate = soundfile.read(EXAMPLE, dtype="float32", start=15 * 44100, stop=22 * 44100)
    half = separator.separate(mixture.T, rate).vocals
    monkeypatch.setattr(runner, "precision", lambda device: nullcontext())
    full = separator.separate(mixture.T, rate).vocals
    error = np.square(half - full).mean() / np.square(mixture).mean()
    assert 10 * np.log10(error) < -40
