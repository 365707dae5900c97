"""Normalisations taken into the convolutions before them, for speed."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from songsplit.models.separation import SeparationModel


def fused(model: SeparationModel) -> SeparationModel:
    """Copy a network with the batch normalisations after convolutions folded into them.

    In evaluation a batch normalisation is a fixed scale and shift per channel, which the
    weights and biases of the convolution before it can take over.

    Parameters
    ----------
    model : SeparationModel
        In evaluation mode.

    Returns
    -------
    SeparationModel
        Gives the same masks within rounding, and cannot be trained.
    """
    result = copy.deepcopy(model)
    for module in result.modules():
        if isinstance(module, nn.Sequential):
            _fuse(module)
    return result.requires_grad_(False)


def _fuse(layers: nn.Sequential) -> None:
    for index in range(len(layers) - 1):
        convolution, normalisation = layers[index], layers[index + 1]
        if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and isinstance(
            normalisation, nn.BatchNorm2d
        ):
            layers[index] = fuse_conv_bn_eval(
                convolution,
                normalisation,
                transpose=isinstance(convolution, nn.ConvTranspose2d),
            )
            layers[index + 1] = nn.Identity()
