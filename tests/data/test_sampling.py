from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from songsplit.data.cache import fill_cache
from songsplit.data.sampling import SamplingConfig, TrainingBatches, ValidationClips
from songsplit.data.songs import PART_NAMES
from songsplit.data.sources import SourceConfig, find_source
from songsplit.errors import ConfigError, DataError
from tests.data import recordings

SAMPLES, READ = 15000, 20000
TWO = ("vocals", "instrumental")
FOUR = ("vocals", "drums", "bass", "other")
SONGS = {"musdb18": SourceConfig(kind="musdb")}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    return fill_cache(recordings.songs(folder / "songs"), folder / "cache", recordings.RATE)


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """A cache with songs, solo singing, short singing, instrumentals and a narrow band."""
    folder = tmp_path_factory.mktemp("pools")
    noise = np.random.default_rng(0).normal(size=(2, 30000)).astype(np.float32) * 0.1
    late = np.concatenate([np.zeros((2, 120000)), *[noise] * 4], axis=1)
    for name, audio in [
        ("songs/a/vocals", noise), ("songs/a/instrumental", noise[::-1]),
        ("singers/short", noise[:, :3000]), ("late/late", late),
        ("bands/band", noise), ("narrow/phone", noise),
    ]:  # fmt: skip
        recordings.write(folder / f"{name}.wav", audio)
    sources = {
        "songs": SourceConfig(kind="songs", path=str(folder / "songs"), valid_share=0),
        "singers": SourceConfig(kind="vocals", path=str(folder / "singers")),
        "late": SourceConfig(kind="vocals", path=str(folder / "late")),
        "narrow": SourceConfig(kind="vocals", path=str(folder / "narrow"), bandwidth=8000.0),
        "bands": SourceConfig(kind="instrumentals", path=str(folder / "bands")),
    }
    songs = [song for item in sources.items() for song in find_source(*item)]
    return fill_cache(songs, folder / "cache", recordings.RATE)


def batches(clips, sources=SONGS, targets=TWO, seed=0, sampling=None, **options):
    own = [clip for clip in clips if clip.song.source in sources]
    return TrainingBatches(
        own, sources, SamplingConfig(**(sampling or {})), targets=targets, samples=SAMPLES,
        sample_rate=recordings.RATE, read_samples=READ, batch_size=3, seed=seed, **options,
    )  # fmt: skip


def dense(batch):
    """Return the parts of a batch, with zeros for missing parts."""
    parts = torch.zeros(*batch["present"].shape, *batch["parts"].shape[1:], dtype=torch.int16)
    parts[batch["present"]] = batch["parts"]
    return parts


def same(one, other):
    return all(
        torch.equal(one[k], other[k]) if torch.is_tensor(one[k]) else one[k] == other[k]
        for k in one
    )


def test_a_batch_is_a_function_of_seed_rank_and_number(clips):
    here = batches(clips)
    assert same(here.batch(7), batches(clips).batch(7))
    assert not same(here.batch(7), here.batch(8))
    assert not same(here.batch(7), batches(clips, seed=1).batch(7))
    ranks = [batches(clips, rank=rank, world_size=2).batch(7) for rank in (0, 1)]
    assert not torch.equal(ranks[0]["parts"], ranks[1]["parts"])
    assert ranks[0]["seed"] != ranks[1]["seed"]
    # A run resumed by a later version continues with the same batches.
    assert batches(clips, seed=3).describe(5)[0] == (
        "vocals of musdb18/song 0 from sample 34268, drums of musdb18/song 2 from sample 5463, "
        "bass of musdb18/song 1 from sample 72323, other of musdb18/song 0 from sample 14462"
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_order_does_not_depend_on_workers_and_begins_where_asked(clips, workers):
    loader = DataLoader(batches(clips, first=4), batch_size=None, num_workers=workers)
    found = list(itertools.islice(loader, 5))
    assert [batch["number"] for batch in found] == [4, 5, 6, 7, 8]
    assert all(same(batch, batches(clips).batch(batch["number"])) for batch in found)


def test_songs_as_they_are_keep_their_stems_together(clips):
    here = batches(clips, sampling={"same_song_share": 1.0})
    batch = here.batch(0)
    assert batch["same_song"].all()
    assert not batch["present"][:, 1].any()
    for line, parts, scales in zip(here.describe(0), dense(batch), batch["scales"], strict=True):
        clip = next(c for c in clips if f"musdb18/{c.song.name} " in line)
        start = int(line.rsplit(" ", 1)[1])
        for slot, name in enumerate(PART_NAMES):
            if name in clip.stems:
                expected = clip.stems[name].read()[:, start : start + READ]
                np.testing.assert_array_equal(parts[slot].numpy() * scales[slot].numpy(), expected)


def test_remixed_parts_come_from_different_songs(clips):
    here = batches(clips, sampling={"same_song_share": 0.0, "second_singer": 1.0})
    lines = [line for number in range(5) for line in here.describe(number)]
    owners = [{part.split(" of ")[1].split(" from ")[0] for part in x.split(", ")} for x in lines]
    assert max(map(len, owners)) >= 3
    assert here.batch(0)["present"][:, :2].all()
    assert not here.batch(0)["same_song"].any()


def test_only_training_songs_are_drawn(clips):
    here = batches(clips)
    valid = {c.song.name for c in clips if c.song.split == "valid"}
    text = "\n".join(line for number in range(20) for line in here.describe(number))
    assert not any(f"{name} " in text for name in valid)


def test_pools_give_singing_and_backing(pools):
    sources = {"singers": SourceConfig(kind="vocals"), "bands": SourceConfig(kind="instrumentals")}
    batch = batches(pools, sources, sampling={"same_song_share": 0.0}).batch(0)
    assert batch["present"][:, 0].all()
    # An instrumental takes the slot of "other", and short recordings end in silence.
    assert batch["present"][:, PART_NAMES.index("other")].all()
    assert not dense(batch)[:, 0, :, 3000:].any()


def test_weights_decide_what_is_drawn(pools):
    sources = {
        "songs": SourceConfig(kind="songs", vocals_weight=0.0, backing_weight=0.0),
        "late": SourceConfig(kind="vocals", weight=1.0),
        "singers": SourceConfig(kind="vocals", weight=3.0),
        "bands": SourceConfig(kind="instrumentals"),
    }
    here = batches(pools, sources, sampling={"same_song_share": 0.5, "second_singer": 0.0})
    lines = [line for number in range(100) for line in here.describe(number)]
    remixed = [line for line in lines if "songs/" not in line]
    assert 0.4 < len(remixed) / len(lines) < 0.6
    assert 0.65 < sum("singers/" in line for line in remixed) / len(remixed) < 0.85


def test_singing_is_preferred_to_silence(pools):
    sources = {"late": SourceConfig(kind="vocals"), "bands": SourceConfig(kind="instrumentals")}
    here = batches(pools, sources, sampling={"same_song_share": 0.0})
    heard = torch.cat([dense(here.batch(n))[:, 0].any(dim=(1, 2)) for n in range(20)])
    # A random chunk would be silent in 45 % of all cases.
    assert heard.float().mean() > 0.75


def test_a_narrow_recording_limits_the_band(pools):
    sources = {"narrow": SourceConfig(kind="vocals"), "bands": SourceConfig(kind="instrumentals")}
    batch = batches(pools, sources, sampling={"same_song_share": 0.0}).batch(0)
    assert (batch["bandwidth"] == 8000).all()


def test_what_is_missing_is_named(clips, pools):
    singers = {"singers": SourceConfig(kind="vocals")}
    with pytest.raises(DataError, match="no training clip has a backing"):
        batches(pools, singers)
    songs = {"songs": SourceConfig(kind="songs")}
    with pytest.raises(DataError, match="has a backing for the targets vocals, drums"):
        batches(pools, songs, targets=FOUR)
    with pytest.raises(DataError, match=r"'bands'.*vocals_weight"):
        batches(pools, {**songs, "bands": SourceConfig(kind="instrumentals", vocals_weight=1.0)})
    with pytest.raises(DataError, match="weight above zero"):
        batches(clips, {"musdb18": SourceConfig(kind="musdb", weight=0.0)})
    with pytest.raises(ConfigError, match=r"sampling\.second_singer"):
        SamplingConfig(second_singer=1.5)


def test_validation_clips_hold_the_targets(clips):
    two, four = (ValidationClips(clips, targets) for targets in (TWO, FOUR))
    pairs = list(zip(two, four, strict=True))
    assert len(pairs) == sum(c.song.split == "valid" for c in clips)
    for one, other in pairs:
        assert one["name"] == other["name"]
        np.testing.assert_array_equal(one["stems"][0], other["stems"][0])
        np.testing.assert_allclose(one["stems"][1], other["stems"][1:].sum(axis=0), atol=1e-6)


def test_stems_that_end_before_others_are_padded(tmp_path):
    long, short = np.full((2, 700), 0.1), np.random.default_rng(0).normal(size=(2, 500)) * 0.1
    made = recordings.song(tmp_path, "a", {"vocals": long, "instrumental": short}, "valid")
    (clip,) = ValidationClips(fill_cache([made], tmp_path / "cache", recordings.RATE), TWO)
    assert clip["stems"].shape == (2, 2, 700)
    assert not clip["stems"][1, :, 500:].any()


def test_ranks_validate_on_equally_many_clips(clips):
    shares = [ValidationClips(clips, TWO, rank, 2) for rank in (0, 1)]
    first, second, third = (clip["name"] for clip in ValidationClips(clips, TWO))
    names = [[clip["name"] for clip in share] for share in shares]
    assert names == [[first, third], [second, ""]]


def test_no_song_for_validation(pools):
    with pytest.raises(DataError, match=r"no song for validation.*valid_share"):
        ValidationClips(pools, TWO)
