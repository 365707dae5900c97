"""The network with its front end: stereo samples in, stem samples out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from songsplit.dsp.masks import (
    apply_masks,
    between_frames,
    continue_masks,
    input_parts,
    input_powers,
)
from songsplit.dsp.stft import STFT
from songsplit.models.config import MaskUNetConfig
from songsplit.models.unet import MaskUNet


class Foreground(NamedTuple):
    """What a network takes out of a mixture.

    Attributes
    ----------
    stems : Tensor of float32, shape (batch, targets - 1, 2, samples)
        All targets but the last, which is the mixture less the others.
    highs : Tensor of float32, shape (batch, targets - 1, 2, samples)
        Share of each stem in all that lies above the network's band.
    """

    stems: Tensor
    highs: Tensor


class SeparationModel(nn.Module):
    """STFT, mask U-Net and inverse STFT.

    Parameters
    ----------
    config : MaskUNetConfig
    """

    def __init__(self, config: MaskUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stft = STFT(config.n_fft, config.hop_length)
        self.unet = MaskUNet(config)

    def foreground_masks(self, spectrogram: Tensor) -> Tensor:
        """Predict the masks of all targets but the last over the network's band.

        Parameters
        ----------
        spectrogram : Tensor of complex64, shape (batch, 2, bins, frames)

        Returns
        -------
        Tensor of float32 or complex64, shape (batch, targets - 1, 2, config.bins, frames)
            Soft masks and their sum lie in [0, 1].
        """
        band = spectrogram[:, :, : self.config.bins]
        if self.config.mask == "complex":
            seen = input_parts(band)
        else:
            seen = input_powers(band, mid_side=self.config.stereo_input == "left-right-mid-side")
        masks: Tensor = self.unet(seen)
        return masks

    def masks(self, spectrogram: Tensor) -> Tensor:
        """Predict the masks of all targets over the network's band.

        Parameters
        ----------
        spectrogram : Tensor of complex64, shape (batch, 2, bins, frames)

        Returns
        -------
        Tensor of float32 or complex64, shape (batch, targets, 2, config.bins, frames)
            Adding up to one over the targets.
        """
        first = self.foreground_masks(spectrogram)
        return torch.cat([first, 1 - first.sum(dim=1, keepdim=True)], dim=1)

    def foreground(self, mixture: Tensor) -> Foreground:
        """Separate all targets but the last.

        Parameters
        ----------
        mixture : Tensor, shape (batch, 2, samples)
            At ``config.sample_rate``, at least one sample.

        Returns
        -------
        Foreground
            Stems have the mixture's own phase, if masks are soft.
        """
        spectrogram, samples = self.stft(mixture), mixture.shape[-1]
        masks = continue_masks(self.foreground_masks(spectrogram), self.stft.bins)
        stems = self.stft.inverse(apply_masks(masks, spectrogram), samples)
        highest = masks[..., -1, :].real if masks.is_complex() else masks[..., -1, :]
        return Foreground(stems, between_frames(highest, self.stft.hop_length, samples))

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate stereo mixtures.

        Parameters
        ----------
        mixture : Tensor, shape (batch, 2, samples)
            At ``config.sample_rate``, at least one sample.

        Returns
        -------
        Tensor of float32, shape (batch, targets, 2, samples)
            Adding up to the mixture.
        """
        first = self.foreground(mixture).stems
        return torch.cat([first, (mixture - first.sum(dim=1)).unsqueeze(1)], dim=1)
