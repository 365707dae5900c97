"""Playing audio at another speed or another tempo, with fast Fourier transforms on any device."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

from songsplit.augmentation.effect import move

# Samples of the output's rate that are read before and after what is resampled. They are faded:
# the transform takes the signal for periodic, and a jump from its end to its start would ring.
MARGIN = 2048
N_FFT = 2048  # window in samples of the phase vocoder
_HOP = N_FFT // 4
_OVERLAP = 4
_LARGEST_TERM = 200  # leaves no gap above half a semitone between neighbouring rates


@cache
def smooth_rates(lowest: float, highest: float) -> tuple[Fraction, ...]:
    """Return the rates, with 1 and rising, that :func:`resample` is fast at."""
    terms = [n for n in range(1, _LARGEST_TERM + 1) if next_fast_len(n, real=True) == n]
    rates = {Fraction(a, b) for a in terms for b in terms}
    return tuple(sorted(rate for rate in rates if lowest <= rate <= highest or rate == 1))


def nearest_rate(rate: float, lowest: float, highest: float) -> Fraction:
    """Return the one of :func:`smooth_rates` whose pitch is nearest."""
    rates = smooth_rates(lowest, highest)
    return min(rates, key=lambda candidate: abs(math.log(candidate / rate)))


def samples_needed(samples: int, rate: float) -> int:
    """Return how many samples are read for that many at another rate, with margins."""
    return math.ceil((samples + 2 * MARGIN) * rate)


def resample(audio: Tensor, rate: Fraction, samples: int) -> Tensor:
    """Play audio (..., n) faster or slower, pitch and tempo together: shape (..., samples).

    Sample ``n`` of the result is the input at ``(n + MARGIN) * rate``, with the frequencies that
    both rates can hold. `rate` is one of :func:`smooth_rates`; ``samples_needed(samples, rate)``
    samples are read.
    """
    source = audio[..., : samples_needed(samples, float(rate))].clone()
    fade = math.floor(MARGIN * rate)
    ramp = torch.hann_window(2 * fade, device=audio.device)
    source[..., :fade] *= ramp[:fade]
    source[..., -fade:] *= ramp[fade:]
    unit = next_fast_len(math.ceil((samples + 2 * MARGIN) / rate.denominator), real=True)
    before, after = unit * rate.numerator, unit * rate.denominator
    spectrum = torch.fft.rfft(source, before)
    played: Tensor = torch.fft.irfft(spectrum, after)[..., MARGIN : MARGIN + samples]
    return played.mul(after / before)


def change_tempo(audio: Tensor, rates: Tensor, samples: int) -> Tensor:
    """Play audio (items, channels, n) faster or slower at the same pitch, by a phase vocoder.

    `rates` has the speed of each item, on the CPU. Sample ``n`` of the result, of shape (items,
    channels, samples), stands for the input at ``n * rate + N_FFT // 2``. Where that is later
    than ``N_FFT // 2`` samples before the end, the end is repeated.
    """
    window = torch.hann_window(N_FFT, device=audio.device)
    # Frames that hang over the start would hand on the wrong phases to all that follow.
    spectrogram = torch.stft(
        audio.flatten(0, 1), N_FFT, _HOP, window=window, center=False, return_complex=True
    )
    spectrogram = spectrogram.reshape(*audio.shape[:2], *spectrogram.shape[1:])
    return synthesize(stretch(spectrogram, rates, math.ceil(samples / _HOP) + 1), samples)


def stretch(spectrogram: Tensor, rates: Tensor, frames: int) -> Tensor:
    """Take frames of complex64 (items, channels, bins, frames) at rates given on the CPU.

    Follows Laroche and Dolson (1999), "Improved phase vocoder time-scale modification of audio":
    from frame to frame, phases advance as they do in the input at that place. Here the advance
    of a bin is the phase of the cross-spectrum between two frames, summed over the channels and
    over the bin and its two neighbours: weighted by energy, which locks the bins around a partial
    to it and keeps the phase between the channels. Magnitudes are interpolated.
    """
    device = spectrogram.device
    last = spectrogram.shape[3] - 1
    position = rates.double()[:, None] * torch.arange(frames)
    index = position.long().clamp_max(last)
    weight = move((position - index).clamp(0, 1).float(), device)[:, None, :, None]
    # Frames become rows of memory, as which the STFT has stored them.
    rows = spectrogram.transpose(2, 3)
    shape = *rows.shape[:2], frames, rows.shape[3]
    current, following = (
        rows.gather(2, move(number, device)[:, None, :, None].expand(shape))
        for number in (index, (index + 1).clamp_max(last))
    )
    cross = (following[:, :, :-1] * current[:, :, 1:].conj()).sum(dim=1)
    padded = functional.pad(torch.view_as_real(cross), (0, 0, 1, 1))
    summed = torch.view_as_complex(padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:])
    turn = torch.cumprod(_phase(summed), dim=1)
    turn = functional.pad(torch.view_as_real(turn), (0, 0, 0, 0, 1, 0))
    turn[:, 0, :, 0] = 1.0
    magnitude = torch.lerp(current.abs(), following.abs(), weight)
    result = _phase(current) * torch.view_as_complex(turn)[:, None] * magnitude
    return result.transpose(2, 3)


def _phase(values: Tensor) -> Tensor:
    """Divide complex numbers by their magnitude; 1 for 0."""
    magnitude = values.abs()
    return torch.where(magnitude > 0, values / magnitude.clamp_min(1e-30), 1.0)


def synthesize(spectrogram: Tensor, samples: int) -> Tensor:
    """Invert a centred STFT, complex64 (..., bins, frames), Hann windows at quarters of them.

    As :func:`torch.istft` does, which however looks at the sum of the windows: for that, the CPU
    has to wait until a GPU has caught up.
    """
    length = 2 * spectrogram.shape[-2] - 2
    window = torch.hann_window(length, device=spectrogram.device)
    frames = torch.fft.irfft(spectrogram.transpose(-1, -2), length) * window
    envelope = _overlap_add(window.square().expand(frames.shape[-2], length))
    kept = slice(length // 2, length // 2 + samples)
    return _overlap_add(frames)[..., kept] / envelope[kept].clamp_min(1e-6)


def _overlap_add(frames: Tensor) -> Tensor:
    """Add frames of shape (..., frames, length) that start a quarter of a frame apart."""
    *rest, count, length = frames.shape
    hop = length // _OVERLAP
    quarters = frames.reshape(*rest, count, _OVERLAP, hop)
    total = frames.new_zeros(*rest, count + _OVERLAP - 1, hop)
    for quarter in range(_OVERLAP):
        total[..., quarter : quarter + count, :] += quarters[..., quarter, :]
    return total.flatten(-2)
