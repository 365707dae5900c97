"""The phase vocoder: change of tempo without change of pitch."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from songsplit.training.augment.draws import move
from songsplit.training.augment.synthesis import synthesize

N_FFT = 2048
HOP = N_FFT // 4


def change_tempo(audio: Tensor, rates: Tensor, samples: int) -> Tensor:
    """Play audio faster or slower at the same pitch.

    Parameters
    ----------
    audio : Tensor of float32, shape (items, channels, n)
        At least ``N_FFT`` samples.
    rates : Tensor of float, shape (items,)
        Speed of each item, on the CPU.
    samples : int
        Length of the result.

    Returns
    -------
    Tensor of float32, shape (items, channels, samples)
        Sample ``n`` stands for the input at ``n * rate + N_FFT // 2``. Where that is
        later than ``N_FFT // 2`` samples before the end, the end is repeated.
    """
    items, channels, length = audio.shape
    window = torch.hann_window(N_FFT, device=audio.device)
    # Frames that hang over the start would hand on the wrong phases to all that follow.
    spectrogram = torch.stft(
        audio.reshape(items * channels, length),
        N_FFT,
        HOP,
        window=window,
        center=False,
        return_complex=True,
    )
    spectrogram = spectrogram.reshape(items, channels, *spectrogram.shape[1:])
    frames = math.ceil(samples / HOP) + 1
    return synthesize(stretch(spectrogram, rates, frames), samples)


def stretch(spectrogram: Tensor, rates: Tensor, frames: int) -> Tensor:
    """Take frames of a spectrogram at another rate, with phases that continue each other.

    Follows Laroche and Dolson (1999), "Improved phase vocoder time-scale modification of
    audio": from frame to frame, phases advance as they do in the input at that place.
    Here the advance of a bin is the phase of the cross-spectrum between two frames, summed
    over the channels and over the bin and its two neighbours. Since that sum is weighted
    by energy, the bins around a partial advance with it, which locks their phases to each
    other, and the phase between the channels stays as it was. Magnitudes are interpolated
    between frames.

    Parameters
    ----------
    spectrogram : Tensor of complex64, shape (items, channels, bins, frames)
        With a hop that is the same before and after.
    rates : Tensor of float, shape (items,)
        Input frames for each output frame, on the CPU.
    frames : int
        Number of output frames. After the end of the input, its last frame is repeated.

    Returns
    -------
    Tensor of complex64, shape (items, channels, bins, frames)
        At a rate of 1, the input.
    """
    items, channels, bins, available = spectrogram.shape
    device = spectrogram.device
    position = rates.double()[:, None] * torch.arange(frames)
    index = position.long().clamp_max(available - 1)
    weight = move((position - index).clamp(0, 1).float(), device)[:, None, :, None]
    # Frames become rows of memory, as which the STFT has stored them.
    rows = spectrogram.transpose(2, 3)

    def take(number: Tensor) -> Tensor:
        wanted = move(number, device)[:, None, :, None].expand(items, channels, frames, bins)
        return rows.gather(2, wanted)

    current = take(index)
    following = take((index + 1).clamp_max(available - 1))
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
