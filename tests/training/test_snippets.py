"""Excerpts in TensorBoard."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pytest.importorskip("pytorch_lightning", reason="needs the train extra")
pytest.importorskip("tensorboard")

from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from songsplit.errors import ConfigError
from songsplit.training import snippets
from songsplit.training.averaging import MovingAverage
from songsplit.training.snippets import Snippets, loudest_window, picture
from tests.models.tiny import tiny_model
from tests.training.tiny import RATE, TinyData, TinyTraining, fit


def events(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"audio": 0, "images": 0})
    return accumulator.Reload()


def sound(event):
    """Samples in [-1, 1] of a logged sound."""
    with wave.open(io.BytesIO(event.encoded_audio_string)) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Events of a run of three validations of two clips, the second a short one."""
    folder = tmp_path_factory.mktemp("run")
    logger = TensorBoardLogger(folder)
    fit(Snippets(count=2, seconds=0.3), logger=logger, data=TinyData((0.5, 0.25, 0.5)))
    return events(logger.log_dir)


def test_estimates_are_logged_at_each_validation_and_references_once(run):
    steps = {tag: [event.step for event in run.Audio(tag)] for tag in run.Tags()["audio"]}
    expected = {}
    for song in ("snippets/1-set-song-0", "snippets/2-set-song-1"):
        expected[f"{song}/mixture"] = [2]
        for target in ("vocals", "instrumental"):
            expected[f"{song}/{target}_reference"] = [2]
            expected[f"{song}/{target}_estimate"] = [2, 4, 6]
    assert steps == expected


def test_sounds_are_the_excerpts_downmixed(run):
    for number, tag in enumerate(("snippets/1-set-song-0", "snippets/2-set-song-1")):
        clip = TinyData((0.5, 0.25, 0.5)).clips[number]["stems"]
        start = loudest_window(clip[0], int(0.3 * RATE))
        clip = clip[..., start : start + int(0.3 * RATE)]
        assert clip.shape[-1] == (2400, 2000)[number]
        for name, stem in (
            ("vocals_reference", clip[0]),
            ("instrumental_reference", clip[1]),
            ("mixture", clip.sum(axis=0)),
        ):
            (event,) = run.Audio(f"{tag}/{name}")
            np.testing.assert_allclose(sound(event), stem.mean(axis=0), atol=1e-4)


def test_estimates_add_up_to_the_mixture(run):
    (mixture,) = run.Audio("snippets/1-set-song-0/mixture")
    estimates = [
        sound(run.Audio(f"snippets/1-set-song-0/{target}_estimate")[1])
        for target in ("vocals", "instrumental")
    ]
    np.testing.assert_allclose(sum(estimates), sound(mixture), atol=1e-3)


def test_pictures_are_small_enough_for_a_page(run):
    assert len(run.Tags()["images"]) == 2
    for tag in run.Tags()["images"]:
        assert [event.step for event in run.Images(tag)] == [2, 4, 6]
        image = Image.open(io.BytesIO(run.Images(tag)[0].encoded_image_string))
        assert image.mode == "RGB"
        assert 500 <= image.width <= 1000
        assert 300 <= image.height <= 600


@pytest.mark.parametrize("averaging_first", [True, False])
def test_what_is_heard_comes_from_the_averaged_weights(averaging_first, tmp_path):
    class Slow(MovingAverage):
        """Holds on to the weights of the beginning, so that the average stands out."""

        def should_update(self, step_idx=None, epoch_idx=None):
            return False

    class Keeping(TinyTraining):
        """Keeps the weights that are validated, and those that are trained on."""

        def on_train_batch_end(self, outputs, batch, batch_index):
            self.current = {k: v.clone() for k, v in self.model.state_dict().items()}

        def validation_step(self, clip):
            self.validated = {k: v.clone() for k, v in self.model.state_dict().items()}

    logger = TensorBoardLogger(tmp_path)
    module, data = Keeping(rate=5.0), TinyData((0.25,))
    callbacks = [Slow(), Snippets(seconds=1)]
    if not averaging_first:
        callbacks.reverse()
    fit(*callbacks, steps=2, logger=logger, module=module, data=data)
    (event,) = events(logger.log_dir).Audio("snippets/1-set-song-0/vocals_estimate")
    expected = {}
    for name in ("validated", "current"):
        model = tiny_model(sample_rate=RATE)
        model.load_state_dict(getattr(module, name))
        with torch.no_grad():
            stems = model(torch.from_numpy(data.clips[0]["stems"].sum(axis=0, keepdims=True)))
        expected[name] = stems[0, 0].mean(dim=0).numpy()
    assert np.abs(sound(event) - expected["validated"]).max() < 2e-4
    assert np.abs(sound(event) - expected["current"]).max() > 1e-3


def test_every_tensorboard_logger_gets_the_snippets(tmp_path):
    loggers = [TensorBoardLogger(tmp_path / name) for name in "ab"]
    fit(Snippets(count=1, seconds=0.1), steps=2, logger=loggers)
    tags = [events(logger.log_dir).Tags() for logger in loggers]
    assert tags[0]["audio"] == tags[1]["audio"]
    assert len(tags[0]["audio"]) == 5


def test_nothing_happens_in_the_sanity_check(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    settings = {"num_sanity_val_steps": 2, "val_check_interval": 100}
    fit(Snippets(), steps=1, logger=logger, **settings)
    assert events(logger.log_dir).Tags()["audio"] == []


@pytest.mark.parametrize("kind", ["none", "csv", "no clips"])
def test_where_nothing_is_wanted_no_clip_is_read(kind, tmp_path, capsys):
    class Unreadable(TinyData):
        def validation_clips(self):
            raise AssertionError("read")

    loggers = {"none": False, "csv": CSVLogger(tmp_path), "no clips": TensorBoardLogger(tmp_path)}
    count = 0 if kind == "no clips" else 3
    fit(Snippets(count), steps=2, logger=loggers[kind], data=Unreadable())
    assert "snippet" not in "".join(capsys.readouterr()).lower()


def test_other_processes_write_nothing(tmp_path):
    class Unreadable(TinyData):
        def validation_clips(self):
            raise AssertionError("read")

    logger = TensorBoardLogger(tmp_path)
    callback = Snippets()

    class Trainer:
        sanity_checking = False
        is_global_zero = False
        loggers = (logger,)
        datamodule = Unreadable()

    callback.setup(Trainer(), TinyTraining(), "fit")
    callback.on_validation_batch_start(Trainer(), TinyTraining(), None, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_network_left_in_training_mode_is_left_as_it_was(tmp_path):
    class Training(TinyTraining):
        """Is validated in training mode, with one layer that is not."""

        def on_validation_model_eval(self):
            self.model.unet.normalize.eval()
            self.before = self.state()

        def validation_step(self, clip):
            for name, value in self.state().items():
                assert torch.equal(value, self.before[name]), name

        def state(self):
            modes = {n: torch.tensor(m.training) for n, m in self.model.named_modules()}
            assert len({bool(mode) for mode in modes.values()}) == 2
            return modes | {n: b.clone() for n, b in self.model.named_buffers()}

    logger = TensorBoardLogger(tmp_path)
    fit(Snippets(seconds=0.1), steps=2, logger=logger, module=Training())
    assert events(logger.log_dir).Tags()["audio"]


def test_training_goes_on_as_without_snippets(tmp_path):
    weights = []
    for callbacks in ([], [Snippets(seconds=0.1)]):
        module = TinyTraining()
        torch.manual_seed(0)
        fit(*callbacks, steps=5, module=module, logger=TensorBoardLogger(tmp_path))
        weights.append(module.model.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_the_precision_is_that_of_training(tmp_path):
    module = TinyTraining()
    autocast = []

    def note(*_):
        if not module.model.training:
            autocast.append(torch.is_autocast_enabled("cpu"))

    module.model.unet.register_forward_hook(note)
    logger = TensorBoardLogger(tmp_path)
    fit(Snippets(seconds=0.1), steps=2, module=module, logger=logger, precision="bf16-mixed")
    assert autocast
    assert all(autocast)
    assert len(events(logger.log_dir).Tags()["images"]) == 2


@pytest.mark.parametrize("samples", [1, 100])
@pytest.mark.parametrize("level", [0.0, 0.1, 50.0])
def test_odd_clips_are_taken_as_they_are(samples, level, tmp_path):
    data = TinyData((1.0,))
    ramp = np.linspace(1.0, 0.5, samples, dtype=np.float32)
    stems = np.tile(level * ramp, (2, 2, 1))
    data.clips[0] = {"name": "../ Ça va? 100 % / \n(live)", "stems": stems}
    logger = TensorBoardLogger(tmp_path)
    fit(Snippets(), steps=2, logger=logger, data=data)
    found = events(logger.log_dir)
    (tag,) = [t for t in found.Tags()["audio"] if t.endswith("mixture")]
    assert tag == "snippets/1-..-Ça-va-100-live/mixture"
    # Never louder than it was, and within full scale.
    expected = ramp * (2 * level if level < 1 else 1.0)
    heard = sound(found.Audio(tag)[0])
    np.testing.assert_allclose(heard[:samples], expected, atol=1e-4)
    assert not heard[samples:].any()


def test_a_network_that_has_diverged_is_silent(tmp_path):
    class Diverged(TinyTraining):
        def on_validation_start(self):
            for parameter in self.model.parameters():
                parameter.data.fill_(torch.nan)

    logger = TensorBoardLogger(tmp_path)
    fit(Snippets(count=1), steps=2, logger=logger, module=Diverged())
    (event,) = events(logger.log_dir).Audio("snippets/1-set-song-0/vocals_estimate")
    assert not sound(event).any()


def test_a_data_module_without_clips_is_refused(tmp_path):
    class Data(TinyData):
        validation_clips = property(lambda self: self.nothing)

    with pytest.raises(ConfigError, match=r"validation_clips\(\)"):
        fit(Snippets(), logger=TensorBoardLogger(tmp_path), data=Data())


def test_an_impossible_count_is_refused():
    with pytest.raises(ConfigError, match="count"):
        Snippets(count=-1)


@pytest.mark.parametrize("seconds", [0, -1.0, 61, float("inf"), float("nan")])
def test_an_impossible_length_is_refused(seconds):
    with pytest.raises(ConfigError, match="seconds"):
        Snippets(seconds=seconds)


@given(
    audio=hnp.arrays(np.float32, (2, 30), elements=st.floats(-1, 1, width=32)),
    length=st.integers(1, 40),
)
def test_the_loudest_window_is_found(audio, length):
    start = loudest_window(audio, length)
    assert 0 <= start <= max(0, 30 - length)
    energies = [np.square(audio[:, i : i + length], dtype=float).sum() for i in range(31)]
    assert energies[start] == pytest.approx(max(energies[: max(1, 31 - length)]))


def test_of_windows_alike_the_first_is_taken():
    assert loudest_window(np.zeros((2, 100), np.float32), 10) == 0
    audio = np.zeros((1, 100), np.float32)
    audio[:, [40, 70]] = 1
    assert loudest_window(audio, 10) == 31


def brightness(panel):
    """Of each row of a panel, from the highest frequency to the lowest."""
    return panel.sum(dim=(1, 2)).double()


def panels(image):
    rows, columns = snippets.PANEL_ROWS, snippets.PANEL_COLUMNS
    left, right = image[:, :columns], image[:, -columns:]
    return left[:rows], right[:rows], left[-rows:], right[-rows:]


def drawn(*, mixture, reference, estimate, mask, rate=44100):
    return panels(picture(mixture, reference, estimate, mask, rate))


@pytest.mark.parametrize("frequency", [60.0, 440.0, 5000.0, 15000.0])
def test_a_tone_is_seen_where_its_frequency_lies(frequency):
    model = tiny_model(n_fft=4096, hop_length=1024, bands=((1536, 1),))
    tone = torch.sin(2 * torch.pi * frequency * torch.arange(44100) / 44100).repeat(2, 1)
    spectrogram = model.stft(tone)
    silence = torch.zeros_like(spectrogram)
    upper_left, upper_right, lower_left, lower_right = drawn(
        mixture=spectrogram, reference=silence, estimate=spectrogram, mask=torch.ones(2, 2049, 44)
    )
    height = 1 - np.log(frequency / 40) / np.log(16000 / 40)
    row = int(brightness(upper_left).argmax())
    assert row == pytest.approx(height * snippets.PANEL_ROWS, abs=16 if frequency < 100 else 4)
    assert torch.equal(lower_left, upper_left)
    assert len(upper_right.unique(dim=0)) == 1
    assert (upper_right[0, 0] == torch.tensor([0, 0, 4])).all()
    assert (lower_right == torch.tensor([252, 253, 191])).all()


def test_time_runs_from_left_to_right():
    spectrogram = torch.zeros(2, 257, 1000, dtype=torch.complex64)
    spectrogram[..., 250:500] = 1
    mask = torch.zeros(2, 257, 3)
    mask[..., 1] = 1
    upper_left, *_, lower_right = drawn(
        mixture=spectrogram, reference=spectrogram, estimate=spectrogram, mask=mask, rate=8000
    )
    assert (upper_left[:, 120:240] == upper_left[0, 150]).all()
    assert (upper_left[:, :120] == upper_left[0, 0]).all()
    assert (upper_left[:, 240:] == upper_left[0, 0]).all()
    assert (lower_right[:, 160:320] == torch.tensor([252, 253, 191])).all()
    assert (lower_right[:, 321:] == torch.tensor([0, 0, 4])).all()


def test_levels_are_relative_to_the_mixture():
    mixture = torch.ones(2, 257, 10, dtype=torch.complex64)
    full, _, half, _ = drawn(
        mixture=mixture, reference=mixture, estimate=mixture * 1e-2, mask=torch.zeros(2, 257, 10)
    )
    assert (full == torch.tensor([252, 253, 191])).all()
    # 40 dB below, half of the range, hence the middle of the colours.
    assert (half.short() - torch.tensor([183, 55, 121])).abs().max() <= 2


def test_colours_are_those_of_magma():
    matplotlib = pytest.importorskip("matplotlib")
    values = torch.linspace(0, 1, 256)
    expected = matplotlib.colormaps["magma"](values.numpy())[:, :3] * 255
    found = snippets._colours(values).numpy()
    assert np.abs(found - expected).max() <= 3
