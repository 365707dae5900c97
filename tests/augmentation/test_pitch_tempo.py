from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.signal.windows import blackmanharris
from torch import Tensor

from songsplit.augmentation import pitch
from songsplit.augmentation.pitch import (
    PitchTempo,
    change_tempo,
    resample,
    samples_needed,
    synthesize,
)
from tests.augmentation.signals import RATE, noise, seeded, tone

SAMPLES = 16384


def peak(audio: Tensor) -> tuple[float, float]:
    """Frequency in Hz of the loudest partial, and level in dB of anything beside it."""
    windowed = audio.double().numpy() * blackmanharris(len(audio))
    level = 20 * np.log10(np.abs(np.fft.rfft(windowed)) + 1e-12)
    top = int(level.argmax())
    below, at, above = level[top - 1 : top + 2]
    place = top + 0.5 * (below - above) / (below - 2 * at + above)
    level[max(top - 6, 0) : top + 7] = -np.inf
    return place * RATE / len(audio), level.max() - at


def cents(frequency: float, reference: float) -> float:
    return 1200 * math.log2(frequency / reference)


@pytest.mark.parametrize("rate", [Fraction(9, 10), Fraction(81, 80), Fraction(10, 9)])
@pytest.mark.parametrize("frequency", [220.0, 1000.0, 15000.0])
def test_resampling_multiplies_frequencies_and_adds_nothing(
    rate: Fraction, frequency: float
) -> None:
    audio = tone(frequency, samples_needed(SAMPLES, float(rate)))
    played = resample(audio, rate, SAMPLES)
    assert played.shape == (2, SAMPLES)
    found, beside = peak(played[0])
    assert cents(found, frequency * rate) == pytest.approx(0, abs=0.3)
    assert beside < -80
    assert float(played.square().mean()) == pytest.approx(0.5, rel=2e-3)


@pytest.mark.parametrize("frequency", [220.0, 1000.0, 5000.0])
def test_another_tempo_leaves_the_pitch(frequency: float) -> None:
    audio = tone(frequency, 2 * SAMPLES).repeat(3, 1, 1)
    played = change_tempo(audio, torch.tensor([0.84, 1.0, 1.12]), SAMPLES + 2048)
    for item in played[:, 0, 2048:]:
        found, beside = peak(item)
        assert cents(found, frequency) == pytest.approx(0, abs=0.3)
        assert beside < -60


def test_the_image_between_the_channels_survives_the_vocoder() -> None:
    left = tone(440, 2 * SAMPLES)[0] + noise(2 * SAMPLES)
    audio = torch.stack([left, -0.5 * left])[None]
    played = change_tempo(audio, torch.tensor([0.9]), SAMPLES)
    torch.testing.assert_close(played[:, 1], -0.5 * played[:, 0], rtol=1e-3, atol=1e-4)


def changed_by(config: PitchTempo, audio: Tensor, samples: int, eligible: int = 1000) -> Tensor:
    """Change the first of the items (items, 2, n), each a part of a remixed example."""
    result = audio[:, None, :, :samples].clone()
    first = torch.arange(len(audio))[:, None] < eligible
    every, songs = torch.ones_like(first), torch.zeros(len(audio), dtype=torch.bool)
    config.apply(result, audio[:, None], seeded(), first, every, songs)
    return result[:, 0]


def changed(config: PitchTempo, frequency: float, items: int = 16) -> Tensor:
    audio = tone(frequency, config.read_samples(SAMPLES)).repeat(items, 1, 1)
    return changed_by(config, audio, SAMPLES)


def intervals(audio: Tensor, frequency: float) -> list[float]:
    return [cents(peak(item[0])[0], frequency) for item in audio]


@pytest.mark.slow
def test_changes_of_tempo_and_pitch_alone() -> None:
    config = PitchTempo(1.0, vocoded=1.0)
    audio = changed(config, 1000.0)
    found = intervals(audio, 1000.0)
    same = [interval for interval in found if abs(interval) < 0.5]
    others = [interval for interval in found if abs(interval) >= 0.5]
    assert 3 <= len(same) <= 13
    assert 150 < max(map(abs, others)) <= 300.5
    assert max(peak(item[0])[1] for item in audio) < -50


@pytest.mark.slow
@pytest.mark.parametrize("vocoded", [0.0, 0.5, 1.0])
def test_chosen_items_are_filled_to_the_end(
    vocoded: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The extremes of the number of samples read.
    for name, amount in {"_SPEED": 0.5, "_TEMPO": 0.5, "_SEMITONES": 12.0}.items():
        monkeypatch.setattr(pitch, name, amount)
    config = PitchTempo(1.0, vocoded=vocoded)
    audio = noise(24, 2, config.read_samples(SAMPLES))
    result = changed_by(config, audio, SAMPLES)
    blocks = result.reshape(24, 2, 8, -1).square().mean(dim=(1, 3)).sqrt()
    # The vocoder loses some level of noise, whose phases are random.
    assert blocks.min() > 0.04
    assert blocks.max() < 0.15
    assert (blocks.amin(dim=1) / blocks.amax(dim=1)).min() > 0.7


def test_other_items_are_cut_to_length_and_the_input_stays() -> None:
    config = PitchTempo(0.5)
    audio = noise(20, 2, config.read_samples(3000))
    copy = audio.clone()
    result = changed_by(config, audio, 3000, eligible=10)
    assert result.shape == (20, 2, 3000)
    same = (result == audio[..., :3000]).flatten(1).all(dim=1)
    assert same[10:].all()
    assert 2 <= same[:10].sum() <= 8
    assert torch.equal(audio, copy)


@pytest.mark.parametrize("samples", [1, 63, 64, 1000])
def test_synthesis_inverts_the_analysis(samples: int) -> None:
    audio = noise(2, 3, samples)
    window = torch.hann_window(64)
    flat = torch.stft(
        audio.flatten(0, 1), 64, 16, window=window, pad_mode="constant", return_complex=True
    )
    spectrogram = flat.reshape(2, 3, *flat.shape[1:])
    torch.testing.assert_close(synthesize(spectrogram, samples), audio, rtol=1e-4, atol=1e-6)
