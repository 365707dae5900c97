from __future__ import annotations

import pytest
import torch
from torch import Tensor

from songsplit.augmentation import Compression, Saturation
from tests.augmentation.signals import RATE, applied, decibels, noise, rms, seeded, tone


def crest(audio: Tensor) -> Tensor:
    return decibels(audio.abs().amax(dim=(1, 2)) / rms(audio))


def drums(items: int, seconds: float = 1.0) -> Tensor:
    """Noise bursts that die away, four a second."""
    time = torch.arange(int(seconds * RATE)) / RATE
    return noise(items, 2, len(time)) * torch.exp(-(time % 0.25) / 0.02)


def test_saturation_lowers_peaks_and_keeps_the_level() -> None:
    audio = drums(4)
    driven = applied(Saturation(1.0, drive=(0, 3)), audio, seeded())
    torch.testing.assert_close(rms(driven), rms(audio), rtol=1e-4, atol=0)
    assert (crest(driven) < crest(audio) - 3).all()


def test_saturation_does_not_depend_on_the_level() -> None:
    audio, effect = drums(4), Saturation(1.0)
    quiet = applied(effect, audio * 1e-3, seeded())
    torch.testing.assert_close(quiet * 1e3, applied(effect, audio, seeded()), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("asymmetry", "even"), [(0.0, False), (0.4, True)])
def test_asymmetry_adds_even_harmonics(asymmetry: float, even: bool) -> None:
    audio = tone(RATE / 100, 10_000)[None]
    config = Saturation(1.0, drive=(-3, -3), asymmetry=(asymmetry, asymmetry))
    spectrum = torch.fft.rfft(applied(config, audio, seeded())[0, 0]).abs()
    levels = decibels(spectrum / spectrum[100])
    assert (levels[200] > -40) == even
    assert levels[300] > -40


def test_compression_lowers_the_crest_factor_and_keeps_the_level() -> None:
    swell = torch.linspace(-9, 9, RATE).sin().abs() ** 4
    audio = (tone(440, RATE) * swell).repeat(6, 1, 1)
    config = Compression(
        1.0, threshold=(-15, -10), ratio=(4, 6), attack=(0.002, 0.003), release=(0.05, 0.1)
    )
    pressed = applied(config, audio, seeded())
    torch.testing.assert_close(rms(pressed), rms(audio), rtol=1e-4, atol=0)
    assert (crest(pressed) < crest(audio) - 1.5).all()


def gain_of_a_step(gap: float, attack: float, release: float, ratio: float) -> list[float]:
    """Gain in dB, every 10 ms, for a loud second inside two quiet ones."""
    audio = tone(1000, 3 * RATE)[None].clone()
    audio[..., :RATE] *= 10 ** (-gap / 20)
    audio[..., 2 * RATE :] *= 10 ** (-gap / 20)
    level = -10.0
    config = Compression(1.0, (level, level), (ratio, ratio), (attack, attack), (release, release))
    pressed = applied(config, audio, seeded())

    def levels(signal: Tensor) -> Tensor:
        return signal[0, 0].reshape(-1, 441).square().mean(dim=1).sqrt()

    gain: list[float] = decibels(levels(pressed) / levels(audio)).tolist()
    return gain


def test_ratio_attack_and_release_are_those_asked_for() -> None:
    gain = gain_of_a_step(gap=40.0, attack=0.02, release=0.2, ratio=4.0)
    # The loud second lies about 4.8 dB above the root mean square of the whole.
    full = 14.77 * (1 - 1 / 4)
    assert gain[50] - gain[180] == pytest.approx(full, abs=0.3)
    after_one_constant = gain[50] - gain[102]
    assert after_one_constant / full == pytest.approx(1 - 0.3679, abs=0.12)
    # 10 dB per 0.2 s, once the smoothing has settled: 5 dB in 10 frames of 10 ms.
    assert gain[218] - gain[208] == pytest.approx(5.0, abs=0.3)
    assert gain[290] == pytest.approx(gain[50], abs=0.1)


def test_a_chunk_of_running_music_starts_with_the_gain_that_it_goes_on_with() -> None:
    audio = tone(1000, RATE)[None]
    config = Compression(1.0, threshold=(-10, -10), attack=(0.03, 0.03))
    torch.testing.assert_close(applied(config, audio, seeded()), audio, rtol=0.01, atol=0.01)


def test_what_lies_below_the_threshold_keeps_its_dynamics() -> None:
    audio = tone(1000, RATE)[None]
    config = Compression(1.0, threshold=(10, 10))
    torch.testing.assert_close(applied(config, audio, seeded()), audio)
