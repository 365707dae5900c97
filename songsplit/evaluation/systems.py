"""Systems to score: a model, stems in files, and yardsticks computed from the true stems.

The yardsticks show the limits of masks and filters. Vocals and accompaniment are estimated as two
sources; drums, bass and other as three of four sources, with the vocals. Memory does not grow with
the length of the song.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path, PurePath
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from songsplit.audio import read_audio
from songsplit.data.folders import files_below, stem_at_end, stem_in_folder, stems_named
from songsplit.data.songs import BACKING_PARTS, INSTRUMENTAL, MIXTURE, OTHER, VOCALS
from songsplit.errors import ConfigError, DataError
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
from songsplit.evaluation.track_scores import ACCOMPANIMENT, TWO_TARGETS
from songsplit.inference import Quality
from songsplit.models.weights import load_model
from songsplit.naming import folded
from songsplit.separator import Separator

N_FFT = 4096
HOP = 1024

# Samples of a segment, and of the context on either side whose frames overlap it.
_STRETCH = 128 * HOP
_AROUND = N_FFT
# songsplit.dsp.stft computes in float32; yardsticks are computed in float64.
_TRANSFORM: Any = {
    "n_fft": N_FFT,
    "hop_length": HOP,
    "window": torch.hann_window(N_FFT, dtype=torch.float64),
}

# Relative level of white noise in each bin, shared equally by the sources. It keeps the inverse
# finite for sources with equal channels and for silence.
_NOISE = 1e-10
_NOISE_FLOOR = 1e-30

# From the spectra of mixture and sources (channels, bins, frames) to those of the estimates of all
# sources but the last.
_Filter: TypeAlias = Callable[[Tensor, Sequence[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class System:
    """A system that gives estimates, with its name in results.

    `settings` returns, as JSON values, what the estimates of a song depend on besides its audio; a
    ``remark`` among them is stored with the scores. `estimates` returns the estimates by target.
    Both raise DataError or AudioFileError if there are none. `about` is recorded with the results.
    """

    name: str
    settings: Callable[[ReferenceSong], dict[str, Any]]
    estimates: Callable[[ReferenceSong, SongAudio], Estimates]
    about: Mapping[str, Any]


def model_system(model: str, device: str | None, quality: Quality) -> System:
    """Return the system of a model, which separates mixtures at their own rate and channels."""
    stored = load_model(model)
    separator = Separator(stored.model, device, quality=quality)
    stems = separator.targets
    if VOCALS not in stems or len(stems) < 2:
        raise ConfigError(
            f"the model {model!r} separates {', '.join(stems)}: evaluate a model with vocals and "
            "instrumental, or vocals and the other stems"
        )

    def estimates(_: ReferenceSong, audio: SongAudio) -> Estimates:
        return stems_as_targets(separator.separate(audio.mixture, audio.sample_rate))

    # Precision depends on the type of device.
    kind = separator.device.partition(":")[0]
    settings = {"model_sha256": stored.digest, "quality": quality, "device": kind}
    name = Path(model).stem if Path(model).is_file() else model
    name += "" if quality == "balanced" else f"-{quality}"
    about = {"model": {"name": name, "sha256": stored.digest, "quality": quality}}
    return System(name, lambda _: settings, estimates, about)


def estimates_system(root: Path) -> System:
    """Return the system of the stem files in a folder."""
    folder = EstimatesFolder(root)
    about = {"estimates": {"name": folder.name, "folder": str(folder.root.resolve())}}
    return System(folder.name, folder.settings, folder.estimates, about)


class EstimatesFolder:
    """Stem files of any program.

    A song's stems are files such as ``vocals.wav``, or folders such as ``vocals``, in a folder
    with the song's name at any depth below the root; or files such as ``Song - vocals.wav``,
    ``Song_(Instrumental)_model.wav`` and ``vocals/Song.wav``. Names may differ from the song's
    name in case, in the encoding of accents and in a ``.stem`` at the end. An instrumental is the
    accompaniment. Nothing is resampled or mixed down.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._all, unreadable = files_below(root)
        for problem in unreadable:
            raise DataError(f"{problem.path}: {problem.text}")
        self.name = self.root.resolve().name or "estimates"

    def settings(self, song: ReferenceSong) -> dict[str, Any]:
        """Return the SHA-256 of the files, and a remark on missing and unused files."""
        stems, remark = self.find(song)
        digests = {stem: files_digest(files) for stem, files in stems.items()}
        return {"estimate_files": digests, "remark": remark}

    def estimates(self, song: ReferenceSong, audio: SongAudio) -> Estimates:
        """Read the stems of a song, or raise a DataError if a stem is another stem."""
        expected = f"{len(audio.mixture)} channel(s) at {audio.sample_rate} Hz"
        stems = {}
        for stem, files in self.find(song)[0].items():
            parts = []
            for file in files:
                samples, rate = read_audio(file)
                if (found := f"{len(samples)} channel(s) at {rate} Hz") != expected:
                    raise DataError(
                        f"{file} has {found}, but the song {expected}: separate the song at its "
                        "own rate with all of its channels"
                    )
                parts.append(samples)
            stems[stem] = total(parts)
        targets = stems_as_targets(stems)
        # If a system finds no vocals, the accompaniment is the mixture.
        if VOCALS not in targets or targets[VOCALS].any():
            refuse_misnamed(targets, audio, f"{self.root}, {song.name!r}")
        return targets

    def find(self, song: ReferenceSong) -> tuple[dict[str, list[Path]], str]:
        """Return the files of each used stem, and a remark on missing and unused files.

        Several files are summed only for ``other``, such as guitar and piano, and in a folder
        named after the stem. Drums, bass and other are used only if they and the vocals all
        exist, and if no other file may belong to them.
        """
        place, files, unknown = self._files(song)
        for stem, several in files.items():
            twins = len({file.stem.casefold() for file in several}) < len(several)
            apart = stem != OTHER and any(_folder_stem(file.parent) != stem for file in several)
            if len(several) > 1 and (twins or apart):
                raise DataError(
                    f"{place}: {' and '.join(file.name for file in several)} are all named as "
                    f"{stem}: keep one file with the whole stem"
                )
        if not {VOCALS, INSTRUMENTAL} & set(files):
            found = [file.name for several in files.values() for file in several] + unknown
            title = PurePath(song.name).name
            raise DataError(
                f"{place}: no vocals or accompaniment of {song.name!r} (found: "
                f"{', '.join(found) or 'no stems'}): name files like '{title}/vocals.wav', "
                f"'{title}/vocals/part.wav', 'vocals/{title}.wav' or '{title} - vocals.wav'"
            )
        remarks = [f"not used, names no stem: {', '.join(unknown)}"] if unknown else []
        parts = [part for part in BACKING_PARTS if part in files]
        complete = VOCALS in files and len(parts) == len(BACKING_PARTS)
        if parts and (unknown or not complete):
            why = "unused files may belong to them" if complete else "the others are missing"
            remarks.append(f"{', '.join(parts)} not scored: {why}")
            files = {stem: several for stem, several in files.items() if stem not in parts}
        if VOCALS not in files:
            remarks.append("the vocals are missing: only the accompaniment is scored")
        elif not {INSTRUMENTAL, OTHER} & set(files):
            remarks.append("the accompaniment is missing: only vocals are scored")
        return files, "; ".join(remarks)

    def _files(self, song: ReferenceSong) -> tuple[Path, dict[str, list[Path]], list[str]]:
        """Return a song's files by stem: those in its folder, or those that name the song."""
        name = [_alike(part) for part in PurePath(song.name).parts]
        in_folder: dict[Path, list[tuple[str | None, Path]]] = defaultdict(list)
        elsewhere: list[tuple[str | None, Path]] = []
        for file in self._all:
            # Include the name of the root, which may be the folder of a song.
            folders = [_alike(f) for f in (self.name, *file.relative_to(self.root).parts[:-1])]
            title, at_end = _alike(file.stem), stem_at_end(file.stem)
            if folders[-len(name) :] == name:
                named = stem_in_folder(file.stem, file.parent.name)
                # stem_in_folder returns "other" for names without a stem.
                named = at_end if named is not None and named.stem == OTHER else named
                in_folder[file.parent].append((None if named is None else named.stem, file))
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
                f"{' and '.join(map(str, in_folder))}: leave only the folder to score"
            )
        place, found = next(iter(in_folder.items()), (self.root, elsewhere))
        files: dict[str, list[Path]] = defaultdict(list)
        for stem, file in found:
            if stem is not None and stem != MIXTURE:
                files[stem].append(file)
        unknown = [file.relative_to(place).as_posix() for stem, file in found if stem is None]
        return place, files, unknown


def _folder_stem(folder: Path) -> str | None:
    """Return the stem of a folder whose whole name is that of a stem."""
    named = stem_at_end(folder.name)
    return named.stem if named is not None and not named.song else None


@cache
def _alike(name: str) -> str:
    # Programs may name their output after a file such as X.stem.mp4.
    return folded(name).removesuffix(".stem")


def yardsticks(targets: Sequence[str]) -> list[System]:
    """Return the mixture, the ideal ratio mask and the multichannel Wiener filter."""

    def system(name: str, oracle: Callable[[Samples, Mapping[str, Samples]], Estimates]) -> System:
        def estimates(_: ReferenceSong, audio: SongAudio) -> Estimates:
            return oracle(audio.mixture, {name: audio.references[name] for name in targets})

        return System(name, lambda _: {"targets": list(targets)}, estimates, {})

    return [
        system("mixture", lambda mixture, parts: dict.fromkeys(parts, mixture)),
        system("ideal ratio mask", ideal_ratio_mask),
        system("multichannel Wiener filter", wiener_filter),
    ]


def ideal_ratio_mask(
    mixture: Samples, references: Mapping[str, Samples], power: float = 2.0
) -> dict[str, Samples]:
    """Multiply the spectrum by ``|S_j|^p / (|S_1|^p + |S_2|^p + ...)`` in each channel.

    `references` are vocals and accompaniment, optionally with drums, bass and other, all of the
    mixture's shape (channels, samples). Each reference gets an estimate of the mixture's type, and
    vocals and accompaniment add up to the mixture (A. Liutkus and R. Badeau 2015).
    """

    def apply(mixed: Tensor, sources: Sequence[Tensor]) -> list[Tensor]:
        powers = [source.abs() ** power for source in sources]
        whole = reduce(torch.add, powers)
        masks = [torch.where(whole > 0, part / whole, 1 / len(powers)) for part in powers[:-1]]
        return [mask * mixed for mask in masks]

    return _estimates(mixture, references, lambda _: apply)


def wiener_filter(mixture: Samples, references: Mapping[str, Samples]) -> dict[str, Samples]:
    """Filter the mixture with the multichannel Wiener filter, the MWF of SiSEC 2018.

    In the local Gaussian model (N. Q. K. Duong et al. 2010) the short-time spectrum ``s_j(f, t)``
    of source j, a vector over C channels, has the covariance ``v_j(f, t) R_j(f)``. For the sum x of
    the sources, the best linear estimate of source j is
    ``v_j R_j (v_1 R_1 + v_2 R_2 + ...)^-1 x``, here with ``v_j(f, t) = |s_j(f, t)|² / C`` and
    ``R_j(f) = sum_t s_j s_j^H / sum_t v_j``.
    """
    return _estimates(mixture, references, _make_wiener_filter)


def _make_wiener_filter(sources: Sequence[Samples]) -> _Filter:
    spatial = [_spatial_covariance(source) for source in sources]

    def apply(mixed: Tensor, spectra: Sequence[Tensor]) -> list[Tensor]:
        covariances = [_power(s) * r for s, r in zip(spectra, spatial, strict=True)]
        whole = reduce(torch.add, covariances)
        levels = whole.diagonal().real  # (bins, frames, channels)
        noise = _NOISE * levels.mean(dim=-1) + _NOISE_FLOOR
        for channel in range(len(mixed)):
            whole[channel, channel] += noise
        whitened = _solve(whole, mixed)
        rest = noise / len(spectra) * whitened
        # Products of matrices and vectors.
        return [(covariance * whitened).sum(dim=1) + rest for covariance in covariances[:-1]]

    return apply


def _spatial_covariance(source: Samples) -> Tensor:
    """Return R_j (channels, channels, bins, 1); silent bins get the identity."""
    covariance, power = torch.zeros(()), torch.zeros(())
    # From the first frame that overlaps the song to the last.
    for start in range(-N_FFT // 2, source.shape[1] + N_FFT // 2, _STRETCH):
        around = _AROUND // HOP
        spectrum = _spectrum(source, start)[:, :, around : around + _STRETCH // HOP]
        covariance = covariance + torch.einsum("cft,dft->cdf", spectrum, spectrum.conj())
        power = power + _power(spectrum).sum(dim=-1)
    identity = torch.eye(len(source), dtype=torch.complex128)[:, :, None]
    return torch.where(power > 0, covariance / power, identity)[..., None]


def _power(spectrum: Tensor) -> Tensor:
    return (spectrum.real.square() + spectrum.imag.square()).mean(dim=0)


def _solve(matrix: Tensor, vector: Tensor) -> Tensor:
    """Solve ``matrix @ x = vector`` for each frame and bin; `matrix` is overwritten.

    Gaussian elimination needs no pivoting, because the matrices are Hermitian and positive
    definite. For millions of small systems it is many times faster than `torch.linalg.solve`.
    Shapes are (channels, channels, bins, frames) and (channels, bins, frames).
    """
    solution = vector.clone()
    channels = len(vector)
    for k in range(channels):
        for row in range(k + 1, channels):
            factor = matrix[row, k] / matrix[k, k].real
            matrix[row, k + 1 :] -= factor * matrix[k, k + 1 :]
            solution[row] -= factor * solution[k]
    for k in reversed(range(channels)):
        known = (matrix[k, k + 1 :] * solution[k + 1 :]).sum(dim=0)
        solution[k] = (solution[k] - known) / matrix[k, k].real
    return solution


def _estimates(
    mixture: Samples,
    references: Mapping[str, Samples],
    make_filter: Callable[[Sequence[Samples]], _Filter],
) -> dict[str, Samples]:
    estimates: dict[str, Samples] = {}
    four_sources = (*BACKING_PARTS, VOCALS)
    for names in (four_sources, TWO_TARGETS) if OTHER in references else (TWO_TARGETS,):
        sources = [references[name] for name in names]
        separate = make_filter(sources)
        found = [np.empty_like(mixture) for _ in sources[:-1]]
        for start in range(0, mixture.shape[1], _STRETCH):
            spectra = [_spectrum(audio, start) for audio in (mixture, *sources)]
            for estimate, spectrum in zip(found, separate(spectra[0], spectra[1:]), strict=True):
                stretch = estimate[:, start : start + _STRETCH]
                samples = torch.istft(spectrum, **_TRANSFORM)[:, _AROUND:]
                stretch[:] = samples[:, : stretch.shape[1]].numpy()
        estimates |= zip(names, found, strict=False)
    estimates[ACCOMPANIMENT] = mixture - estimates[VOCALS]
    return {target: estimates[target] for target in references}


def _spectrum(audio: Samples, start: int) -> Tensor:
    """Return the spectrum of a segment and its context, with zeros beyond the ends."""
    first, end = start - _AROUND, start + _STRETCH + _AROUND
    cut = audio[:, max(first, 0) : end].astype(np.float64)
    before = max(-first, 0)
    padded = np.pad(cut, ((0, 0), (before, end - first - before - cut.shape[1])))
    spectrum: Tensor = torch.stft(
        torch.from_numpy(padded), **_TRANSFORM, pad_mode="constant", return_complex=True
    )
    return spectrum
