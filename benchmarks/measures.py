"""What several of these programs measure alike."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from songsplit.dsp.masks import continue_masks
from songsplit.evaluation.ratios import frame_sdr
from songsplit.evaluation.scores import TWO_TARGETS
from songsplit.evaluation.songs import SongAudio
from songsplit.inference.devices import precision
from songsplit.models.separation import SeparationModel

TINY = 1e-12


def decibels(ratio: float | Tensor) -> float:
    """Turn a ratio of powers into decibels."""
    return float(10 * np.log10(float(ratio) + TINY))


def song_sdr(vocals: NDArray[np.float32], song: SongAudio) -> NDArray[np.float64]:
    """Median over windows of a second of the SDR of vocals and accompaniment."""
    references = np.stack([song.references[name] for name in TWO_TARGETS])
    estimates = np.stack([vocals, song.mixture - vocals])
    second = song.sample_rate
    return np.nanmedian(frame_sdr(references, estimates, window=second, hop=second), axis=1)


def vocals_mask(model: SeparationModel, mixture: Tensor) -> Tensor:
    """Let a model make its mask of the vocals, shape (2, bins, frames), of a whole clip."""
    with torch.inference_mode(), precision(torch.device("cpu")):
        spectrogram = model.stft(mixture[None])
        masks = continue_masks(model.foreground_masks(spectrogram)[:, 0], model.stft.bins)
    return masks[0].float().clone()
