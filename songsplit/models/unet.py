"""The mask-predicting U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from songsplit.models.blocks import ConvFrequencyBlock, Down, Up
from songsplit.models.config import MaskUNetConfig


class MaskUNet(nn.Module):
    """U-Net that turns magnitude spectrograms into soft masks.

    The input is divided by its local level, compressed, normalised per frequency,
    and folded: neighbouring frequency bands become channels, which makes the maps
    smaller and the convolutions denser. An encoder and a decoder of
    :class:`~songsplit.models.blocks.ConvFrequencyBlock` with added skips follow
    (U-Net: Ronneberger et al. 2015; for voices: Jansson et al. 2017). Masks of all
    targets add up to one at every bin; the last target's logit is fixed at zero, so
    two targets make a plain sigmoid.

    Parameters
    ----------
    config : MaskUNetConfig
    """

    def __init__(self, config: MaskUNetConfig) -> None:
        super().__init__()
        self.config = config
        folded_bins = config.bins // config.subbands
        folded_channels = config.input_channels * config.subbands
        self.outputs = len(config.targets) - 1
        self.normalize = nn.BatchNorm1d(config.bins)

        widths, bottleneck = config.widths, config.bottleneck
        encoder, downs, ups, decoder = [], [], [], []
        channels, bins = folded_channels, folded_bins
        for level, width in enumerate(widths):
            encoder.append(ConvFrequencyBlock(channels, width, bins, bottleneck))
            if level + 1 < len(widths):
                downs.append(Down(width, width))
                ups.append(Up(widths[level + 1], width))
                decoder.append(ConvFrequencyBlock(width, width, bins, bottleneck))
                channels, bins = width, bins // 2
        self.encoder = nn.ModuleList(encoder)
        self.downs = nn.ModuleList(downs)
        self.ups = nn.ModuleList(ups)
        self.decoder = nn.ModuleList(decoder)
        self.head = nn.Conv2d(widths[0], 2 * self.outputs * config.subbands, 1)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Predict the masks of a batch.

        Parameters
        ----------
        magnitudes : Tensor, shape (batch, config.input_channels, bins, frames)
            What :func:`songsplit.dsp.masks.input_magnitudes` gives; bins at least
            ``config.bins``, any number of frames.

        Returns
        -------
        Tensor of float32, shape (batch, targets, 2, config.bins, frames)
            Masks in [0, 1] for the left and right channel that add up to one over
            the targets.
        """
        config = self.config
        frames = magnitudes.shape[-1]
        x = self.features(magnitudes[:, :, : config.bins])
        x = functional.pad(x, (0, -frames % config.frame_multiple))
        x = self._fold(x).contiguous(memory_format=torch.channels_last)
        logits = self._unfold(self._unet(x))[..., :frames].float()
        if self.outputs == 1:
            first = logits.sigmoid()  # what the softmax below comes to, at half the cost
            return torch.cat([first, 1 - first], dim=1)
        zero = logits.new_zeros(()).expand_as(logits[:, :1])
        return torch.cat([logits, zero], dim=1).softmax(dim=1)

    def features(self, magnitudes: Tensor) -> Tensor:
        """Divide out the local level, compress, and normalise per frequency.

        Parameters and result have shape (batch, channels, config.bins, frames). The
        level is the root mean square over channels, bins and a window of
        ``config.level_seconds``; a finite window instead of the whole input makes the
        result depend little on where a long song is cut into chunks.
        """
        config = self.config
        with torch.autocast(magnitudes.device.type, enabled=False):
            magnitudes = magnitudes.float()
            power = magnitudes.square().mean(dim=(1, 2)).unsqueeze(1)
            level = functional.avg_pool1d(
                power,
                config.level_frames,
                stride=1,
                padding=config.level_frames // 2,
                count_include_pad=False,
            )
            level = level.unsqueeze(1).clamp_min(1e-16).sqrt()
            # The small constant bounds the slope of the power function near zero.
            compressed = (magnitudes / level + 1e-5).pow(config.compression)
            batch, channels, bins, frames = compressed.shape
            per_bin = compressed.transpose(1, 2).reshape(batch, bins, channels * frames)
            normalized: Tensor = self.normalize(per_bin)
        return normalized.reshape(batch, bins, channels, frames).transpose(1, 2)

    def _fold(self, x: Tensor) -> Tensor:
        batch, channels, bins, frames = x.shape
        subbands = self.config.subbands
        return x.reshape(batch, channels * subbands, bins // subbands, frames)

    def _unfold(self, x: Tensor) -> Tensor:
        batch, _, _, frames = x.shape
        return x.reshape(batch, self.outputs, 2, self.config.bins, frames)

    def _unet(self, folded: Tensor) -> Tensor:
        x = folded
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(x)
            if level < len(self.downs):
                skips.append(x)
                x = self.downs[level](x)
        for level in reversed(range(len(self.ups))):
            x = self.decoder[level](self.ups[level](x) + skips[level])
        logits: Tensor = self.head(x)
        return logits
