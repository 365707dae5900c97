"""No file of the zoo hangs or crashes the interpreter, or takes much memory."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from .collection import ENTRIES
from .entries import Refused

MEMORY = 4 << 30
# Of decoders with their code and tables: the files themselves are small. A header must not
# be able to ask for more.
MOST_FOR_ONE = 300 << 20
# A guard against files that hang, far beyond what all take together on a busy machine.
SECONDS = 300
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs limits of memory")


def read_in_child(paths: Iterable[Path]) -> dict[Path, dict[str, Any]]:
    """Read files in one process, and return what it says of each."""
    paths = list(paths)
    command = [sys.executable, "-m", "tests.zoo.child", str(MEMORY), *map(str, paths)]
    # Bytes: decoders may print anything.
    done = subprocess.run(
        [os.fsencode(word) for word in command],
        capture_output=True,
        cwd=ROOT,
        timeout=SECONDS,
        check=False,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    by_path = {Path(os.fsdecode(bytes.fromhex(each["path"]))): each for each in told}
    missing = [path.name for path in paths if path not in by_path]
    assert not missing, f"ended with {done.returncode} at {missing[0]!r}: {done.stderr[-2000:]!r}"
    return by_path


def check_memory(told: Iterable[dict[str, Any]]) -> None:
    peaks = [each["peak"] for each in told]
    steps = [after - before for before, after in itertools.pairwise(peaks)]
    assert max(steps) < MOST_FOR_ONE


def test_each_file_ends_in_samples_or_an_error(tmp_path: Path) -> None:
    paths = []
    for entry in ENTRIES:
        paths.append(tmp_path / entry.name)
        paths[-1].write_bytes(entry.make())
    told = read_in_child(paths)
    assert not [each for each in told.values() if "raised" in each]
    for entry, path in zip(ENTRIES, paths, strict=True):
        refused = isinstance(entry.expected, Refused)
        assert ("refused" in told[path]) == refused, entry.name
    check_memory(told.values())
    assert sorted(tmp_path.iterdir()) == sorted(paths)
