from __future__ import annotations

import pytest
import torch
from torch import Tensor

from songsplit.augmentation import MixConfig, Mixer
from songsplit.data.songs import PART_NAMES
from songsplit.errors import ConfigError
from tests.augmentation.signals import decibels, noise, rms, seeded

TWO = ("vocals", "instrumental")
FOUR = ("vocals", "drums", "bass", "other")
PLAIN = MixConfig(silent_vocals=0, silent_backing=0, loudness=(0, 0))


def some_parts(batch: int, samples: int = 2000) -> Tensor:
    levels = torch.tensor([0.5, 2.0, 1.0, 0.3, 1.5])
    return noise(batch, len(PART_NAMES), 2, samples) * levels[:, None, None]


def remixed(batch: int) -> Tensor:
    return torch.zeros(batch, dtype=torch.bool)


def mix(
    parts: Tensor, same_song: Tensor, config: MixConfig, targets: tuple[str, ...] = TWO
) -> Tensor:
    stereo = torch.eye(2).expand(*parts.shape[:2], 2, 2)
    return Mixer(config, targets)(parts, same_song, seeded(), stereo)


def test_the_ratio_of_vocals_to_backing_is_the_one_asked_for() -> None:
    mixed = mix(some_parts(400, 200), remixed(400), PLAIN)
    ratio = decibels(rms(mixed[:, 0]) / rms(mixed[:, 1]))
    assert ratio.mean() == pytest.approx(-5, abs=0.8)
    assert ratio.std() == pytest.approx(5, abs=0.6)
    config = MixConfig(level_mean=3, level_deviation=0, silent_vocals=0, silent_backing=0)
    mixed = mix(some_parts(8), remixed(8), config)
    ratio = decibels(rms(mixed[:, 0]) / rms(mixed[:, 1]))
    assert ratio.median() == pytest.approx(3, abs=1e-3)


def test_the_end_of_a_note_is_not_blown_up() -> None:
    parts = some_parts(8)
    parts[:, 0] *= 0.01 / rms(parts[:, 0])[:, None, None]
    parts[:, 1] = 0
    config = MixConfig(
        level_mean=20, level_deviation=0, silent_vocals=0, silent_backing=0, loudness=(0, 0)
    )
    ratio = decibels(rms(mix(parts, remixed(8), config)[:, 0]) / rms(parts[:, 0]))
    assert 15 < ratio.max() < 15.6


def test_the_second_singer_is_never_the_louder_one() -> None:
    parts = some_parts(200, 500)
    parts[:, 0, 1] = 0  # the first sings on the left, the second on the right
    parts[:, 1, 0] = 0
    vocals = mix(parts, remixed(200), PLAIN)[:, 0]
    ratio = decibels(rms(vocals[:, 1:]) / rms(vocals[:, :1]))
    assert -9.01 < ratio.min() < -8.5
    assert -0.5 < ratio.max() < 0.01


def test_songs_keep_their_mix_but_for_the_vocals_and_the_sides() -> None:
    parts = some_parts(100, 50)
    mixed = mix(parts, ~remixed(100), PLAIN, FOUR)
    swapped = (mixed[:, 1:] == parts[:, 2:].flip(2)).flatten(1).all(dim=1)
    kept = (mixed[:, 1:] == parts[:, 2:]).flatten(1).all(dim=1)
    assert (swapped ^ kept).all()
    assert 35 < swapped.sum() < 65
    sung = parts[:, :2].sum(dim=1)
    sung = torch.where(swapped[:, None, None], sung.flip(1), sung)
    gain = decibels(rms(mixed[:, 0]) / rms(sung))
    assert gain.std() == pytest.approx(2, abs=0.4)
    expected = sung * 10 ** (gain.float() / 20)[:, None, None]
    torch.testing.assert_close(mixed[:, 0], expected, rtol=1e-3, atol=1e-4)


def test_silent_parts_are_left_alone() -> None:
    for silent in (slice(0, 1), slice(1, 2), slice(0, 2), slice(2, 5), slice(0, 5)):
        parts = some_parts(4)
        parts[:, silent] = 0
        mixed = mix(parts, remixed(4), PLAIN)
        assert torch.isfinite(mixed).all()
        assert mixed[:, 0].any() == parts[:, :2].any()
        assert mixed[:, 1].any() == parts[:, 2:].any()
    alone = some_parts(4)
    alone[:, 1:] = 0
    assert torch.equal(mix(alone, remixed(4), PLAIN)[:, 0], alone[:, 0])
    quiet = some_parts(4)
    quiet[:, 0] *= 1e-4
    quiet[:, 1] = 0
    torch.testing.assert_close(mix(quiet, remixed(4), PLAIN)[:, 0], quiet[:, 0])


def test_targets_come_in_the_order_asked_for_and_add_up_to_the_same() -> None:
    parts, same_song = some_parts(6), torch.tensor([True, False] * 3)
    four = mix(parts, same_song, MixConfig(), FOUR)
    turned = mix(parts, same_song, MixConfig(), ("other", "vocals", "bass", "drums"))
    assert torch.equal(turned, four[:, [3, 0, 2, 1]])
    two = mix(parts, same_song, MixConfig(), ("instrumental", "vocals"))
    assert torch.equal(two[:, 1], four[:, 0])
    torch.testing.assert_close(two[:, 0], four[:, 1:].sum(dim=1))


@pytest.mark.parametrize("targets", [("vocals",), ("vocals", "drums"), (*TWO, "drums"), ()])
def test_other_targets_are_refused(targets: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="use vocals and instrumental, or vocals, drums"):
        Mixer(MixConfig(), targets)
