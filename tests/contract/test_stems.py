"""Stems sound as before, add up to the song, and are the same from streams."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext

import numpy as np
import pytest
import soundfile
import torch

import songsplit
from songsplit.evaluation import score_track
from tests.contract import reference
from tests.contract.material import EXAMPLE, estimated, music, read, song_stems

KEPT = json.loads(reference.FILE.read_text(encoding="utf-8"))
MIXTURES = reference.mixtures()


def as_given(name, tmp_path):
    """The inputs of users: the shipped song, files and an array."""
    mixture, rate = MIXTURES[name]
    if name == "lithium":
        return (EXAMPLE,)
    if name == "70 seconds":
        return mixture, rate
    soundfile.write(tmp_path / "song.wav", mixture.T, rate, subtype="FLOAT")
    return (tmp_path / "song.wav",)


@pytest.mark.parametrize(
    ("name", "float32"),
    [
        *(("lithium", None), ("lithium", "onnx"), ("lithium", "torch"), ("six channels", "onnx")),
        *(("mono at 48 kHz", None), ("mono at 48 kHz", "onnx"), ("mono at 48 kHz", "torch")),
        *(pytest.param("70 seconds", name, marks=pytest.mark.slow) for name in ("onnx", "torch")),
    ],
)
def test_stems_are_what_they_were(separator, tmp_path, name, float32):
    mixture, rate = MIXTURES[name]
    with reference.float32_only() if float32 else nullcontext():
        if float32:
            separator = songsplit.Separator(device="cpu", engine=float32)
        stems = separator.separate(*as_given(name, tmp_path))
    assert list(stems) == ["vocals", "instrumental"]
    assert stems.sample_rate == rate
    peak = np.abs(mixture).max()
    for stem, kept in KEPT["stems"][name].items():
        assert stems[stem].shape == mixture.shape
        error = np.array(reference.sampled(stems[stem])) - kept["samples"]
        found = np.array(reference.energies(stems[stem], rate))
        if float32:
            assert np.abs(error).max() <= 1e-5 * peak
            np.testing.assert_allclose(found, kept["energies"], rtol=1e-4, atol=1e-9 * peak**2)
        else:
            assert np.square(error).mean() <= 3e-4 * np.square(mixture).mean()
            np.testing.assert_allclose(found, kept["energies"], rtol=5e-2, atol=1e-4 * peak**2)
    total = stems.vocals.astype(np.float64) + stems.instrumental
    np.testing.assert_allclose(total, mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["float64", "int16", "uint8", "tensor", "one dimension"])
def test_arrays_come_back_as_they_went_in(separator, kind):
    audio = music(0.5)
    if kind == "one dimension":
        audio = audio[0]
    scaled = {
        "float64": audio.astype(np.float64),
        "int16": np.rint(audio * 2**15).astype(np.int16),
        "uint8": np.rint(audio * 2**7 + 128).astype(np.uint8),
        "tensor": torch.from_numpy(audio),
    }
    given = scaled.get(kind, audio)
    before = np.asarray(given).copy()
    stems = separator.separate(given, 22050)
    assert isinstance(stems.vocals, torch.Tensor if kind == "tensor" else np.ndarray)
    assert tuple(stems.vocals.shape) == audio.shape
    assert str(stems.vocals.dtype).endswith("float64" if kind == "float64" else "float32")
    step = {"int16": 2**-15, "uint8": 2**-7}.get(kind, 1e-6)
    total = np.asarray(stems.vocals) + np.asarray(stems.instrumental)
    np.testing.assert_allclose(total, audio, rtol=0, atol=step)
    np.testing.assert_array_equal(np.asarray(given), before)


def test_files_by_path_name_and_handle(separator, tmp_path):
    path = tmp_path / "a söng.wav"
    soundfile.write(path, music(0.7).T, 44100, subtype="FLOAT")
    expected = separator.separate(music(0.7), 44100).vocals
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        np.testing.assert_array_equal(separator.separate(source).vocals, expected)


def test_a_stream_gives_what_the_whole_gives_ten_seconds_later(separator):
    mixture = music(30, seed=4)
    read_so_far = 0

    def blocks():
        nonlocal read_so_far
        for start in range(0, mixture.shape[1], 8000):
            block = mixture[:, start : start + 8000]
            read_so_far += block.shape[1]
            yield block

    parts, written, delay = [], 0, 0
    for stems in separator.stream(blocks(), 44100):
        delay = max(delay, read_so_far - written)
        written += stems.vocals.shape[1]
        parts.append(stems)
    assert len(parts) > 2
    assert delay <= 15 * 44100
    vocals, rest = (np.concatenate([part[name] for part in parts], axis=1) for name in parts[0])
    np.testing.assert_allclose(vocals + rest, mixture, rtol=0, atol=1e-6)
    error = np.square(vocals - separator.separate(mixture, 44100).vocals).mean()
    assert error < 1e-4 * np.square(mixture).mean()


def test_mixes_of_stems(separator):
    mixture = music(1)
    stems = separator.separate(mixture, 44100)
    np.testing.assert_allclose(stems.remix(), mixture, atol=1e-6)
    np.testing.assert_array_equal(stems.karaoke(), stems.instrumental)
    guide = stems.instrumental + stems.vocals * 10 ** (-18 / 20)
    np.testing.assert_allclose(stems.karaoke(vocals=-18), guide, atol=1e-6)
    for gains in ({"drums": 0}, {"vocals": float("nan")}, {"vocals": 300}):
        with pytest.raises(songsplit.SongsplitError):
            stems.remix(**gains)


ZEROS = np.zeros((2, 100))


def test_what_cannot_be_separated_is_refused(separator):
    for audio, rate in (
        *((ZEROS, None), (ZEROS, 0), (np.zeros((1000, 2)), 44100), (np.zeros((2, 3, 100)), 44100)),
        *((np.zeros((2, 0)), 44100), (ZEROS + np.nan, 44100), (ZEROS + np.inf, 44100)),
        *((ZEROS.tolist(), 44100), (None, None), (b"RIFF", None), (ZEROS.astype(bool), 44100)),
        *((EXAMPLE, 44100), ("no such file.wav", None)),
    ):
        with pytest.raises(songsplit.SongsplitError):
            separator.separate(audio, rate)


def test_silence_gives_silence_and_the_loudest_numbers_stay_finite(separator):
    assert not separator.separate(np.zeros((2, 9000), np.float32), 44100).vocals.any()
    loud = 1e25 * music(0.3)
    stems = separator.separate(loud, 44100)
    np.testing.assert_allclose(stems.vocals + stems.instrumental, loud, rtol=0, atol=1e19)


def test_saved_stems(separator, tmp_path):
    stems = separator.separate(music(0.4), 48000)
    saved = stems.save(tmp_path / "new" / "folder")
    assert set(saved) == {"vocals", "instrumental"}
    for name, path in saved.items():
        samples, rate = read(path)
        assert rate == 48000
        np.testing.assert_allclose(samples, stems[name], rtol=0, atol=2**-22)
    with pytest.raises(songsplit.SongsplitError, match="vocals"):
        stems.save(tmp_path / "new" / "folder")
    stems.save(tmp_path / "new" / "folder", overwrite=True)


def test_models_and_qualities():
    assert {"default", "open"} <= {model.name for model in songsplit.list_models()}
    mixture = music(4)
    plain = songsplit.separate(mixture, 44100, device="cpu").vocals
    for options in ({"model": "open"}, {"quality": "best"}):
        stems = songsplit.separate(mixture, 44100, device="cpu", **options)
        np.testing.assert_allclose(stems.vocals + stems.instrumental, mixture, rtol=0, atol=1e-6)
        assert np.abs(stems.vocals - plain).max() > 1e-4
    for wrong in ({"model": "nonesuch"}, {"quality": "bset"}, {"device": "abacus"}):
        with pytest.raises(songsplit.SongsplitError, match=next(iter(wrong.values()))):
            songsplit.Separator(**wrong)


@pytest.mark.parametrize("number", range(reference.SONGS))
def test_scores_are_those_of_museval(number):
    truth = song_stems(number)
    scores = score_track(truth, estimated(truth), 44100)
    for target, measures in KEPT["scores"][number].items():
        for measure, expected in measures.items():
            np.testing.assert_allclose(
                scores.frames[target][measure], expected, rtol=0, atol=1e-4, err_msg=measure
            )
    error = np.square(truth["vocals"] - estimated(truth)["vocals"]).sum()
    usdr = 10 * np.log10(np.square(truth["vocals"]).sum() / error)
    assert scores.value("vocals", "uSDR") == pytest.approx(usdr, abs=0.01)
