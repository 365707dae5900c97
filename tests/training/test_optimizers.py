from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from songsplit.training.optimizers import Muon, orthogonalized


@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 99))
def test_steps_go_along_all_directions_of_the_gradient_alike(rows, columns, seed):
    torch.manual_seed(seed)
    matrix = torch.randn(rows, columns)
    left, singular, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonalized(matrix[None])[0] @ right.T
    clear = singular > 0.2 * singular.max()
    assert found.diagonal()[clear].min() > 0.4
    assert found.diagonal().max() < 1.5
    assert (found - torch.diag(found.diagonal())).abs().max() < 0.2


def test_the_other_group_takes_the_steps_of_adamw():
    torch.manual_seed(0)
    start = torch.randn(5, 3)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    both = [
        Muon([{"params": [ours]}], lr=0.01, weight_decay=0.1),
        torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1),
    ]
    for _ in range(5):
        gradient = torch.randn(5, 3)
        for parameter, optimizer in zip((ours, theirs), both, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_weights_decay_and_missing_gradients_are_left_alone():
    decayed, untouched = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    groups = [{"params": [decayed, untouched], "orthogonal": True}]
    optimizer = Muon(groups, lr=0.1, weight_decay=0.5)
    decayed.grad = torch.zeros(2, 2)
    optimizer.step()
    assert torch.allclose(decayed, torch.full((2, 2), 0.95))
    assert torch.equal(untouched, torch.ones(2, 2))
