"""What all effects have in common: which items they change is known on the CPU."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from songsplit.training.augment.draws import choose, move

Changes = tuple[Tensor, Tensor]
"""Numbers of the changed items, int64 on the CPU, and what they become."""


def put(items: Tensor, changes: Changes) -> None:
    """Write changed items into a tensor of all items, in place."""
    index, changed = changes
    if len(index):
        items.index_copy_(0, move(index, items.device), changed)


class Effect(nn.Module, ABC):
    """An effect that changes a random share of the items of a batch.

    Decisions are drawn from a generator on the CPU: always as many, whatever the items
    hold and whichever are chosen. Only chosen items are computed, on their own device.

    Parameters
    ----------
    share : float
        Share of the items that are changed.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(
        self, items: Tensor, generator: torch.Generator, eligible: Tensor | None = None
    ) -> Tensor:
        """Change a random share of the items.

        Parameters
        ----------
        items : Tensor, shape (items, ...)
            Waveforms of float32, shape (items, 2, samples), or spectrograms of
            complex64, whichever the effect is made for. They stay as they are.
        generator : torch.Generator
            On the CPU.
        eligible : Tensor of bool, shape (items,), optional
            Items that may be changed, on the CPU; by default, all.

        Returns
        -------
        Tensor, shape (items, ...)
            `items` itself if none was chosen.
        """
        index, changed = self.changes(items, generator, eligible)
        if not len(index):
            return items
        return items.index_copy(0, move(index, items.device), changed)

    def changes(
        self, items: Tensor, generator: torch.Generator, eligible: Tensor | None = None
    ) -> Changes:
        """Like calling the effect, but return the changed items alone."""
        index, amounts = self.decide(len(items), generator, eligible)
        chosen = items.index_select(0, move(index, items.device))
        return index, self.change(chosen, amounts) if len(index) else chosen

    def decide(
        self, items: int, generator: torch.Generator, eligible: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Draw which items are changed, and by how much."""
        amounts = self.draw(items, generator)
        index = choose(self.share, items, generator, eligible)
        return index, tuple(amount[index] for amount in amounts)

    @abstractmethod
    def draw(self, items: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw amounts for all items, each of shape (items, ...) on the CPU."""

    @abstractmethod
    def change(self, items: Tensor, amounts: tuple[Tensor, ...]) -> Tensor:
        """Return all of the items changed by their amounts, which are on the CPU."""
