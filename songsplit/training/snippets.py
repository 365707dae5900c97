"""Excerpts of the validation clips, to be heard and seen in TensorBoard during training."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.nn import functional

from songsplit.dsp.masks import continue_masks
from songsplit.errors import ConfigError
from songsplit.models.separation import SeparationModel

MAX_SECONDS = 60.0

# Of one of the four panels of a picture, in pixels.
PANEL_ROWS, PANEL_COLUMNS, GAP = 280, 480, 8
LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 40.0, 16_000.0
RANGE_DB = 80.0

# Every sixteenth of matplotlib's colour map magma (Smith and van der Walt 2015, CC0).
_MAGMA = (
    "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 "
    "d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf"
)


@dataclass(frozen=True)
class _Excerpt:
    tag: str
    stems: Tensor  # (targets, 2, samples)
    gain: float  # keeps the mixture and its stems within full scale


class Snippets(pl.Callback):
    """Let TensorBoard play and show how the network separates parts of the validation clips.

    At each validation an excerpt of each of the first clips is separated with the weights
    that are validated. Logged are the estimates of all targets, downmixed to mono because
    TensorBoard plays nothing else, and a picture of four log spectrograms: above the
    mixture and the reference of the vocals, below their estimate and their mask. Frequency
    rises from 40 Hz to 16 kHz on a logarithmic axis; the spectrograms range over 80 dB
    below the mixture's highest level, the mask from 0 to 1. The mixture and all references
    are logged once. Where the trainer has no TensorBoard logger nothing is done.

    Parameters
    ----------
    count : int
        Number of clips; 0 switches the snippets off.
    seconds : float
        Length of the excerpts, at most 60: where the vocals are loudest. Shorter clips are
        taken whole.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    def __init__(self, count: int = 3, seconds: float = 8.0) -> None:
        if count < 0:
            raise ConfigError(f"count of the snippets must be 0 or more, not {count}")
        if not 0 < seconds <= MAX_SECONDS:
            raise ConfigError(
                f"seconds of the snippets must be above 0 and at most {MAX_SECONDS:g}, "
                f"not {seconds}"
            )
        self.count = count
        self.seconds = seconds
        self._excerpts: list[_Excerpt] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Check that there will be clips.

        Raises
        ------
        ConfigError
            If the data module cannot give validation clips.
        """
        self._excerpts = []
        data = getattr(trainer, "datamodule", None)
        if _tensorboards(trainer) and not hasattr(data, "validation_clips"):
            raise ConfigError(
                "Snippets needs a data module with validation_clips(): leave the callback out"
            )

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Separate and log the excerpts, before the first clip is validated.

        At the end of a validation, averaged weights may have been taken out again by
        then, depending on the order of the callbacks; here they are always in.
        """
        first = batch_idx == 0 and dataloader_idx == 0
        if trainer.sanity_checking or not trainer.is_global_zero or not first:
            return
        writers: list[Any] = [logger.experiment for logger in _tensorboards(trainer)]
        if not writers or self.count == 0:
            return
        model: Any = pl_module.model
        new = not self._excerpts
        if new:
            self._excerpts = self._choose(trainer, model)
        with _evaluating(model), torch.no_grad(), trainer.precision_plugin.forward_context():
            for excerpt in self._excerpts:
                sounds, image = _separate(model, excerpt, pl_module.device, references=new)
                rate, step = model.config.sample_rate, trainer.global_step
                for writer in writers:
                    for name, sound in sounds.items():
                        writer.add_audio(f"{excerpt.tag}/{name}", sound, step, sample_rate=rate)
                    writer.add_image(f"{excerpt.tag}/spectrograms", image, step, dataformats="HWC")

    def _choose(self, trainer: pl.Trainer, model: SeparationModel) -> list[_Excerpt]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        clips = data.validation_clips()
        length = max(1, round(self.seconds * model.config.sample_rate))
        chosen = []
        for index in range(min(self.count, len(clips))):
            clip = clips[index]
            stems: NDArray[np.float32] = clip["stems"]
            start = loudest_window(stems[_shown_target(model)], length)
            stems = stems[..., start : start + length]
            peak = max(float(np.abs(stems).max()), float(np.abs(stems.sum(axis=0)).max()))
            # Some characters mean something to TensorBoard, such as the slash.
            name = re.sub(r"[^\w.-]+", "-", clip["name"]).strip("-")
            tag = f"snippets/{index + 1}-{name}"
            chosen.append(_Excerpt(tag, torch.from_numpy(stems.copy()), 1 / max(1.0, peak)))
        return chosen


def loudest_window(audio: NDArray[np.float32], length: int) -> int:
    """Find where a signal has the most energy.

    Parameters
    ----------
    audio : ndarray, shape (channels, samples)
    length : int
        Of the window in samples.

    Returns
    -------
    int
        Where the window begins, so that it ends within the signal if it is long enough;
        the earliest such place of several.
    """
    energy = np.square(audio, dtype=np.float64).sum(axis=0)
    before = np.concatenate([[0.0], energy.cumsum()])
    if length >= energy.size:
        return 0
    return int(np.argmax(before[length:] - before[:-length]))


def _separate(
    model: SeparationModel, excerpt: _Excerpt, device: torch.device, *, references: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """Separate an excerpt; return mono signals by name, and the picture."""
    stems = excerpt.stems.to(device)
    mixture = stems.sum(dim=0)
    spectrogram = model.stft(mixture.unsqueeze(0))
    # A network that has diverged shall be heard to be silent, not end the run here.
    masks = _finite(continue_masks(model.masks(spectrogram), model.stft.bins)[0].abs())
    estimates = _finite(model(mixture.unsqueeze(0))[0])
    sounds = {}
    if references:
        sounds["mixture"] = mixture
        sounds |= {f"{t}_reference": s for t, s in zip(model.config.targets, stems, strict=True)}
    sounds |= {f"{t}_estimate": s for t, s in zip(model.config.targets, estimates, strict=True)}
    shown = _shown_target(model)
    image = picture(
        spectrogram[0].cpu(),
        model.stft(stems[shown]).cpu(),
        model.stft(estimates[shown]).cpu(),
        masks[shown].cpu(),
        model.config.sample_rate,
    )
    return {name: _mono(sound.cpu(), excerpt.gain) for name, sound in sounds.items()}, image


def picture(
    mixture: Tensor, reference: Tensor, estimate: Tensor, mask: Tensor, sample_rate: int
) -> Tensor:
    """Draw three spectrograms and a mask.

    Parameters
    ----------
    mixture, reference, estimate : Tensor of complex64, shape (channels, bins, frames)
        From 0 Hz to half the sample rate.
    mask : Tensor, shape (channels, bins, frames)
    sample_rate : int
        Rate in Hz.

    Returns
    -------
    Tensor of uint8, shape (rows, columns, 3)
        Mixture and reference above estimate and mask, low frequencies at the bottom.
    """
    spectrograms = (mixture, reference, estimate)
    powers = [_panel(s.abs().double().square(), sample_rate) for s in spectrograms]
    floor = float(powers[0].max()) * 10 ** (-RANGE_DB / 10) or 1.0
    panels = [(p / floor).clamp_min(1).log10() * 10 / RANGE_DB for p in powers]
    panels.append(_panel(mask.double(), sample_rate))
    mixture_panel, reference_panel, estimate_panel, mask_panel = map(_colours, panels)
    gap = torch.zeros(PANEL_ROWS, GAP, 3, dtype=torch.uint8)
    upper = torch.cat([mixture_panel, gap, reference_panel], dim=1)
    lower = torch.cat([estimate_panel, gap, mask_panel], dim=1)
    return torch.cat([upper, torch.zeros_like(upper[:GAP]), lower])


def _panel(values: Tensor, sample_rate: int) -> Tensor:
    """Average (channels, bins, frames) over channels and the pixels' bands and times."""
    values = values.mean(dim=0)
    bins = values.shape[0]
    top = min(HIGHEST_FREQUENCY, sample_rate / 2)
    frequency = np.geomspace(min(LOWEST_FREQUENCY, top / 2), top, PANEL_ROWS + 1)
    # In bins, of which each reaches half a bin to either side. Differences of the
    # cumulative sum are exact for bands narrower and wider than a bin alike.
    edges = torch.from_numpy(frequency / (sample_rate / 2) * (bins - 1) + 0.5)
    whole = edges.long().clamp(max=bins - 1)
    below = functional.pad(values.cumsum(dim=0), (0, 0, 1, 0))
    below = below[whole] + (edges - whole).unsqueeze(1) * values[whole]
    rows = below.diff(dim=0) / edges.diff().unsqueeze(1)
    return functional.adaptive_avg_pool1d(rows.flip(0), PANEL_COLUMNS)


def _colours(values: Tensor) -> Tensor:
    """Map values in [0, 1] to magma, with a last axis for red, green and blue."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in _MAGMA.split()])
    position = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(position, np.arange(len(anchors)), c) for c in anchors.T]
    table = torch.from_numpy(np.stack(channels, axis=1).round().astype(np.uint8))
    return table[(values.clamp(0, 1) * 255).round().long()]


def _shown_target(model: SeparationModel) -> int:
    """Return the index of the target that excerpts are chosen by and pictures show."""
    targets = model.config.targets
    return targets.index("vocals") if "vocals" in targets else 0


def _finite(values: Tensor) -> Tensor:
    return values.float().nan_to_num(0.0, 0.0, 0.0)


def _mono(audio: Tensor, gain: float) -> Tensor:
    """Downmix (2, samples) and keep it within full scale."""
    mono = (audio.mean(dim=0) * gain).clamp(-1, 1)
    # TensorBoard's writer takes a single sample for no sound.
    return functional.pad(mono, (0, max(0, 2 - len(mono))))


def _tensorboards(trainer: pl.Trainer) -> list[TensorBoardLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode and each of its parts back into its own."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
