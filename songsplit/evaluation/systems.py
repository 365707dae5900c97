"""Systems to score: what gives estimates of a song's stems.

A model is one kind. The yardsticks are others: what the mixture as it is would score, and
what systems reach that know the true stems. :mod:`songsplit.evaluation.estimates` has the
kind that reads stems which were made elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, VOCALS
from songsplit.errors import ConfigError, ModelError
from songsplit.evaluation.scores import ACCOMPANIMENT, FIVE_TARGETS, TWO_TARGETS, Samples
from songsplit.evaluation.songs import ReferenceSong, SongAudio
from songsplit.quality import BALANCED, Quality

if TYPE_CHECKING:
    from songsplit.separator import Separator

MIXTURE = "mixture"
RATIO_MASK = "ideal ratio mask"
WIENER_FILTER = "multichannel Wiener filter"
YARDSTICKS = (MIXTURE, RATIO_MASK, WIENER_FILTER)


@dataclass(frozen=True)
class Estimates:
    """What a system makes of a song.

    Parameters
    ----------
    audio : mapping of str to ndarray, shape (channels, samples)
        Estimates by target.
    remark : str
        What a reader of their scores must know, otherwise empty.
    """

    audio: Mapping[str, Samples]
    remark: str = ""


class System(Protocol):
    """Something that gives estimates.

    It must be picklable, because each worker process gets its own; what takes long to
    load is loaded when estimates are first asked for.

    Attributes
    ----------
    name : str
        What it is called in results.
    """

    @property
    def name(self) -> str:
        """What it is called in results."""

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Say what the estimates of a song depend on, besides the song's audio.

        Parameters
        ----------
        song : ReferenceSong

        Returns
        -------
        dict
            JSON-able. Holds the ``"targets"`` that estimates are given for, as a list.

        Raises
        ------
        DataError
            If there can be no estimates of this song.
        """

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
        """Give the estimates of a song.

        Parameters
        ----------
        song : ReferenceSong
        audio : SongAudio
            What `song` reads.

        Returns
        -------
        Estimates

        Raises
        ------
        DataError, AudioFileError, AudioInputError
            If there are no estimates of this song.
        """


class ModelSystem:
    """A separation model.

    It gets the mixture at the song's own rate and with its own channels.

    Parameters
    ----------
    model : str
        Name of a model that comes with songsplit, or the path of a ``.safetensors`` file.
    device : str, optional
        As for :class:`songsplit.Separator`.
    quality : {"fast", "balanced", "best"}, optional
        As for :class:`songsplit.Separator`.

    Attributes
    ----------
    name : str
        The model's name, or that of its file without the extension, and the quality if
        it is not balanced.
    digest : str
        SHA-256 of the weights file.

    Raises
    ------
    ModelError
        If the model is unknown or damaged.
    DeviceError
        If there is no such device.
    ConfigError
        If the model does not separate vocals from the rest.
    """

    def __init__(self, model: str, device: str | None = None, quality: Quality = BALANCED) -> None:
        from songsplit.inference.devices import choose_device
        from songsplit.models.registry import load_model

        stored = load_model(model)
        path = Path(model)
        self.name = path.stem if path.is_file() else model
        if quality != BALANCED:
            self.name += f"-{quality}"
        self._quality = quality
        self.digest = stored.digest
        self._stems = stored.model.config.targets
        self._model, self._device = model, str(choose_device(device))
        if VOCALS not in self._stems or len(self._stems) < 2:
            raise ConfigError(
                f"the model {model!r} gives {', '.join(self._stems)}: evaluate one that gives "
                "vocals and an instrumental, or vocals and the other stems"
            )

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Weights, quality, kind of device, and targets."""
        targets = FIVE_TARGETS if _gives_backing_parts(self._stems) else TWO_TARGETS
        # Devices compute in different precision.
        device = self._device.partition(":")[0]
        return {
            "model_sha256": self.digest,
            "quality": self._quality,
            "device": device,
            "targets": list(targets),
        }

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
        """Separate the mixture.

        Raises
        ------
        ModelError
            If the weights file is no longer the one that `digest` was taken of.
        """
        return Estimates(
            stems_as_targets(self._separator.separate(audio.mixture, audio.sample_rate))
        )

    @cached_property
    def _separator(self) -> Separator:
        from songsplit.models.registry import load_model
        from songsplit.separator import Separator

        separator = Separator(self._model, self._device, quality=self._quality)
        # Scores are stored under the digest, which may be older than what was loaded now.
        if load_model(self._model).digest != self.digest:
            raise ModelError(f"{self._model} changed while it was being scored: start again")
        return separator


def stems_as_targets(stems: Mapping[str, Samples]) -> dict[str, Samples]:
    """Name the targets that the stems of a model stand for.

    Parameters
    ----------
    stems : mapping of str to ndarray, shape (channels, samples)
        ``vocals`` and other stems, which add up to the mixture.

    Returns
    -------
    dict of str to ndarray, shape (channels, samples)
        ``vocals`` and ``accompaniment``; if the stems beside vocals (and possibly
        instrumental) are just drums, bass and other, these as well. The accompaniment is
        then their sum, otherwise the instrumental, and without one the sum of all stems
        but the vocals.
    """
    found = {VOCALS: stems[VOCALS]}
    if INSTRUMENTAL in stems and not _gives_backing_parts(stems):
        return found | {ACCOMPANIMENT: stems[INSTRUMENTAL]}
    backing = {name: stems[name] for name in stems if name not in (VOCALS, INSTRUMENTAL)}
    found[ACCOMPANIMENT] = reduce(np.add, backing.values())
    if _gives_backing_parts(stems):
        found |= {name: backing[name] for name in BACKING_PARTS}
    return found


def _gives_backing_parts(stems: Iterable[str]) -> bool:
    return set(stems) - {VOCALS, INSTRUMENTAL} == set(BACKING_PARTS)


@dataclass(frozen=True)
class Yardstick:
    """A system that says what scores mean, made from the mixture and the true stems.

    Parameters
    ----------
    name : str
        What it is called in results.
    estimate : callable
        Takes the mixture and the references by target, and gives estimates of the same
        targets.
    parameters : mapping of str to float
        What it depends on, for the record.
    targets : sequence of str
        What is estimated of songs that have references for it.
    """

    name: str
    estimate: Callable[[Samples, Mapping[str, Samples]], Mapping[str, Samples]]
    parameters: Mapping[str, float]
    targets: Sequence[str] = TWO_TARGETS

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Parameters and targets."""
        targets = [target for target in self.targets if target in song.targets]
        return {**self.parameters, "targets": targets}

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
        """Make them from the true stems."""
        targets = self.settings(song)["targets"]
        references = {target: audio.references[target] for target in targets}
        return Estimates(self.estimate(audio.mixture, references))


def yardsticks(targets: Sequence[str]) -> tuple[Yardstick, ...]:
    """Give the systems that every candidate is compared with.

    Parameters
    ----------
    targets : sequence of str
        `TWO_TARGETS` or `FIVE_TARGETS`.

    Returns
    -------
    tuple of Yardstick
        The mixture as it is, the ideal ratio mask, and the multichannel Wiener filter of
        :mod:`songsplit.evaluation.oracles`.
    """
    return (
        Yardstick(MIXTURE, _mixture, {}, targets),
        Yardstick(RATIO_MASK, _ratio_mask, {"power": 2.0}, targets),
        Yardstick(WIENER_FILTER, _wiener_filter, {}, targets),
    )


def _mixture(mixture: Samples, references: Mapping[str, Samples]) -> Mapping[str, Samples]:
    from songsplit.evaluation.oracles import mixture_as_estimates

    return mixture_as_estimates(mixture, references)


def _ratio_mask(mixture: Samples, references: Mapping[str, Samples]) -> Mapping[str, Samples]:
    from songsplit.evaluation.oracles import ideal_ratio_mask

    return ideal_ratio_mask(mixture, references, power=2.0)


def _wiener_filter(mixture: Samples, references: Mapping[str, Samples]) -> Mapping[str, Samples]:
    from songsplit.evaluation.oracles import wiener_filter

    return wiener_filter(mixture, references)
