"""Systems to score: a model, stems in files, and the yardsticks that know the true stems."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from songsplit.audio import read_audio
from songsplit.data.folders import files_below, stem_at_end, stem_in_folder, stems_named
from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, MIXTURE, OTHER, VOCALS, Audio
from songsplit.errors import ConfigError, DataError
from songsplit.evaluation.oracles import ideal_ratio_mask, wiener_filter
from songsplit.evaluation.projections import Samples
from songsplit.evaluation.references import (
    Estimates,
    ReferenceSong,
    SongAudio,
    files_digest,
    refuse_misnamed,
    stems_as_targets,
    total,
)
from songsplit.inference import Quality
from songsplit.models.weights import DEFAULT_MODEL, load_model
from songsplit.naming import folded
from songsplit.separator import Separator


@dataclass(frozen=True)
class System:
    """Something that gives estimates, with the name that it has in results.

    `settings` says, in values of JSON, what the estimates of a song depend on besides its audio.
    `estimates` gives them by target, and a remark on them or nothing. Both raise DataError or
    AudioFileError where there are none. `about` is recorded with the results.
    """

    name: str
    settings: Callable[[ReferenceSong], dict[str, Any]]
    estimates: Callable[[ReferenceSong, SongAudio], tuple[Estimates, str]]
    about: Mapping[str, Any]


def model_system(
    model: str | None = None,
    device: str | None = None,
    quality: Quality = "balanced",
) -> System:
    """Give a separation model, which gets the mixture at the song's own rate and channels."""
    wanted = model or DEFAULT_MODEL
    stored = load_model(wanted)
    separator = Separator(stored.model, device, quality=quality)
    stems = separator.targets
    if VOCALS not in stems or len(stems) < 2:
        raise ConfigError(
            f"the model {wanted!r} gives {', '.join(stems)}: evaluate one that gives vocals "
            "and an instrumental, or vocals and the other stems"
        )
    # One song at a time goes through the network, others are scored meanwhile.
    lock = threading.Lock()

    def estimates(_: ReferenceSong, audio: SongAudio) -> tuple[Estimates, str]:
        with lock:
            return stems_as_targets(separator.separate(audio.mixture, audio.sample_rate)), ""

    # Kinds of devices compute in different precision.
    settings = {
        "model_sha256": stored.digest,
        "quality": quality,
        "device": separator.device.type,
    }
    name = Path(wanted).stem if Path(wanted).is_file() else wanted
    name += "" if quality == "balanced" else f"-{quality}"
    about = {"model": {"name": name, "sha256": stored.digest, "quality": quality}}
    return System(name, lambda _: settings, estimates, about)


def yardsticks(targets: Sequence[str]) -> list[System]:
    """Give the mixture as it is, the ideal ratio mask and the multichannel Wiener filter."""

    def system(name: str, oracle: Callable[[Samples, Mapping[str, Samples]], Estimates]) -> System:
        def estimates(_: ReferenceSong, audio: SongAudio) -> tuple[Estimates, str]:
            return oracle(audio.mixture, {name: audio.references[name] for name in targets}), ""

        return System(name, lambda _: {"targets": list(targets)}, estimates, {})

    return [
        system("mixture", lambda mixture, parts: dict.fromkeys(parts, mixture)),
        system("ideal ratio mask", ideal_ratio_mask),
        system("multichannel Wiener filter", wiener_filter),
    ]


def estimates_system(root: Path) -> System:
    """Give the system that made the files in a folder."""
    folder = EstimatesFolder(root)
    about = {"estimates": {"name": folder.name, "folder": str(folder.root.resolve())}}
    return System(folder.name, folder.settings, folder.estimates, about)


class EstimatesFolder:
    """Stems in files that any program has made.

    A song's stems are files such as ``vocals.wav`` in a folder of the song's name, or folders
    such as ``vocals`` in it, at any depth below the root; or else files such as
    ``Song - vocals.wav``, ``Song_(Instrumental)_model.wav`` and ``vocals/Song.wav``. Names may
    differ from the song's in case, in how accents are encoded and in a ``.stem`` at their end.
    An instrumental is the accompaniment. Nothing is resampled or mixed down.
    """

    def __init__(self, root: Path) -> None:
        self.root, files, unreadable = files_below(root)
        for problem in unreadable:
            raise DataError(f"{problem.path}: {problem.text}")
        self.name = self.root.resolve().name or "estimates"
        # With the names of their folders, for the root may be the folder of a song.
        self._all = [
            (file, [_alike(part) for part in (self.name, *file.relative_to(self.root).parts[:-1])])
            for file in files
        ]

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Give hashes (SHA-256) of the files, and what is remarked of them."""
        stems, remark = self.find(song)
        digests = {stem: files_digest(files) for stem, files in stems.items()}
        return {"estimate_files": digests, "estimate_remark": remark}

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> tuple[Estimates, str]:
        """Read the stems of a song."""
        files, remark = self.find(song)
        stems = {
            stem: total([_read(file, audio) for file in several]) for stem, several in files.items()
        }
        found = stems_as_targets(stems)
        # Where a system finds no vocals, the accompaniment is the mixture.
        if VOCALS not in found or found[VOCALS].any():
            place = f"{self.root}, {song.name!r}"
            refuse_misnamed(found, audio, place)
        return found, remark

    def find(self, song: ReferenceSong) -> tuple[dict[str, list[Path]], str]:
        """Find the files of each stem that is used, and say what is missing or not used.

        Several files are summed only of ``other``, such as guitar and piano, and in a folder
        that is named for the stem.
        """
        place, files, unknown = self._files(song)
        for stem, several in files.items():
            twins = len({file.stem.casefold() for file in several}) < len(several)
            apart = stem != OTHER and any(_folder_stem(file.parent) != stem for file in several)
            if len(several) > 1 and (twins or apart):
                raise DataError(
                    f"{place}: {' and '.join(file.name for file in several)} are all taken for "
                    f"{stem}: leave one file that holds all of it"
                )
        found = [file.name for several in files.values() for file in several] + unknown
        if not {VOCALS, INSTRUMENTAL} & set(files):
            raise DataError(
                f"{place}: neither vocals nor accompaniment (found: "
                f"{', '.join(found) or 'no stems'}): name the files vocals and accompaniment, or "
                "vocals, drums, bass and other"
            )
        remarks = []
        if unknown:
            remarks.append(f"not used, since no stem is named: {', '.join(unknown)}")
        parts = [part for part in BACKING_PARTS if part in files]
        complete = VOCALS in files and len(parts) == len(BACKING_PARTS)
        if parts and (unknown or not complete):
            why = "what is not used may belong to them" if complete else "the others are missing"
            remarks.append(f"{', '.join(parts)} not scored: {why}")
            files = {stem: several for stem, several in files.items() if stem not in parts}
        if VOCALS not in files:
            remarks.append("the vocals are missing: the accompaniment alone is scored")
        elif not {INSTRUMENTAL, OTHER} & set(files):
            remarks.append("the accompaniment is missing: vocals alone are scored")
        return files, "; ".join(remarks)

    def _files(self, song: ReferenceSong) -> tuple[Path, dict[str, list[Path]], list[str]]:
        """Sort a song's files by stem: those in its folder, or else those that name it."""
        name = [_alike(part) for part in PurePath(song.name).parts]
        in_folder: dict[Path, list[tuple[str | None, Path]]] = defaultdict(list)
        elsewhere: list[tuple[str | None, Path]] = []
        for file, folders in self._all:
            title, at_end = _alike(file.stem), stem_at_end(file.stem)
            if folders[-len(name) :] == name:
                in_folder[file.parent].append((_stem(file), file))
            elif folders[-len(name) - 1 : -1] == name:
                in_folder[file.parent.parent].append((_folder_stem(file.parent), file))
            elif title == name[-1] and (stem := _folder_stem(file.parent)):
                elsewhere.append((stem, file))
            elif at_end is not None and _alike(at_end.song) == name[-1]:
                elsewhere.append((at_end.stem, file))
            elif title.startswith(name[-1]) and len(stems_named(file.stem[len(name[-1]) :])) > 1:
                elsewhere.append((None, file))
        if len(in_folder) > 1:
            raise DataError(
                f"{self.root} has more than one folder for {song.name!r}: "
                f"{' and '.join(map(str, in_folder))}: name the one to score by a longer path"
            )
        place, found = next(iter(in_folder.items()), (self.root, elsewhere))
        if not found:
            title = PurePath(song.name).name
            raise DataError(
                f"{self.root}: no stems of {song.name!r}: name files like '{title}/vocals.wav', "
                f"'{title}/vocals/part.wav', 'vocals/{title}.wav' or '{title} - vocals.wav'"
            )
        files: dict[str, list[Path]] = defaultdict(list)
        for stem, file in found:
            if stem is not None and stem != MIXTURE:
                files[stem].append(file)
        unknown = [file.relative_to(place).as_posix() for stem, file in found if stem is None]
        return place, files, unknown


def _stem(file: Path) -> str | None:
    """Tell the stem of a file in the folder of its song."""
    named = stem_in_folder(file.stem, file.parent.name)
    if named is not None and named.stem == OTHER:
        # A name without a stem is also taken for other.
        named = stem_at_end(file.stem)
    return named.stem if named is not None else None


def _folder_stem(folder: Path) -> str | None:
    """Tell the stem that a folder is called, if that is its whole name."""
    named = stem_at_end(folder.name)
    return named.stem if named is not None and not named.song else None


def _alike(name: str) -> str:
    # Programs may name their output after a file X.stem.mp4.
    return folded(name).removesuffix(".stem")


def _read(path: Path, song: SongAudio) -> Audio:
    samples, rate = read_audio(path)
    found, wanted = (
        f"{len(audio)} channel(s) at {hertz} Hz"
        for audio, hertz in ((samples, rate), (song.mixture, song.sample_rate))
    )
    if found != wanted:
        raise DataError(
            f"{path} has {found}, but the song {wanted}: separate the song at its own rate with "
            "all of its channels"
        )
    return samples
