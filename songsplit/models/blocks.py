"""Building blocks of the mask U-Net.

All blocks map feature maps of shape (batch, channels, frequency, time). Batch normalisations
directly follow convolutions, so that :func:`songsplit.models.separation_model.fused` can merge
both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_norm(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Return a convolution that keeps the size, followed by batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class FrequencyLinear(nn.Module):
    """Linear layer along the frequency axis, shared by all channels and frames."""

    def __init__(self, in_bins: int, out_bins: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_bins, in_bins))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, in_bins, time) to (batch, channels, out_bins, time)."""
        # With channels last in memory, this is one matrix product per item without a copy:
        # (out, in) @ (in, time * channels).
        batch, channels, bins, frames = x.shape
        columns = x.permute(0, 2, 3, 1).reshape(batch, bins, frames * channels)
        mixed = torch.bmm(self.weight.expand(batch, -1, -1), columns)
        return mixed.reshape(batch, -1, frames, channels).permute(0, 3, 1, 2)


class FrequencyBlock(nn.Module):
    """Two frequency-wise linear layers, with `inner` rows between them.

    The "time-distributed fully connected" block of Choi et al. (2020), "Investigating U-Nets with
    various intermediate blocks for spectrogram-based singing voice separation". It connects every
    frequency with all others, so that distant harmonics can be recognised as one voice, which
    small convolutions cannot do.
    """

    def __init__(self, channels: int, bins: int, inner: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            FrequencyLinear(bins, inner),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            FrequencyLinear(inner, bins),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, bins, time) to the same shape."""
        out: Tensor = self.layers(x)
        return out


class ConvFrequencyBlock(nn.Module):
    """Convolution, frequency block, convolution, with a shortcut around them.

    Without `inner` rows, the frequency block is left out.
    """

    def __init__(self, in_channels: int, out_channels: int, bins: int, inner: int) -> None:
        super().__init__()
        self.entry = nn.Sequential(conv_norm(in_channels, out_channels, 3), nn.ReLU(inplace=True))
        self.frequency = FrequencyBlock(out_channels, bins, inner) if inner else None
        self.exit = conv_norm(out_channels, out_channels, 3)
        is_same = in_channels == out_channels
        self.shortcut = nn.Identity() if is_same else conv_norm(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, bins, time) to (batch, out_channels, bins, time)."""
        h = self.entry(x)
        if self.frequency is not None:
            h = h + self.frequency(h)
        out: Tensor = self.exit(h)
        return out.add_(self.shortcut(x)).relu_()


def down(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return layers that halve frequency and time."""
    convolution = nn.Conv2d(in_channels, out_channels, 2, stride=2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def up(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return layers that double frequency and time."""
    convolution = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
