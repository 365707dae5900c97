"""A Ray cluster of two nodes and an S3 server, both real, and nodes that are killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from hashlib import md5

import pytest
import s3fs
from moto.server import ThreadedMotoServer
from ray.cluster_utils import Cluster

from songsplit.catalogue import read_outcomes, separate_catalogue
from songsplit.errors import ConfigError
from tests.catalogue.conftest import write_songs

pytestmark = pytest.mark.slow

SONGS, DAMAGED = 60, 3
KILLS = int(os.environ.get("SONGSPLIT_KILLS", "1"))  # each takes a minute


@pytest.fixture(scope="module")
def store():
    """An S3 server with a bucket of songs; gives its file system."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    access = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = os.environ.copy()
    os.environ.update(access)  # nodes and the programs that they start have it too
    yield s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    os.environ.clear()
    os.environ.update(before)
    server.stop()


@pytest.fixture(scope="module")
def bucket(store, tmp_path_factory):
    """URL of a bucket whose prefix ``songs`` has the songs."""
    songs = write_songs(tmp_path_factory.mktemp("catalogue") / "songs", SONGS, DAMAGED)
    store.mkdir("catalogue")
    store.put(f"{songs}/", "catalogue/songs/", recursive=True)
    return "s3://catalogue"


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Checksums of the stems that one process makes of the songs, by their paths."""
    folder = tmp_path_factory.mktemp("expected")
    write_songs(folder / "songs", SONGS, DAMAGED)
    separate_catalogue(folder / "songs", folder / "stems", shard="0/1")
    return {
        path.relative_to(folder / "stems").as_posix(): md5(path.read_bytes()).hexdigest()
        for path in (folder / "stems").rglob("*.flac")
    }


@pytest.fixture
def cluster(store):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield cluster
    cluster.shutdown()


def check(store, bucket, output, expected):
    """All stems are there, the right ones, and one outcome for each song."""
    rows = read_outcomes(f"{bucket}/{output}").to_pylist()
    assert len({row["uri"] for row in rows}) == len(rows) == SONGS
    statuses = [row["status"] for row in rows]
    assert (statuses.count("done"), statuses.count("damaged")) == (SONGS - DAMAGED, DAMAGED)
    found = store.find(f"catalogue/{output}", detail=True)
    start = len(f"catalogue/{output}/")
    stems = {path[start:]: about["ETag"].strip('"') for path, about in found.items()}
    assert {p: e for p, e in stems.items() if not p.startswith("outcomes/")} == expected


@pytest.mark.parametrize("output", [f"killed-{number}" for number in range(KILLS)])
def test_a_node_that_is_killed_loses_nothing(store, bucket, expected, cluster, output):
    node = cluster.add_node(num_cpus=1)
    with pytest.raises(ConfigError, match="no machine"):  # only both together have two
        separate_catalogue(
            f"{bucket}/songs", f"{bucket}/{output}", address=cluster.address, cpus_per_actor=2
        )
    moment = random.randint(0, SONGS - 10)
    counted = []

    def watch(summary):
        counted.append(summary.worked)
        if summary.worked == moment:
            cluster.remove_node(node, allow_graceful=False)

    settings = {"address": cluster.address, "progress": watch}
    separate_catalogue(f"{bucket}/songs", f"{bucket}/{output}", **settings)
    check(store, bucket, output, expected)
    assert counted == list(range(SONGS + 1)), moment
    again = separate_catalogue(f"{bucket}/songs", f"{bucket}/{output}", shard="0/1")
    assert (again.kept, again.worked) == (SONGS, 0)


def test_two_runs_at_once_do_the_same_catalogue(store, bucket, expected, cluster):
    arguments = f"catalogue {bucket}/songs --output {bucket}/both --shard 0/1".split()
    other = subprocess.Popen(
        [sys.executable, "-m", "songsplit", *arguments], stderr=subprocess.PIPE, text=True
    )
    separate_catalogue(f"{bucket}/songs", f"{bucket}/both", address=cluster.address)
    error = other.communicate()[1]
    assert "Traceback" not in error
    check(store, bucket, "both", expected)
