"""The default model separates real music."""

from __future__ import annotations

import numpy as np
import pytest

from songsplit.evaluation import usdr
from songsplit.evaluation.references import musdb_songs


@pytest.mark.data
@pytest.mark.slow
def test_the_default_model_on_songs_that_it_was_not_trained_on(separator, musdb_root):
    pytest.importorskip("musdb", reason="the list of validation songs comes with it")
    scores = []
    for song in musdb_songs(musdb_root, "train", "valid"):
        audio = song.read()
        mixture, stems = audio.mixture, audio.references
        start = max(0, mixture.shape[1] // 2 - 4 * 44100)
        part = slice(start, start + 8 * 44100)
        vocals = separator.separate(mixture[:, part], audio.sample_rate).vocals
        scores.append(usdr(stems["vocals"][np.newaxis, :, part], vocals[np.newaxis])[0])
    assert np.median(scores) > 6.0
