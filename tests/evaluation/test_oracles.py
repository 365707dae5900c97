from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from songsplit.errors import AudioInputError
from songsplit.evaluation.oracles import (
    HOP,
    N_FFT,
    ideal_ratio_mask,
    mixture_as_estimates,
    ratio_masks,
    wiener_filter,
)
from songsplit.evaluation.ratios import usdr

RATE = 44100
ORACLES = [ideal_ratio_mask, wiener_filter]
FOUR = ("vocals", "drums", "bass", "other")


def tones(low: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.3 * np.sin(2 * np.pi * low * time), 0.2 * np.cos(2 * np.pi * low * time)])


def noises(number: int, channels: int = 2, samples: int = 20000) -> list[np.ndarray]:
    return list(0.1 * np.random.default_rng(number).standard_normal((number, channels, samples)))


def two(vocals: np.ndarray, accompaniment: np.ndarray) -> dict[str, np.ndarray]:
    return {"vocals": vocals, "accompaniment": accompaniment}


def total(parts: dict[str, np.ndarray]) -> np.ndarray:
    return np.sum(list(parts.values()), axis=0)


def quality(references: dict[str, np.ndarray], estimates: dict[str, np.ndarray]) -> np.ndarray:
    return usdr(
        *(np.stack([audio[name] for name in references]) for audio in (references, estimates))
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(0, 1e3)] * 3), min_size=1),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_masks_of_all_sources_sum_to_one(levels: list[tuple[float, ...]], power: float):
    masks = torch.stack(ratio_masks(torch.tensor(levels, dtype=torch.float64).T.unbind(), power))
    assert ((masks >= 0) & (masks <= 1)).all()
    torch.testing.assert_close(masks.sum(dim=0), torch.ones(len(levels), dtype=torch.float64))


def test_ratio_masks_by_hand():
    levels = [torch.tensor([3.0, 0.0, 0.0, 2.0]), torch.tensor([1.0, 5.0, 0.0, 0.0])]
    torch.testing.assert_close(ratio_masks(levels, 2)[0], torch.tensor([0.9, 0.0, 0.5, 1.0]))


def reference_spectrum(audio: np.ndarray) -> torch.Tensor:
    """With zeros around the audio, by PyTorch."""
    padded = np.pad(audio, ((0, 0), (N_FFT, N_FFT)))
    window = torch.hann_window(N_FFT, dtype=torch.float64)
    return torch.stft(torch.from_numpy(padded), N_FFT, HOP, window=window, return_complex=True)


def reference_samples(spectrum: torch.Tensor, samples: int) -> np.ndarray:
    window = torch.hann_window(N_FFT, dtype=torch.float64)
    audio = torch.istft(spectrum, N_FFT, HOP, window=window, length=samples + 2 * N_FFT)
    return audio[:, N_FFT:-N_FFT].numpy()


# Shorter than a hop, whole hops, one more, and longer than the stretches that are done at once.
LENGTHS = [1, HOP - 1, 5 * HOP, 64 * HOP, 64 * HOP + 1, 150001]


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("samples", LENGTHS)
def test_ratio_mask_is_the_formula(samples: int, power: float):
    references = two(*noises(2, 2, samples))
    mixture = total(references)
    vocals, accompaniment = (
        reference_spectrum(part).abs() ** power for part in references.values()
    )
    mask = torch.nan_to_num(vocals / (vocals + accompaniment))
    expected = reference_samples(mask * reference_spectrum(mixture), samples)
    estimates = ideal_ratio_mask(mixture, references, power)
    np.testing.assert_allclose(estimates["vocals"], expected, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("samples", LENGTHS[2:])
def test_wiener_filter_is_the_formula(samples: int, channels: int):
    references = two(*noises(2, channels, samples))
    # What the channels have in common makes covariances that are not just diagonal.
    references["vocals"] += 2 * references["vocals"][:1]
    mixture = total(references)
    covariances = []
    for part in references.values():
        s = reference_spectrum(part)
        v = (s.abs() ** 2).mean(dim=0)
        outer = torch.einsum("cft,dft->fcd", s, s.conj())
        covariances.append(torch.einsum("ft,fcd->ftcd", v, outer / v.sum(dim=1)[:, None, None]))
    # Frames of nothing but zeros have no inverse, and do not matter.
    inverse = torch.linalg.pinv(sum(covariances), hermitian=True, rtol=1e-13)
    filtered = torch.einsum(
        "ftcd,ftde,eft->cft", covariances[0], inverse, reference_spectrum(mixture)
    )
    estimates = wiener_filter(mixture, references)
    expected = reference_samples(filtered, samples)
    np.testing.assert_allclose(estimates["vocals"], expected, atol=1e-6)


@pytest.mark.parametrize("oracle", ORACLES)
def test_sources_with_nothing_in_common_are_found(oracle):
    references = two(tones(440), tones(6000))
    mixture = total(references)
    assert quality(references, oracle(mixture, references)).min() > 25
    # Against the mixture itself, which is as loud as the source: nearly 0 dB.
    assert quality(references, mixture_as_estimates(mixture, references)).max() < 0.1


def test_wiener_filter_tells_places_apart():
    one, other = noises(2, 1, RATE)
    # The same band at the same time, but one to the left and one to the right.
    references = two(one * [[1.0], [0.3]], other * [[0.2], [1.0]])
    mixture = total(references)
    assert quality(references, wiener_filter(mixture, references)).min() > 60
    assert quality(references, ideal_ratio_mask(mixture, references)).max() < 20


@pytest.mark.parametrize("channels", [1, 2])
def test_wiener_filter_of_mono_sources_is_the_ratio_mask(channels: int):
    references = two(*[np.repeat(noise, channels, axis=0) for noise in noises(2, 1)])
    mixture = total(references)
    expected = ideal_ratio_mask(mixture, references, power=2.0)
    np.testing.assert_allclose(
        wiener_filter(mixture, references)["vocals"], expected["vocals"], atol=1e-6
    )


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("samples", LENGTHS[:5])
def test_estimates_sum_to_the_mixture_and_keep_its_type(oracle, samples: int):
    references = two(*[noise.astype(np.float32) for noise in noises(2, 2, samples)])
    # As in MUSDB18, the mixture is not quite the sum of the sources.
    mixture = total(references) + np.float32(1e-3)
    estimates = oracle(mixture, references)
    assert {audio.dtype for audio in estimates.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(total(estimates), mixture, atol=1e-6)


@pytest.mark.parametrize("oracle", ORACLES)
def test_four_sources_are_a_group_of_their_own(oracle):
    parts = dict(zip(FOUR, noises(4), strict=True))
    mixture = total(parts)
    references = parts | {"accompaniment": mixture - parts["vocals"]}
    estimates = oracle(mixture, references)
    assert list(estimates) == list(references)
    # Two sources are what they are without the four.
    alone = oracle(mixture, two(references["vocals"], references["accompaniment"]))
    for target in alone:
        np.testing.assert_array_equal(estimates[target], alone[target])
    # The four are alike, so vocals come off as the others do, and the rest is them.
    vocals = mixture - estimates["drums"] - estimates["bass"] - estimates["other"]
    scores = quality(parts, estimates | {"vocals": vocals})
    assert np.ptp(scores) < 0.5
    assert scores.min() > 2


def test_wiener_filter_gives_a_silent_source_nothing():
    noise, silence = *noises(1), np.zeros((2, 20000))
    estimates = wiener_filter(noise, two(silence, noise))
    np.testing.assert_allclose(estimates["vocals"], 0, atol=1e-9)
    np.testing.assert_allclose(estimates["accompaniment"], noise, atol=1e-9)


@pytest.mark.parametrize("oracle", ORACLES)
def test_silence_throughout(oracle):
    silence = np.zeros((2, 20000))
    for estimate in oracle(silence, two(silence, silence)).values():
        np.testing.assert_array_equal(estimate, 0)


@pytest.mark.parametrize("oracle", ORACLES)
def test_what_no_source_accounts_for_is_shared(oracle):
    silence, (noise,) = np.zeros((2, 20000)), noises(1)
    for estimate in oracle(noise, two(silence, silence)).values():
        np.testing.assert_allclose(estimate, noise / 2, atol=1e-12)


@pytest.mark.parametrize("oracle", ORACLES)
def test_one_source_in_each_channel(oracle):
    one, other = noises(2, 1)
    silence = np.zeros_like(one)
    references = two(np.concatenate([one, silence]), np.concatenate([silence, other]))
    estimates = oracle(total(references), references)
    for target, reference in references.items():
        np.testing.assert_allclose(estimates[target], reference, atol=1e-8)


@pytest.mark.parametrize("oracle", ORACLES)
def test_a_channel_that_is_silent_in_all(oracle):
    references = two(*[noise * [[1.0], [0.0]] for noise in noises(2)])
    estimates = oracle(total(references), references)
    np.testing.assert_allclose(estimates["vocals"][1], 0, atol=1e-12)
    assert quality(references, estimates).min() > 3


@settings(deadline=None, max_examples=20)
@given(st.floats(-140, 20), st.floats(-140, 20))
def test_wiener_filter_is_finite_at_any_level(vocals_db: float, accompaniment_db: float):
    vocals, accompaniment = noises(2, 2, 5000)
    references = two(vocals * 10 ** (vocals_db / 20), accompaniment * 10 ** (accompaniment_db / 20))
    mixture = total(references)
    for estimate in wiener_filter(mixture, references).values():
        assert np.abs(estimate).max() < 3 * np.abs(mixture).max()


def test_mixture_stands_for_every_target():
    mixture = tones(440)
    estimates = mixture_as_estimates(mixture, ("vocals", "drums"))
    assert set(estimates) == {"vocals", "drums"}
    assert all(estimate is mixture for estimate in estimates.values())


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize(
    ("names", "missing"),
    [(("vocals",), "accompaniment"), (("vocals", "accompaniment", "drums"), "bass")],
)
def test_sources_that_do_not_make_up_the_song(oracle, names: tuple[str, ...], missing: str):
    (noise,) = noises(1)
    with pytest.raises(AudioInputError, match=missing):
        oracle(noise, dict.fromkeys(names, noise))


@pytest.mark.parametrize("oracle", ORACLES)
def test_shapes_that_disagree(oracle):
    vocals, accompaniment = noises(2)
    for wrong in (accompaniment[:, :-1], accompaniment[:1]):
        with pytest.raises(AudioInputError, match="accompaniment"):
            oracle(vocals, two(vocals, wrong))
    for mixture in (vocals[0], vocals[:, :0]):
        with pytest.raises(AudioInputError, match="mixture"):
            oracle(mixture, two(mixture, mixture))
