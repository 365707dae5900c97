"""Muon for matrices and kernels, AdamW for other parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_MOMENTUM = 0.95
_BETAS = (0.9, 0.999)


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised steps.

    For every matrix, and every kernel as a matrix (outputs, rest), the step is the orthogonal
    matrix nearest to the momentum (K. Jordan et al., 2024, "Muon: an optimizer for hidden layers in
    neural networks"), scaled to the size of an AdamW step (J. Liu et al., 2025, "Muon is scalable
    for LLM training"), so that both share one learning rate. Unlike :class:`torch.optim.Muon`, it
    supports kernels and all parameters: groups with ``orthogonal`` use Muon, others AdamW. It works
    on lists of tensors, because small operations take a GPU longer to start than to compute.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, weight_decay: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "orthogonal": False})

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Tensor] | None = None
    ) -> Tensor | None:
        """Take one step and return the result of ``closure``."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                gradients = [p.grad for p in parameters]
                states = [self.state[p] for p in parameters]
                directions = self._orthogonal if group["orthogonal"] else self._adam
                steps = directions(gradients, states)
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, steps, alpha=-group["lr"])
        return loss

    def _orthogonal(self, gradients: list[Tensor], states: list[dict[str, Any]]) -> list[Tensor]:
        momenta = _kept(states, "momentum", gradients)
        torch._foreach_lerp_(momenta, gradients, 1 - _MOMENTUM)
        ahead = torch._foreach_lerp(gradients, momenta, _MOMENTUM)  # Nesterov momentum
        alike: dict[torch.Size, list[int]] = {}
        for index, gradient in enumerate(gradients):
            alike.setdefault(gradient.shape, []).append(index)
        steps = list(ahead)
        for shape, indices in alike.items():
            matrices = torch.stack([ahead[index] for index in indices]).flatten(2)
            # The root mean square of an orthogonal matrix is max(m, n) ** -0.5.
            scaled = orthogonalized(matrices).mul_(0.2 * max(matrices.shape[1:]) ** 0.5)
            found = scaled.view(-1, *shape).unbind()
            for index, step in zip(indices, found, strict=True):
                steps[index] = step
        return steps

    def _adam(self, gradients: list[Tensor], states: list[dict[str, Any]]) -> list[Tensor]:
        first = _kept(states, "first_moment", gradients)
        second = _kept(states, "second_moment", gradients)
        for state in states:
            # In checkpoints of version 0.1, this is a tensor.
            state["count"] = int(state.get("count", 0)) + 1
        torch._foreach_lerp_(first, gradients, 1 - _BETAS[0])
        torch._foreach_lerp_(second, torch._foreach_mul(gradients, gradients), 1 - _BETAS[1])
        deviations = torch._foreach_div(second, [1 - _BETAS[1] ** s["count"] for s in states])
        torch._foreach_sqrt_(deviations)
        torch._foreach_add_(deviations, 1e-8)
        steps = torch._foreach_div(first, [1 - _BETAS[0] ** s["count"] for s in states])
        torch._foreach_div_(steps, deviations)
        return list(steps)


def _kept(states: list[dict[str, Any]], name: str, like: list[Tensor]) -> list[Tensor]:
    for state, tensor in zip(states, like, strict=True):
        if name not in state:
            state[name] = torch.zeros_like(tensor)
    return [state[name] for state in states]


def orthogonalized(matrices: Tensor) -> Tensor:
    """Approximate the nearest orthogonal matrices of (count, m, n) by Newton-Schulz iterations.

    Singular values of the result are between 0.7 and 1.2, which is close enough.
    """
    a, b, c = _POLYNOMIAL
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(5):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)
