"""Muon for matrices and kernels, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95
_BETAS = (0.9, 0.999)


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are made orthogonal.

    For every matrix, and every kernel seen as a matrix (outputs, rest), the step is the
    orthogonal matrix nearest to the momentum (K. Jordan et al., 2024, "Muon: an
    optimizer for hidden layers in neural networks"), scaled to the size of an AdamW step
    (J. Liu et al., 2025, "Muon is scalable for LLM training"), so that both share one
    learning rate. Unlike :class:`torch.optim.Muon` it takes kernels, and all parameters
    at once.

    Parameters
    ----------
    groups : iterable of dict
        Parameter groups. Those with ``orthogonal`` true take Muon's steps, the others
        those of AdamW.
    lr : float
    weight_decay : float
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, weight_decay: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "orthogonal": False})

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Tensor] | None = None
    ) -> Tensor | None:
        """Take one step; return what ``closure`` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            direction = self._orthogonal if group["orthogonal"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    step = direction(parameter.grad, self.state[parameter])
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(step, alpha=-group["lr"])
        return loss

    def _orthogonal(self, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        momentum = state.setdefault("momentum", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        matrix = gradient.lerp(momentum, _MOMENTUM).flatten(1)  # Nesterov's look ahead
        # max(m, n) ** 0.5 times the root mean square of an orthogonal matrix is one.
        step: Tensor = orthogonalized(matrix) * (0.2 * max(matrix.shape) ** 0.5)
        return step.reshape(gradient.shape)

    def _adam(self, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        first = state.setdefault("first_moment", torch.zeros_like(gradient))
        second = state.setdefault("second_moment", torch.zeros_like(gradient))
        count = state.setdefault("count", torch.zeros((), device=gradient.device))
        count += 1
        first.lerp_(gradient, 1 - _BETAS[0])
        second.lerp_(gradient.square(), 1 - _BETAS[1])
        deviation = (second / (1 - _BETAS[1] ** count)).sqrt() + 1e-8
        step: Tensor = first / (1 - _BETAS[0] ** count) / deviation
        return step


def orthogonalized(matrix: Tensor) -> Tensor:
    """Approximate the orthogonal matrix nearest to a matrix, by Newton-Schulz iterations.

    Parameters
    ----------
    matrix : Tensor, shape (m, n)

    Returns
    -------
    Tensor, shape (m, n)
        With singular values of about one (0.7 to 1.2), which is near enough.
    """
    a, b, c = _POLYNOMIAL
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.T if tall else x).to(matrix.dtype)
    return result
