"""The pipeline with small models, and its use of memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.inference.pipeline import stream_stems
from songsplit.inference.torch_engine import TorchEngine
from tests.models.tiny import all_vocals, tiny_model


def engine(model):
    return TorchEngine(model, "cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"sample_rate": 8000},
        {"sample_rate": 1000},
        {"widths": (2,) * 7, "subbands": 1},
        {"targets": ("vocals", "drums", "bass", "other")},
    ],
)
def test_every_model_that_can_be_made_can_separate(settings):
    model = tiny_model(**settings)
    config = model.config
    samples = 60 * config.sample_rate
    mixture = np.random.default_rng(0).normal(size=(1, samples)).astype(np.float32)
    blocks = list(stream_stems(engine(model), [mixture], config.sample_rate, channels=1))
    stems = np.concatenate(blocks, axis=-1)
    assert stems.shape == (len(config.targets), 1, samples)
    np.testing.assert_allclose(stems.sum(axis=0), mixture, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=30)
@given(
    rate=st.sampled_from([8000, 22050, 44100, 48000, 96000, 192000]),
    samples=st.one_of(st.integers(1, 40), st.integers(41, 600_000)),
    block=st.integers(1000, 200_000),
    live=st.booleans(),
    channels=st.integers(1, 4),
)
def test_what_is_all_vocals_stays_as_it_is(rate, samples, block, live, channels):
    noise = np.random.default_rng(samples).uniform(-1, 1, (channels, samples))
    mixture = noise.astype(np.float32)
    blocks = (mixture[:, start : start + block] for start in range(0, samples, block))
    stems = list(stream_stems(engine(all_vocals()), blocks, rate, channels, live=live))
    vocals, instrumental = np.concatenate(stems, axis=-1)
    np.testing.assert_allclose(vocals, mixture, atol=4e-6)
    np.testing.assert_allclose(vocals + instrumental, mixture, atol=1e-6)


def test_highs_that_the_network_does_not_see_go_where_the_highest_it_sees_go():
    rate, seconds = 96000, 3
    tone = np.sin(2 * np.pi * 30000 * np.arange(rate * seconds) / rate).astype(np.float32)
    for head, share in ((100.0, 1.0), (0.0, 0.5), (-100.0, 0.0)):
        model = all_vocals()
        with torch.no_grad():
            model.unet.head.bias.fill_(head)
        stems = np.concatenate(list(stream_stems(engine(model), [tone[None]], rate, 1)), -1)
        np.testing.assert_allclose(stems[0, 0, 9000:-9000], share * tone[9000:-9000], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize(("live", "delay"), [(False, 27), (True, 10)])
def test_blocks_come_while_the_song_is_read(rate, live, delay):
    # Memory does not grow with the length, and the delay is short.
    model = tiny_model()
    read = 0

    def song():
        nonlocal read
        for _ in range(600):
            read += rate // 10
            yield np.full((2, rate // 10), 0.1, np.float32)

    out = 0
    for block in stream_stems(engine(model), song(), rate, 2, live=live):
        # The last samples before this block have not waited longer either.
        assert read - out <= delay * rate
        out += block.shape[-1]
    assert out == 60 * rate


RATE = 8000


def vocals_of(song, live=False):
    """Separate at the network's rate, without resampling."""
    model = engine(tiny_model(sample_rate=RATE))
    blocks = np.array_split(song.astype(np.float32), 40, axis=1)
    return np.concatenate(list(stream_stems(model, blocks, RATE, len(song), live=live)), -1)[0]


@pytest.fixture(scope="module")
def sides():
    """Return the correlated sides of a song."""
    middle, left, right = np.random.default_rng(1).normal(0, 0.1, (3, 40 * RATE))
    return np.stack([middle + left / 4, middle + right / 4])


HUM = np.sin(2 * np.pi * 50 * np.arange(40 * RATE) / RATE) / 10
FAULTS = {
    "silent": lambda side: side * 0,
    "40 dB quieter": lambda side: side / 100,
    "offset": lambda side: side * 0 + 0.1,
    "hum": lambda side: HUM,
    "noise": lambda side: np.random.default_rng(2).normal(0, 0.1, side.shape),
}


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_good_side_beside_a_faulty_one_is_separated_as_mono(sides, fault, live):
    faulty = FAULTS[fault](sides[1])
    expected = vocals_of(sides[:1], live)
    for place, song in ((0, [sides[0], faulty]), (1, [faulty, sides[0], sides[1]])):
        found = vocals_of(np.stack(song), live)[place]
        # A peak of the other side changes the rounding.
        np.testing.assert_allclose(found, expected[0], atol=5e-3)


def test_a_side_that_fails_on_the_way_is_noticed_and_one_that_nearly_does_is_not(sides):
    level = np.repeat([1, 0, 10 ** (-17 / 20)], [10 * RATE, 15 * RATE, 15 * RATE])
    found = vocals_of(sides * [np.ones(40 * RATE), level], live=True)[0]
    mono, stereo = (vocals_of(song, live=True)[0] for song in (sides[:1], sides))
    seconds = np.abs([found - mono, found - stereo]).reshape(2, 40, RATE).max(axis=-1)
    # Each side is mono until the other side is clearly loud again.
    assert (seconds[1, :4] == 0).all()
    assert (seconds[0, 20:] < 5e-3).all()
    quieter = sides * [[1], [10 ** (-17 / 20)]]
    assert np.abs(vocals_of(quieter)[0] - vocals_of(sides[:1])[0]).max() > 5e-3


def test_the_quiet_end_of_a_song_does_not_change_how_its_sides_are_heard(sides):
    faded = sides * np.repeat([1, 1e-3], [33 * RATE, 7 * RATE])
    one_sided = faded * [np.ones(40 * RATE), np.repeat([1, 0], [33 * RATE, 7 * RATE])]
    found = vocals_of(one_sided, live=True)[0, 38 * RATE :]
    mono = vocals_of(faded[:1], live=True)[0, 38 * RATE :]
    assert np.abs(found - mono).max() > 1e-5


def test_an_inverted_side_is_turned_round_and_back(sides):
    upright, inverted = vocals_of(sides), vocals_of(sides * [[1], [-1]])
    np.testing.assert_array_equal(inverted, upright * [[1], [-1]])


@pytest.mark.parametrize("sign", [1, -1])
def test_equal_sides_have_equal_stems(sides, sign):
    left, right = vocals_of(np.stack([sides[0], sign * sides[0]]))
    np.testing.assert_array_equal(left, sign * right)
    np.testing.assert_allclose(left, vocals_of(sides[:1])[0], atol=1e-6)
