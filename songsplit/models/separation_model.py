"""The network with STFT and masks, from stereo samples to samples of stems."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from songsplit.dsp.masks import apply_masks, between_frames, continue_masks, input_powers
from songsplit.dsp.stft import STFT
from songsplit.models.config import MaskUNetConfig
from songsplit.models.unet import MaskUNet

_CONVOLUTIONS = nn.Conv2d, nn.ConvTranspose2d


class Foreground(NamedTuple):
    """All targets but the last, which is the mixture minus the others.

    Both have shape (batch, targets - 1, 2, samples): the stems in float32, and their shares of the
    frequencies above the network's band.
    """

    stems: Tensor
    highs: Tensor


class SeparationModel(nn.Module):
    """STFT, mask-predicting network and inverse STFT.

    Parameters
    ----------
    config : MaskUNetConfig
        Targets, sample rate, STFT and bands, and all settings of a
        :class:`~songsplit.models.unet.MaskUNet`.
    network : Module, optional
        A network to use instead. It maps powers of left, right, mid and side (batch, 4,
        config.bins, frames) to masks for left and right of all targets but the last (batch,
        targets - 1, 2, config.bins, frames). Masks and their sum over the targets are in [0, 1].
    """

    def __init__(self, config: MaskUNetConfig, network: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.stft = STFT(config.n_fft, config.hop_length)
        # Weights files and checkpoints use this name.
        self.unet = MaskUNet(config) if network is None else network

    def foreground_masks(self, spectrogram: Tensor) -> Tensor:
        """Predict the masks of all targets but the last from (batch, 2, bins, frames)."""
        masks: Tensor = self.unet(input_powers(spectrogram[:, :, : self.config.bins]))
        return masks

    def masks(self, spectrogram: Tensor) -> Tensor:
        """Predict masks (batch, targets, 2, config.bins, frames), which add up to one."""
        first = self.foreground_masks(spectrogram)
        return torch.cat([first, 1 - first.sum(dim=1, keepdim=True)], dim=1)

    def foreground(self, mixture: Tensor) -> Foreground:
        """Separate (batch, 2, samples), at least one sample, at the rate ``config.sample_rate``.

        The stems have the phase of the mixture.
        """
        spectrogram, samples = self.stft(mixture), mixture.shape[-1]
        masks = continue_masks(self.foreground_masks(spectrogram), self.stft.bins)
        stems = self.stft.inverse(apply_masks(masks, spectrogram), samples)
        highs = between_frames(masks[..., -1, :], self.stft.hop_length, samples)
        return Foreground(stems, highs)

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate (batch, 2, samples) into all targets, float32 (batch, targets, 2, samples)."""
        first = self.foreground(mixture).stems
        return torch.cat([first, (mixture - first.sum(dim=1)).unsqueeze(1)], dim=1)


def fused(model: SeparationModel) -> SeparationModel:
    """Return a faster float32 copy of a model for inference, with equal results within rounding.

    In evaluation mode, batch normalisation is a fixed scale and shift per channel. In a MaskUNet,
    these are merged into the convolution before.
    """
    result = copy.deepcopy(model).float().eval().requires_grad_(False)
    sequences = [module for module in result.unet.modules() if isinstance(module, nn.Sequential)]
    for layers in sequences if isinstance(result.unet, MaskUNet) else []:
        for index, (layer, norm) in enumerate(pairwise(layers)):
            if isinstance(layer, _CONVOLUTIONS) and isinstance(norm, nn.BatchNorm2d):
                is_transposed = isinstance(layer, nn.ConvTranspose2d)
                layers[index] = fuse_conv_bn_eval(layer, norm, transpose=is_transposed)
                layers[index + 1] = nn.Identity()
    return result
