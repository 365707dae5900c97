"""Systems to score: a model, stems in files, and the yardsticks that know the true stems."""

from __future__ import annotations

import threading
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path, PurePath
from typing import Any, Literal, Protocol

import numpy as np

from songsplit.audio import read_audio
from songsplit.audio.finding import audio_files
from songsplit.data.musdb import Audio
from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, MIXTURE, OTHER, VOCALS
from songsplit.data.stem_names import stem_at_end, stem_in_folder
from songsplit.errors import ConfigError, DataError
from songsplit.evaluation.oracles import ideal_ratio_mask, wiener_filter
from songsplit.evaluation.projections import Samples
from songsplit.evaluation.references import ReferenceSong, SongAudio, files_digest
from songsplit.evaluation.track_scores import ACCOMPANIMENT, FIVE_TARGETS
from songsplit.models.weights import DEFAULT_MODEL, load_model
from songsplit.separator import Separator

_HINT = "name the files vocals and accompaniment, or vocals, drums, bass and other"


class System(Protocol):
    """Something that gives estimates, with the name that it has in results."""

    @property
    def name(self) -> str:
        """What it is called in results."""

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Say, in values of JSON, what the estimates of a song depend on besides its audio."""

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> tuple[dict[str, Samples], str]:
        """Give the estimates of a song by target, and a remark on them or nothing.

        DataError or AudioFileError says that there are none.
        """


class ModelSystem:
    """A separation model, which gets the mixture at the song's own rate and channels."""

    def __init__(
        self,
        model: str | None = None,
        device: str | None = None,
        quality: Literal["balanced", "best"] = "balanced",
    ) -> None:
        wanted = model or DEFAULT_MODEL
        stored = load_model(wanted)
        path = Path(wanted)
        self.name = path.stem if path.is_file() else wanted
        if quality != "balanced":
            self.name += f"-{quality}"
        self.quality, self.digest = quality, stored.digest
        self._separator = Separator(stored.model, device, quality=quality)
        # One song at a time goes through the network, others are scored meanwhile.
        self._lock = threading.Lock()
        stems = self._separator.targets
        if VOCALS not in stems or len(stems) < 2:
            raise ConfigError(
                f"the model {wanted!r} gives {', '.join(stems)}: evaluate one that gives vocals "
                "and an instrumental, or vocals and the other stems"
            )

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Give weights, quality and kind of device: devices compute in different precision."""
        device = self._separator.device.type
        return {"model_sha256": self.digest, "quality": self.quality, "device": device}

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> tuple[dict[str, Samples], str]:
        """Separate the mixture."""
        with self._lock:
            stems = self._separator.separate(audio.mixture, audio.sample_rate)
        return stems_as_targets(stems), ""


def stems_as_targets(stems: Mapping[str, Samples]) -> dict[str, Samples]:
    """Name the targets of the stems of a model: drums, bass and other only if nothing is beside.

    The accompaniment is then their sum, else the instrumental or the sum of all but the vocals.
    """
    found = {VOCALS: stems[VOCALS]}
    backing = {name: stems[name] for name in stems if name not in (VOCALS, INSTRUMENTAL)}
    complete = set(backing) == set(BACKING_PARTS)
    if INSTRUMENTAL in stems and not complete:
        return found | {ACCOMPANIMENT: stems[INSTRUMENTAL]}
    found[ACCOMPANIMENT] = reduce(np.add, backing.values())
    return found | ({name: backing[name] for name in BACKING_PARTS} if complete else {})


@dataclass(frozen=True)
class Yardstick:
    """A system that says what scores mean, made from the mixture and the true stems."""

    name: str
    estimate: Callable[[Samples, Mapping[str, Samples]], dict[str, Samples]]
    targets: Sequence[str]

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Targets: of vocals and accompaniment alone, drums, bass and other are not found."""
        return {"targets": list(self.targets)}

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> tuple[dict[str, Samples], str]:
        """Make them from the true stems."""
        references = {name: audio.references[name] for name in self.targets}
        return self.estimate(audio.mixture, references), ""


def yardsticks(targets: Sequence[str]) -> tuple[Yardstick, ...]:
    """Give the mixture as it is, the ideal ratio mask and the multichannel Wiener filter."""
    return (
        Yardstick("mixture", lambda mixture, parts: dict.fromkeys(parts, mixture), targets),
        Yardstick("ideal ratio mask", ideal_ratio_mask, targets),
        Yardstick("multichannel Wiener filter", wiener_filter, targets),
    )


class EstimatesFolder:
    """A system whose stems are read from files that any program has made.

    A song's stems are in a folder of the song's name, at any depth below the root, or in
    files such as ``Song - vocals.wav`` and ``Song_(Instrumental)_model.wav``. Names may differ
    from the song's in case, in how accents are encoded and in a ``.stem`` at their end. An
    instrumental is the accompaniment. Nothing is resampled or mixed down.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()
        if not self.root.is_dir():
            what = "this is a file" if self.root.exists() else "there is no such folder"
            raise DataError(
                f"{root}: {what}: name the folder that holds a folder of stems for each song"
            )
        self.name = self.root.resolve().name or "estimates"
        self._folders: dict[Path, list[Path]] = defaultdict(list)
        for file in audio_files(self.root):
            self._folders[file.parent].append(file)

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Give hashes (SHA-256) of the files, and what is remarked of them."""
        stems, remark = self.find(song)
        digests = {stem: files_digest((path,)) for stem, path in stems.items()}
        return {"estimate_files": digests, "estimate_remark": remark}

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> tuple[dict[str, Samples], str]:
        """Read the stems of a song."""
        paths, remark = self.find(song)
        stems = {_target(stem): _read(path, audio) for stem, path in paths.items()}
        if ACCOMPANIMENT not in stems and set(BACKING_PARTS) <= set(stems):
            parts = [stems[name] for name in BACKING_PARTS]
            lengths = [part.shape[1] for part in parts]
            if len(set(lengths)) > 1:
                raise DataError(
                    f"{paths['drums'].parent}: {', '.join(BACKING_PARTS)} cannot be summed to the "
                    f"accompaniment, they last {', '.join(map(str, lengths))} samples: export them "
                    "alike, or add a file named accompaniment"
                )
            stems[ACCOMPANIMENT] = reduce(np.add, parts)
        return {name: stems[name] for name in FIVE_TARGETS if name in stems}, remark

    def find(self, song: ReferenceSong) -> tuple[dict[str, Path], str]:
        """Find the file of each stem that is used, and say what is missing or not used."""
        place, named, unknown = self._files(song)
        # Some systems give guitar and piano beside what is left.
        others = named.pop(OTHER) if len(named.get(OTHER, [])) > 1 else []
        for stem, files in named.items():
            if len(files) > 1:
                raise DataError(
                    f"{place}: {_taken(files, stem)}: leave one file that holds all of "
                    f"{_target(stem)}"
                )
        if not {VOCALS, INSTRUMENTAL} & set(named):
            files = [*(file for files in named.values() for file in files), *others, *unknown]
            found = ", ".join(file.name for file in files) or "no stems"
            raise DataError(f"{place}: neither vocals nor accompaniment (found: {found}): {_HINT}")
        return _sorted_out({stem: files[0] for stem, files in named.items()}, others, unknown)

    def _files(self, song: ReferenceSong) -> tuple[Path, dict[str, list[Path]], list[Path]]:
        folder = self._folder(song)
        named: dict[str, list[Path]] = defaultdict(list)
        unknown = []
        if folder is not None:
            for file in self._folders[folder]:
                stem = _stem(file)
                if stem is None:
                    unknown.append(file)
                elif stem != MIXTURE:
                    named[stem].append(file)
            return folder, named, unknown
        # A folder for all songs: each file names its song and its stem.
        title = _alike(PurePath(song.name).name)
        for file in (file for files in self._folders.values() for file in files):
            found = stem_at_end(file.stem)
            if found is not None and found.stem != MIXTURE and _alike(found.song) == title:
                named[found.stem].append(file)
        if not named:
            raise DataError(
                f"{self.root}: no stems of {song.name!r}: add a folder called "
                f"{PurePath(song.name).name!r} that holds them, or files such as "
                f"'{PurePath(song.name).name} - vocals.wav'"
            )
        return self.root, named, unknown

    def _folder(self, song: ReferenceSong) -> Path | None:
        """Give the folder of the song's name; one that is exactly of that name goes first."""
        name = PurePath(song.name).parts
        alike, exact = [], []
        for folder in self._folders:
            parts = folder.relative_to(self.root).parts[-len(name) :]
            if parts == name:
                exact.append(folder)
            elif [_alike(part) for part in parts] == [_alike(part) for part in name]:
                alike.append(folder)
        found = exact or alike
        if len(found) > 1:
            raise DataError(
                f"{self.root} has more than one folder for {song.name!r}: "
                f"{' and '.join(map(str, found))}: name the one to score by a longer path"
            )
        return found[0] if found else None


def _sorted_out(
    stems: dict[str, Path], others: Sequence[Path], unknown: Sequence[Path]
) -> tuple[dict[str, Path], str]:
    """Decide which stems are used, and say which are not.

    With another file beside them, drums, bass and other may lack something in their sum.
    """
    remarks = []
    parts = [part for part in BACKING_PARTS if part in stems]
    complete = len(parts) == len(BACKING_PARTS) and VOCALS in stems
    used = complete and not unknown
    if VOCALS not in stems:
        remarks.append("the vocals are missing: the accompaniment alone is scored")
    elif INSTRUMENTAL not in stems and not used:
        remarks.append("the accompaniment is missing: vocals alone are scored")
    if others:
        remarks.append(f"{_taken(others, OTHER)}: sum them into {OTHER}")
    if parts and not complete:
        missing = [part for part in (VOCALS, *BACKING_PARTS) if part not in stems]
        remarks.append(f"{', '.join(parts)} not scored without {', '.join(missing)}")
    if unknown:
        names = ", ".join(file.name for file in unknown)
        remarks.append(
            f"{', '.join(parts)} neither scored nor summed, since a part may be in {names}: "
            f"sum it into {OTHER}, or move it elsewhere"
            if complete
            else f"not used, since no stem is named: {names}"
        )
    if not used:
        stems = {stem: path for stem, path in stems.items() if stem not in parts}
    return stems, "; ".join(remarks)


def _taken(files: Iterable[Path], stem: str) -> str:
    names = [file.name for file in files]
    both = "both" if len(names) == 2 else "all"
    return f"{' and '.join(names)} are {both} taken for {_target(stem)}"


def _stem(file: Path) -> str | None:
    named = stem_in_folder(file.stem, file.parent.name)
    if named is not None and named.stem == OTHER:
        # A name that says nothing is taken for other too.
        named = stem_at_end(file.stem)
        return OTHER if named is not None and named.stem == OTHER else None
    return None if named is None else named.stem


def _alike(name: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    # Programs that name their output after the file leave this of X.stem.mp4.
    return folded.removesuffix(".stem")


def _target(stem: str) -> str:
    return ACCOMPANIMENT if stem == INSTRUMENTAL else stem


def _read(path: Path, song: SongAudio) -> Audio:
    samples, rate = read_audio(path)
    if rate != song.sample_rate:
        raise DataError(
            f"{path} is at {rate} Hz, but the song at {song.sample_rate} Hz: separate the song "
            "at its own rate"
        )
    channels = song.mixture.shape[0]
    if samples.shape[0] != channels:
        raise DataError(
            f"{path} has {samples.shape[0]} channel(s), but the song {channels}: separate the "
            "song with all of its channels"
        )
    return samples
