from __future__ import annotations

import torch
from torch import nn

from songsplit.models.fusion import fused
from tests.models.tiny import tiny_model


def test_fusing_changes_the_work_but_not_the_result():
    model = tiny_model()
    # Statistics as after training, not the zeros and ones of a new network.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    mixture = torch.randn(2, 2, 9000)
    quick = fused(model)
    with torch.inference_mode():
        torch.testing.assert_close(quick(mixture), model(mixture), atol=1e-4, rtol=1e-3)
    left = [sum(isinstance(m, nn.BatchNorm2d) for m in n.modules()) for n in (model, quick)]
    # Those after frequency-wise layers, two in each of the five blocks, stay.
    assert left[1] == 10 < left[0]
