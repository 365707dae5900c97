"""The whole augmentation."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from songsplit.augmentation import Augmentation, AugmentConfig, MixConfig
from songsplit.augmentation.pitch import PitchTempo
from songsplit.augmentation.samples import ChannelSwap, Compression, Polarity, Reverb, Saturation
from songsplit.data.songs import PART_NAMES
from tests.augmentation.signals import RATE, noise, seeded, spectra

SAMPLES, BINS = 4000, 257
FOUR = ("vocals", "drums", "bass", "other")
NO_MIX = MixConfig(
    backing_deviation=0, vocals_deviation=0, swap=0, silent_vocals=0, silent_backing=0,
    loudness=(0, 0),
)  # fmt: skip


def with_shares(share: float, mix: MixConfig) -> AugmentConfig:
    """Set the share of every effect."""
    plain = AugmentConfig()
    effects = [field.name for field in dataclasses.fields(plain) if field.name != "mix"]
    shares = {name: replace(getattr(plain, name), share=share) for name in effects}
    return replace(plain, mix=mix, **shares)


OFF = with_shares(0.0, NO_MIX)


def read_samples(chain: Augmentation) -> int:
    return chain.config.pitch_tempo.read_samples(SAMPLES)


def augmentation(config: AugmentConfig) -> Augmentation:
    return Augmentation(config, FOUR, RATE, BINS)


def stems(
    chain: Augmentation,
    parts: Tensor,
    same_song: Tensor,
    generator: torch.Generator,
    present: Tensor | None = None,
) -> Tensor:
    if present is None:
        present = torch.ones(parts.shape[:2], dtype=torch.bool)
    return chain.stems(parts, same_song, generator, SAMPLES, present)


def changed_parts(
    config: AugmentConfig, same_song: Tensor, present: Tensor | None = None
) -> Tensor:
    """Return which parts of a batch are changed, each tested alone, shape (batch, 5)."""
    chain, plain = augmentation(config), augmentation(OFF)
    parts = noise(len(same_song), 5, 2, read_samples(chain))
    parts *= torch.linspace(0, 1, parts.shape[-1])  # its end is loud enough for any compressor
    changed = []
    for part in range(5):
        alone = torch.zeros_like(parts)
        alone[:, part] = parts[:, part]
        after = stems(chain, alone, same_song, seeded(), present)
        before = stems(plain, alone, same_song, seeded())
        changed.append((before != after).flatten(1).any(dim=1))
    return torch.stack(changed, dim=1)


def test_the_input_stays_as_it_is() -> None:
    chain = augmentation(AugmentConfig())
    parts, spectrogram = noise(6, 5, 2, read_samples(chain)), spectra(6, 4, 2, BINS, 5)
    copies = parts.clone(), spectrogram.clone()
    stems(chain, parts, torch.tensor([True, False, False] * 2), seeded())
    result = chain.spectrograms(spectrogram, torch.full((6,), torch.inf), seeded())
    assert torch.isfinite(torch.view_as_real(result)).all()
    assert torch.equal(parts, copies[0])
    assert torch.equal(spectrogram, copies[1])


def test_with_all_switched_off_parts_pass_through() -> None:
    chain = augmentation(OFF)
    assert read_samples(chain) == SAMPLES
    parts = noise(3, 5, 2, SAMPLES)
    expected = torch.cat([parts[:, :2].sum(dim=1, keepdim=True), parts[:, 2:]], dim=1)
    songs = torch.ones(3, dtype=torch.bool)
    torch.testing.assert_close(stems(chain, parts, songs, seeded()), expected)
    spectrogram = spectra(3, 4, 2, BINS, 2)
    result = chain.spectrograms(spectrogram, torch.full((3,), torch.inf), seeded())
    assert torch.equal(result, spectrogram)


EVERYTHING = [True] * 5
SUNG = [True, True, False, False, False]
NOT_DRUMS = [True, True, False, True, True]


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"pitch_tempo": PitchTempo(1.0, vocoded=0.0)}, EVERYTHING),
        ({"pitch_tempo": PitchTempo(1.0, vocoded=1.0)}, NOT_DRUMS),
        ({"saturation": Saturation(1.0)}, EVERYTHING),
        ({"compression": Compression(1.0)}, EVERYTHING),
        ({"reverb": Reverb(1.0)}, SUNG),
        ({"channel_swap": ChannelSwap(1.0)}, EVERYTHING),
        ({"polarity": Polarity(1.0)}, EVERYTHING),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_each_effect_changes_its_parts_of_remixed_examples_alone(
    settings: dict[str, object], parts: list[bool]
) -> None:
    config = replace(OFF, **settings)
    same_song = torch.arange(16) % 2 == 0
    changed = changed_parts(config, same_song)
    assert not changed[same_song].any()
    assert torch.equal(changed[~same_song], torch.tensor(parts).expand(8, 5))
    assert not changed_parts(config, same_song, torch.zeros(16, 5, dtype=torch.bool)).any()


def test_the_seed_decides_and_half_precision_elsewhere_changes_nothing() -> None:
    chain = augmentation(with_shares(0.5, MixConfig()))
    parts = noise(4, 5, 2, read_samples(chain))
    remixed = torch.zeros(4, dtype=torch.bool)
    spectrogram, bandwidth = spectra(4, 4, 2, BINS, 3), torch.full((4,), torch.inf)
    results = []
    for enabled, seed in ((False, 1), (True, 1), (False, 2)):
        generator = seeded(seed)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            made = stems(chain, parts, remixed, generator)
            results.append((made, chain.spectrograms(spectrogram, bandwidth, generator)))
    torch.testing.assert_close(results[1], results[0])
    for first, other in zip(results[0], results[2], strict=True):
        assert not torch.equal(first, other)


def test_the_band_known_from_the_data_limits_every_target() -> None:
    chain = augmentation(OFF)
    spectrogram = spectra(3, 4, 2, BINS, 2)
    bandwidth = torch.tensor([torch.inf, 5000.0, 0.0])
    result = chain.spectrograms(spectrogram, bandwidth, seeded())
    kept = int(5000 / (RATE / 2) * (BINS - 1)) + 1
    assert torch.equal(result[0], spectrogram[0])
    assert torch.equal(result[1, ..., :kept, :], spectrogram[1, ..., :kept, :])
    assert not result[1, ..., kept:, :].any()
    assert not result[2, ..., 1:, :].any()


def test_songs_change_their_speed_as_a_whole() -> None:
    chain = augmentation(replace(OFF, pitch_tempo=PitchTempo(0.0, songs=1.0)))
    part = noise(3, 2, read_samples(chain))
    parts = torch.zeros(3, len(PART_NAMES), *part.shape[1:])
    parts[:, PART_NAMES.index("vocals")], parts[:, PART_NAMES.index("drums")] = part, -part
    made = stems(chain, parts, torch.tensor([True, True, False]), seeded())
    likeness = torch.cosine_similarity(made[:, 0].flatten(1), part[..., :SAMPLES].flatten(1))
    assert likeness[:2].abs().max() < 0.5
    assert likeness[2] > 0.999
    # Drums at another speed would no longer cancel the voice.
    assert made[:2, 0].std() > 0.01
    assert made[:2].sum(dim=1).abs().max() < 1e-5
