"""Losses between estimated and true stems, all relative to the level of the mixture."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from songsplit.augmentation.playback import synthesize
from songsplit.dsp.stft import STFT
from songsplit.errors import ConfigError

# Keeps 0 / 0 away where the mixture is silent; there is no error then either.
_TINY = 1e-3
_LEVEL_FRAMES = 43  # about a second in hops of 1024 samples


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses that are added up; those of weight zero are not computed.

    Attributes
    ----------
    spectrogram : float
        Complex error of the network's own spectrogram (:func:`relative_l1`).
    waveform : float
        Error of the samples (:func:`relative_l1`).
    multi_resolution : float
        Mean of the complex errors of spectrograms with the windows of ``windows``.
    magnitude : float
        Error of the magnitudes of the network's own spectrogram (:func:`magnitude_l1`).
    error_level : float
        Level of the error in windows of about a second (:func:`error_level`).
    windows : tuple of int
        Lengths of windows in samples; hops are a quarter of them.
    """

    spectrogram: float = 1.0
    waveform: float = 0.0
    multi_resolution: float = 0.0
    magnitude: float = 0.0
    error_level: float = 0.0
    windows: tuple[int, ...] = (512, 1024, 2048)

    def __post_init__(self) -> None:
        weights = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "windows"}
        for name, weight in weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"loss.{name} must be zero or more, not {weight}")
        if not any(weights.values()):
            raise ConfigError(f"one of loss.{', loss.'.join(weights)} must be above zero")
        if not self.windows or any(n < 8 or n % 4 for n in self.windows):
            raise ConfigError(f"loss.windows must be multiples of 4, not {self.windows}")


class SeparationLoss(nn.Module):
    """Weighted sum of losses; the STFT is the network's front end."""

    def __init__(self, config: LossConfig, stft: STFT) -> None:
        super().__init__()
        self.config = config
        self.stft = stft
        self.resolutions = nn.ModuleList(STFT(n, n // 4) for n in config.windows)

    def forward(
        self, estimates: Tensor, targets: Tensor, mixture: Tensor, samples: int
    ) -> dict[str, Tensor]:
        """Compute each loss with a weight, and their weighted sum as ``loss``.

        Spectrograms are complex64: estimates and targets of shape (batch, targets, channels,
        bins, frames), of the network's band, above which nothing counts, and the mixture of
        shape (batch, channels, bins, frames). ``samples`` is the length of their audio.
        """
        config = self.config
        error, reference = estimates - targets, mixture.unsqueeze(1)
        losses = {}
        if config.spectrogram:
            losses["spectrogram"] = relative_l1(error, reference)
        if config.magnitude:
            losses["magnitude"] = magnitude_l1(estimates, targets, reference)
        if config.error_level:
            losses["error_level"] = error_level(error, reference)
        if config.waveform or config.multi_resolution:
            # The inverse STFT is linear: that of the error is the error of the samples.
            wave_error = self._samples(error, samples)
            wave_reference = self._samples(reference, samples)
            if config.waveform:
                losses["waveform"] = relative_l1(wave_error, wave_reference)
            if config.multi_resolution:
                parts = [relative_l1(f(wave_error), f(wave_reference)) for f in self.resolutions]
                losses["multi_resolution"] = torch.stack(parts).mean()
        weighted = [getattr(config, name) * value for name, value in losses.items()]
        losses["loss"] = torch.stack(weighted).sum()
        return losses

    def _samples(self, spectrogram: Tensor, samples: int) -> Tensor:
        """Inverse STFT; bins above those given are silent."""
        missing = self.stft.bins - spectrogram.shape[-2]
        whole = functional.pad(spectrogram, (0, 0, 0, missing))
        if self.stft.n_fft == 4 * self.stft.hop_length:
            return synthesize(whole, samples)  # does not wait for the device
        return self.stft.inverse(whole, samples)


def relative_l1(error: Tensor, mixture: Tensor) -> Tensor:
    r"""Mean magnitude of the error, relative to that of the mixture.

    .. math:: \frac1B \sum_b \frac{\sum |\hat S_b - S_b|}{\sum |X_b|}

    Dividing by the mixture makes loud and quiet songs count alike. Where spectrograms are
    complex, the phase is part of the error: a mask learns to leave out bins where the
    mixture's phase is not the target's.
    """
    return _relative(error.abs(), mixture.abs())


def magnitude_l1(estimates: Tensor, targets: Tensor, mixture: Tensor) -> Tensor:
    """Mean error of the magnitudes alone, as in Jansson et al. 2017, relative to the mixture's."""
    return _relative((estimates.abs() - targets.abs()).abs(), mixture.abs())


def _relative(error: Tensor, scale: Tensor) -> Tensor:
    sums = error.flatten(1).sum(dim=1) / error.shape[1]
    return torch.mean(sums / (scale.flatten(1).sum(dim=1) + _TINY))


def error_level(error: Tensor, mixture: Tensor) -> Tensor:
    r"""Level of the error below that of the mixture, in bel, averaged over windows.

    .. math:: \frac1{BW} \sum_{b,w} \log_{10}
       \left(\frac{\sum |\hat S_{bw} - S_{bw}|^2}{\sum |X_{bw}|^2} + 10^{-3}\right)

    This is what SDR measures: in every window of about a second (43 hops of 1024 samples),
    a tenth less of the error counts alike, however loud the window and however good the
    separation. From 30 dB below the mixture, less and less is gained.
    """

    def energy(spectrogram: Tensor) -> Tensor:
        power = spectrogram.real.square() + spectrogram.imag.square()
        per_frame = power.mean(dim=(1, 2, 3)).unsqueeze(1)
        return functional.avg_pool1d(per_frame, _LEVEL_FRAMES, ceil_mode=True)

    scale = energy(mixture) + _TINY**2
    return (energy(error) / scale + 1e-3).log10().mean()
