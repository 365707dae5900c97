"""Losses between estimated and true stems, relative to the level of the mixture."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from songsplit.augmentation.pitch import synthesize
from songsplit.dsp.stft import STFT
from songsplit.errors import ConfigError

# Avoids 0 / 0 for a silent mixture, whose error is also 0.
_TINY = 1e-3
_WINDOWS = (512, 1024, 2048)  # samples; hops are a quarter of them


@dataclass(frozen=True)
class LossConfig:
    """Weights of the sum of losses; losses with weight 0 are not computed.

    Attributes
    ----------
    spectrogram : float
        Complex error of the spectrogram of the network's STFT (:func:`relative_l1`).
    waveform : float
        Error of the samples (:func:`relative_l1`).
    multi_resolution : float
        Mean of the complex errors of spectrograms with windows of 512, 1024 and 2048 samples.
    """

    spectrogram: float = 1.0
    waveform: float = 0.0
    multi_resolution: float = 0.0

    def __post_init__(self) -> None:
        weights = asdict(self)
        for name, weight in weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"loss.{name} must be zero or more, not {weight}")
        if not any(weights.values()):
            raise ConfigError(f"one of loss.{', loss.'.join(weights)} must be above zero")


class SeparationLoss(nn.Module):
    """Weighted sum of losses; `stft` is the STFT of the network."""

    def __init__(self, config: LossConfig, stft: STFT) -> None:
        super().__init__()
        self.config = config
        self.stft = stft
        self.resolutions = nn.ModuleList(STFT(n, n // 4) for n in _WINDOWS)

    def forward(
        self, estimates: Tensor, targets: Tensor, mixture: Tensor, samples: int
    ) -> dict[str, Tensor]:
        """Return each loss with a weight above 0, and the weighted sum as ``loss``.

        Spectrograms are complex64 and hold only the network's band: estimates and targets (batch,
        targets, channels, bins, frames), and the mixture (batch, channels, bins, frames).
        ``samples`` is the length of their audio.
        """
        config = self.config
        error, reference = estimates - targets, mixture.unsqueeze(1)
        losses = {}
        if config.spectrogram:
            losses["spectrogram"] = relative_l1(error, reference)
        if config.waveform or config.multi_resolution:
            # The inverse STFT is linear, so it maps the error to the error of the samples.
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
        """Return the inverse STFT, with zeros in the bins above the band."""
        missing = self.stft.bins - spectrogram.shape[-2]
        whole = functional.pad(spectrogram, (0, 0, 0, missing))
        if self.stft.n_fft == 4 * self.stft.hop_length:
            return synthesize(whole, samples)  # does not make the CPU wait for the device
        return self.stft.inverse(whole, samples)


def relative_l1(error: Tensor, mixture: Tensor) -> Tensor:
    r"""Return the mean magnitude of the error relative to the mixture.

    .. math:: \frac1B \sum_b \frac{\sum |\hat S_b - S_b|}{\sum |X_b|}

    The division by the mixture gives loud and quiet songs the same weight. For complex
    spectrograms the error includes the phase, so masks learn to leave out bins in which the phases
    of mixture and target differ.
    """
    errors, levels = (x.abs().flatten(1).sum(dim=1) for x in (error, mixture))
    return torch.mean(errors / error.shape[1] / (levels + _TINY))
