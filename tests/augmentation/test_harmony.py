from __future__ import annotations

import math

import pytest
import torch

from songsplit.augmentation import pitch
from songsplit.augmentation.pitch import Harmony
from tests.augmentation.signals import RATE, applied, seeded


def tone(frequency, samples=RATE):
    return torch.sin(2 * math.pi * frequency * torch.arange(samples) / RATE).expand(1, 2, -1)


def loudest(audio):
    spectrum = torch.fft.rfft(audio * torch.hann_window(audio.shape[-1])).abs()
    return float(spectrum.argmax()) * RATE / audio.shape[-1]


@pytest.mark.parametrize("step", [-12.0, -5.0, 3.0, 7.0, 12.0])
def test_an_added_voice_sings_its_interval_at_its_level(step, monkeypatch):
    monkeypatch.setattr(pitch, "_INTERVALS", (step,))
    monkeypatch.setattr(pitch, "_LEVEL", (-6.0, -6.0))
    config = Harmony(share=1.0)
    audio = tone(330.0)
    result = applied(config, audio, seeded(1))
    added = result - audio
    assert loudest(added[0, 0]) == pytest.approx(330 * 2 ** (step / 12), rel=0.03)
    power = added[..., 4000:-4000].square().mean() / audio.square().mean()
    # One or two voices, each 6 dB below the singer.
    assert 10 ** (-0.6) * 0.8 < power < 2 * 2 * 10 ** (-0.6)


def test_added_voices_come_a_little_later_and_words_stay_together(monkeypatch):
    for name, amount in {
        "_LEVEL": (0.0, 0.0),
        "_DELAY": (0.02, 0.02),
        "_INTERVALS": (4.0,),
    }.items():
        monkeypatch.setattr(pitch, name, amount)
    config = Harmony(share=1.0)
    audio = tone(330.0).clone()
    audio[..., : RATE // 2] = 0
    added = applied(config, audio, seeded(1)) - audio
    level = added[0].square().sum(0).unfold(0, 441, 441).mean(-1)
    begin = float((level > 0.25 * level.median().clamp_min(level.max() / 2)).nonzero()[0]) / 100
    assert begin == pytest.approx(0.52, abs=0.02)


@pytest.mark.slow
def test_choirs_have_as_many_voices_as_wanted_and_may_do_without_the_singer(monkeypatch):
    def tones_heard(audio):
        spectrum = torch.fft.rfft(audio.sum(0) * torch.hann_window(audio.shape[-1])).abs()
        notes = [330.0 * 2 ** (step / 12) for step in (0, -5, 4, 7)]
        hertz = audio.shape[-1] / RATE
        near = [spectrum[round(n * hertz) - 8 : round(n * hertz) + 9].max() for n in notes]
        return [bool(level > 0.02 * spectrum.max()) for level in near]

    monkeypatch.setattr(pitch, "_INTERVALS", (-5.0, 4.0, 7.0))
    monkeypatch.setattr(pitch, "_LEVEL", (-3.0, 0.0))
    config = Harmony(1.0, voices=6, alone=0.5)
    audio = tone(330.0, RATE // 2).repeat(16, 1, 1)
    result = applied(config, audio, seeded())
    heard = [tones_heard(item) for item in result]
    alone = sum(not item[0] for item in heard)
    assert 3 <= alone <= 13
    assert {sum(item[1:]) for item in heard} == {1, 2, 3}
