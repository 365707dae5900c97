"""The mask-predicting U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from songsplit.dsp.bands import expand_bands, pool_bands
from songsplit.models.blocks import (
    AlongTimeAndFrequency,
    Attention,
    ConvFrequencyBlock,
    Down,
    Recurrent,
    Up,
)
from songsplit.models.config import MaskUNetConfig

_INPUTS = 4  # powers of left, right, mid and side
_CONTEXTS = {"recurrent": Recurrent, "attention": Attention}


def least_weights(config: MaskUNetConfig) -> int:
    """Return a number of weights that a network has at least, without making it.

    It counts the convolutions and frequency-wise layers of the encoder, which are about half
    of all.
    """
    count, rows = 0, config.rows
    channels = _INPUTS * config.subbands
    for width in config.widths:
        count += 9 * width * (channels + width) + 2 * rows * _inner_rows(config, rows)
        channels, rows = width, rows // 2
    return count


def _inner_rows(config: MaskUNetConfig, rows: int) -> int:
    """Return how many rows frequency-wise layers reduce a frequency axis to, 0 without them."""
    if not config.bottleneck:
        return 0
    return max(rows // config.bottleneck, min(rows, config.narrowest))


class MaskUNet(nn.Module):
    """U-Net that turns the power of a spectrogram into soft masks.

    Powers are pooled into bands, divided by their local level, compressed, normalised per
    band, and folded: ranges of the spectrum become channels, which makes the maps smaller
    and the convolutions denser. An encoder and a decoder of
    :class:`~songsplit.models.blocks.ConvFrequencyBlock` with skips between them follow
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
        self.outputs = len(config.targets) - 1
        self.normalize = nn.BatchNorm1d(config.rows * config.subbands)

        widths, rows = config.widths, config.rows
        encoder, downs, ups, decoder = [], [], [], []
        channels = _INPUTS * config.subbands
        for level, width in enumerate(widths):
            inner = _inner_rows(config, rows)
            encoder.append(ConvFrequencyBlock(channels, width, rows, inner))
            if level + 1 < len(widths):
                downs.append(Down(width, width))
                ups.append(Up(widths[level + 1], width))
                decoder.append(ConvFrequencyBlock(width, width, rows, inner))
                channels, rows = width, rows // 2
        self.encoder = nn.ModuleList(encoder)
        self.downs = nn.ModuleList(downs)
        self.context = (
            nn.Identity()
            if config.context == "none"
            else AlongTimeAndFrequency(widths[-1], _CONTEXTS[config.context])
        )
        self.ups = nn.ModuleList(ups)
        self.decoder = nn.ModuleList(decoder)
        self.head = nn.Conv2d(widths[0], 2 * self.outputs * config.subbands, 1)

    def forward(self, powers: Tensor) -> Tensor:
        """Predict the masks of all targets but the last.

        Parameters
        ----------
        powers : Tensor, shape (batch, 4, bins, frames)
            What :func:`songsplit.dsp.masks.input_powers` gives; bins at least
            ``config.bins``, any number of frames.

        Returns
        -------
        Tensor of float32, shape (batch, targets - 1, 2, config.bins, frames)
            Masks for the left and right channel, which lie in [0, 1], as does their sum.
        """
        config = self.config
        frames = powers.shape[-1]
        x = self.features(powers)
        x = functional.pad(x, (0, -frames % config.frame_multiple))
        logits = self.logits(x)[..., :frames].float()
        logits = logits.reshape(len(logits), self.outputs, 2, *logits.shape[2:])
        if self.outputs == 1:
            masks = logits.sigmoid()  # what the softmax below comes to, at half the cost
        else:
            zero = logits.new_zeros(()).expand_as(logits[:, :1])
            masks = torch.cat([logits, zero], dim=1).softmax(dim=1)[:, :-1]
        return expand_bands(masks, config.bands)

    def features(self, powers: Tensor) -> Tensor:
        """Pool into bands, divide out the local level, compress, and normalise per band.

        From shape (batch, channels, bins, frames) to (batch, channels, bands, frames). The
        level is the root mean square over channels, bands and a window of
        ``config.level_seconds``; a finite window instead of the whole input makes the
        result depend little on where a long song is cut into chunks.
        """
        with torch.autocast(powers.device.type, enabled=False):
            return self.normalized(pool_bands(powers.float(), self.config.bands))

    def normalized(self, powers: Tensor) -> Tensor:
        """Do what :meth:`features` does with powers that are pooled already."""
        config = self.config
        level = functional.avg_pool1d(
            powers.mean(dim=(1, 2)).unsqueeze(1),
            config.level_frames,
            stride=1,
            padding=config.level_frames // 2,
            count_include_pad=False,
        )
        relative = powers / level.unsqueeze(1).clamp_min(1e-16)
        # The small constants bound the slopes of root and power function near zero.
        compressed = ((relative + 1e-20).sqrt() + 1e-5).pow(config.compression)
        batch, channels, bins, frames = compressed.shape
        per_bin = compressed.transpose(1, 2).reshape(batch, bins, channels * frames)
        normalized: Tensor = self.normalize(per_bin)
        return normalized.reshape(batch, bins, channels, frames).transpose(1, 2)

    def logits(self, features: Tensor) -> Tensor:
        """Run the U-Net proper over (batch, 4, bands, frames), a multiple of frames."""
        folded = self._fold(features).contiguous(memory_format=torch.channels_last)
        return self._unfold(self._unet(folded))

    def _fold(self, x: Tensor) -> Tensor:
        batch, channels, bins, frames = x.shape
        subbands = self.config.subbands
        return x.reshape(batch, channels * subbands, bins // subbands, frames)

    def _unfold(self, x: Tensor) -> Tensor:
        batch, _, rows, frames = x.shape
        return x.reshape(batch, -1, rows * self.config.subbands, frames)

    def _unet(self, folded: Tensor) -> Tensor:
        x = folded
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(x)
            if level < len(self.downs):
                skips.append(x)
                x = self.downs[level](x)
        x = self.context(x)
        for level in reversed(range(len(self.ups))):
            x = self.decoder[level](self.ups[level](x) + skips[level])
        logits: Tensor = self.head(x)
        return logits
