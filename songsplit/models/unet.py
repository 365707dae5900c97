"""The mask-predicting U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from songsplit.dsp.masks import expand_bands, pool_bands
from songsplit.models.blocks import ConvFrequencyBlock, down, up
from songsplit.models.config import MaskUNetConfig

_INPUTS = 4  # powers of left, right, mid and side


def encoder_costs(config: MaskUNetConfig) -> tuple[int, float]:
    """Count the encoder's weights, and its multiplications per second of audio.

    The network is not created. The encoder has about half of its weights and multiplications.
    """
    weights, multiplications, rows = 0, 0.0, config.rows
    channels, frames = _INPUTS * config.subbands, config.frames_per_second
    for width in config.widths:
        convolution, inner = 9 * width * (channels + width), _inner_rows(config, rows)
        weights += convolution + 2 * rows * inner
        multiplications += (convolution + 2 * inner * width) * rows * frames
        channels, rows, frames = width, rows // 2, frames / 2
    return weights, multiplications


def _inner_rows(config: MaskUNetConfig, rows: int) -> int:
    """Return the rows to which frequency-wise layers reduce the frequency axis, or 0."""
    if not config.bottleneck:
        return 0
    return max(rows // config.bottleneck, min(rows, config.narrowest))


class MaskUNet(nn.Module):
    """U-Net that predicts soft masks from the powers of a spectrogram.

    Powers are pooled into bands, divided by their local level, compressed, normalised per band, and
    folded: ranges of the spectrum become channels, which makes the maps smaller and the
    convolutions denser. An encoder and a decoder of
    :class:`~songsplit.models.blocks.ConvFrequencyBlock` with skip connections follow (U-Net:
    Ronneberger et al. 2015; for voices: Jansson et al. 2017). Masks of all targets add up to one in
    every bin. The logit of the last target is zero, so two targets need only a sigmoid.
    """

    def __init__(self, config: MaskUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.outputs = len(config.targets) - 1
        self.normalize = nn.BatchNorm1d(config.rows * config.subbands)

        widths, rows = config.widths, config.rows
        self.encoder, self.downs = nn.ModuleList(), nn.ModuleList()
        self.ups, self.decoder = nn.ModuleList(), nn.ModuleList()
        channels = _INPUTS * config.subbands
        for level, width in enumerate(widths):
            inner = _inner_rows(config, rows)
            self.encoder.append(ConvFrequencyBlock(channels, width, rows, inner))
            if level + 1 < len(widths):
                self.downs.append(down(width, width))
                self.ups.append(up(widths[level + 1], width))
                self.decoder.append(ConvFrequencyBlock(width, width, rows, inner))
                channels, rows = width, rows // 2
        self.head = nn.Conv2d(widths[0], 2 * self.outputs * config.subbands, 1)

    def forward(self, powers: Tensor) -> Tensor:
        """Predict masks of all targets but the last, for left and right.

        From :func:`songsplit.dsp.masks.input_powers` (batch, 4, bins, frames) to float32 (batch,
        targets - 1, 2, config.bins, frames). Masks and their sum over targets are in [0, 1].
        """
        config = self.config
        frames = powers.shape[-1]
        x = functional.pad(self.features(powers), (0, -frames % config.frame_multiple))
        return expand_bands(self.masks(self.logits(x)[..., :frames].float()), config.bands)

    def masks(self, logits: Tensor) -> Tensor:
        """Convert logits (batch, targets - 1, 2, bands, frames) to masks; the last logit is 0."""
        if self.outputs == 1:
            return logits.sigmoid()  # equals the softmax below at half the cost
        zero = logits.new_zeros(()).expand_as(logits[:, :1])
        return torch.cat([logits, zero], dim=1).softmax(dim=1)[:, :-1]

    def features(self, powers: Tensor) -> Tensor:
        """Convert powers (batch, 4, bins, frames) to the U-Net's input (batch, 4, bands, frames).

        The level is measured over channels, bands and a window of ``config.level_seconds``. Since
        the window is finite, the result hardly depends on how a long song is cut into chunks.
        """
        with torch.autocast(powers.device.type, enabled=False):
            return self.normalized(pool_bands(powers.float(), self.config.bands))

    def normalized(self, powers: Tensor) -> Tensor:
        """Return the U-Net's input as :meth:`features` does, for pooled powers."""
        config = self.config
        level = functional.avg_pool1d(
            powers.mean(dim=(1, 2)).unsqueeze(1),
            config.level_frames,
            stride=1,
            padding=config.level_frames // 2,
            count_include_pad=False,
        )
        relative = powers / level.unsqueeze(1).clamp_min(1e-16)
        # The small constants limit the slopes of root and power near zero.
        compressed = ((relative + 1e-20).sqrt() + 1e-5).pow(config.compression)
        batch, channels, bins, frames = compressed.shape
        per_bin = compressed.transpose(1, 2).reshape(batch, bins, channels * frames)
        normalized: Tensor = self.normalize(per_bin)
        return normalized.reshape(batch, bins, channels, frames).transpose(1, 2)

    def logits(self, features: Tensor) -> Tensor:
        """Run the U-Net over (batch, 4, bands, frames): (batch, targets - 1, 2, bands, frames)."""
        config = self.config
        # Fold subbands into channels, and unfold them after the network.
        folded = features.reshape(len(features), -1, config.rows, features.shape[-1])
        logits = self._unet(folded.contiguous(memory_format=torch.channels_last))
        return logits.reshape(len(features), self.outputs, 2, config.band_count, -1)

    def _unet(self, x: Tensor) -> Tensor:
        skips = []
        for block, smaller in zip(self.encoder, self.downs, strict=False):
            skips.append(block(x))
            x = smaller(skips[-1])
        x = self.encoder[-1](x)
        for block, larger, skip in reversed(list(zip(self.decoder, self.ups, skips, strict=True))):
            x = block(larger(x) + skip)
        logits: Tensor = self.head(x)
        return logits
