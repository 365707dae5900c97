"""A network small enough for tests."""

from __future__ import annotations

import torch

from songsplit.models.config import MaskUNetConfig
from songsplit.models.separation_model import SeparationModel

TINY = MaskUNetConfig(
    n_fft=512, hop_length=128, bands=((192, 1),), subbands=4, widths=(4, 6, 8), bottleneck=2
)


def tiny_model(**settings: object) -> SeparationModel:
    torch.manual_seed(0)
    values = {name: getattr(TINY, name) for name in TINY.__dataclass_fields__}
    return SeparationModel(MaskUNetConfig(**{**values, **settings})).eval()


def all_vocals() -> SeparationModel:
    """Return a network whose vocals are the whole mixture."""
    model = tiny_model()
    with torch.no_grad():
        model.unet.head.weight.zero_()
        model.unet.head.bias.fill_(100)
    return model
