"""Layers that look along all of time and all of frequency, for the U-Net's lowest scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_HEADS = 4


class AlongTimeAndFrequency(nn.Module):
    """Apply one layer along time, then another along frequency, each with a shortcut.

    The dual-path scheme of Luo et al. (2020), "Dual-path RNN".

    Parameters
    ----------
    channels : int
    layer : type
        Made with the number of channels; maps (sequences, length, channels) to the same.
    """

    def __init__(self, channels: int, layer: type[nn.Module]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.layers = nn.ModuleList(layer(channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, frequency, time) to the same shape."""
        x = x.permute(0, 2, 3, 1)  # (batch, frequency, time, channels)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            sequences = norm(x).flatten(0, 1)
            x = x + layer(sequences).reshape(x.shape)
            x = x.transpose(1, 2)  # the other axis next, and back after both
        return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


class Recurrent(nn.Module):
    """Bidirectional GRU and a linear layer back to the number of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, channels // 2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(channels // 2 * 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (sequences, length, channels) to the same shape."""
        out: Tensor = self.out(self.gru(x)[0])
        return out


class Attention(nn.Module):
    """Multi-head attention of every place to all others (Vaswani et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (sequences, length, channels) to the same shape."""
        heads = self.inputs(x).unflatten(-1, (3, _HEADS, -1)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out
