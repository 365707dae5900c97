from __future__ import annotations

import base64
import copy
import io
import pickle
import re

import numpy as np
import pytest
import soundfile
import torch

from songsplit import Mix, OutputFormat, Stems
from songsplit.errors import AudioInputError, OutputError


@pytest.fixture
def stems(rng):
    vocals, instrumental = rng.normal(size=(2, 2, 500)).astype(np.float32)
    return Stems({"vocals": vocals, "instrumental": instrumental}, 44100)


def test_is_a_read_only_mapping(stems):
    assert list(stems) == ["vocals", "instrumental"]
    assert stems["vocals"] is stems.vocals
    with pytest.raises(TypeError):
        stems["vocals"] = 0
    with pytest.raises(AttributeError):
        stems.vocals = 0
    with pytest.raises(KeyError):
        stems["drums"]
    with pytest.raises(AttributeError, match="drums"):
        stems.drums
    assert Stems({"drums": stems.vocals}, 8000).drums is stems.vocals
    assert not hasattr(Stems({"drums": stems.vocals}, 8000), "vocals")
    assert list(copy.deepcopy(stems)) == list(pickle.loads(pickle.dumps(stems))) == list(stems)
    assert stems == stems
    assert set(stems) < set(dir(stems))


def test_remix_of_tensors_gives_a_tensor(stems):
    tensors = Stems({name: torch.from_numpy(stem) for name, stem in stems.items()}, 44100)
    out = tensors.remix(vocals=-6)
    assert isinstance(out, torch.Tensor)
    expected = 10 ** (-6 / 20) * stems.vocals + stems.instrumental
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("folder", ["x" * 300, "nul\0byte", "file"])
def test_impossible_folders_are_refused(stems, tmp_path, folder):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        stems.save(tmp_path / folder)


def test_save_takes_tensors_of_one_dimension(stems, tmp_path):
    mono = Stems({name: torch.from_numpy(stem[0]) for name, stem in stems.items()}, 8000)
    paths = mono.save(tmp_path / "a" / "b", output=OutputFormat("wav", bit_depth="32f"))
    for name, path in paths.items():
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == 8000
        np.testing.assert_array_equal(samples, mono[name].numpy())


def test_save_writes_a_mix(tmp_path):
    rng = np.random.default_rng(0)
    audio = {name: rng.uniform(-0.4, 0.4, (2, 8000)) for name in ("vocals", "instrumental")}
    stems = Stems(audio, 8000)
    saved = stems.save(tmp_path, mix=Mix("karaoke", {"vocals": -20}))
    assert list(saved.values()) == [tmp_path / "karaoke.wav"]
    read, _ = soundfile.read(tmp_path / "karaoke.wav")
    np.testing.assert_allclose(read.T, stems.karaoke(vocals=-20), atol=1e-6)
    with pytest.raises(AudioInputError, match="no stem 'drums'"):
        stems.save(tmp_path, mix=Mix("remix", {"drums": -20}))


@pytest.mark.parametrize("shape", [(40000,), (1, 40000), (6, 40000)])
def test_notebooks_show_a_player_for_each_stem(shape):
    rng = np.random.default_rng(0)
    stems = Stems({name: rng.normal(0, 0.5, shape) for name in ("vocals", "drums & bass")}, 16000)
    players = re.findall(r"<p>(.*?)<br>.*?base64,(.*?)\"", stems._repr_html_())
    assert [name for name, _ in players] == ["vocals", "drums &amp; bass"]
    for _, data in players:
        info = soundfile.info(io.BytesIO(base64.b64decode(data)))
        assert (info.frames, info.samplerate) == (40000, 16000)
