"""Many songs at once through threads and processes: same bytes, bounded memory, no deadlock.

Run it as ``python -m tests.reliability.load --songs 200 --threads 8 --processes 4``. It prints
what it found, and ends with status 1 if there was any fault.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import songsplit
from songsplit.audio import read_audio
from tests.reliability.songs import contents, make_songs, song_files

_EVERY = 50  # songs between two looks at the memory
_LIMIT = 1800.0  # seconds after which work counts as hanging
_FORK_LIMIT = 120.0
_QUEUE_SECONDS = 5.0

Digests = dict[str, str]
Work = tuple[Path, int]


@dataclass
class Load:
    """What was found.

    Attributes
    ----------
    memory : list of (str, float)
        Resident memory in megabytes, and when.
    faults : list of str
    """

    memory: list[tuple[str, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def look(self, when: str) -> None:
        """Note how much memory this process has."""
        self.memory.append((when, resident()))
        print(f"{when}: {self.memory[-1][1]:.1f} MB", file=sys.stderr)  # noqa: T201

    def compare(self, what: str, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
        """Note what is missing or not the same."""
        wrong = sorted(key for key in expected if found.get(key) != expected[key])
        if wrong or len(found) != len(expected):
            self.faults.append(f"{what}: {len(wrong)} of {len(expected)} differ: {wrong[:3]}")


def resident() -> float:
    """Return the resident memory of this process in megabytes, 0 where nobody tells."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def separated(separator: songsplit.Separator, path: Path, way: int, folder: Path) -> str:
    """Separate a song in one of four ways, and return a digest of its stems."""
    if way == 0:
        saved = separator.separate_to_files(path, folder / path.stem, overwrite=True)
        return _digest(read_audio(file)[0] for file in saved.values())
    if way == 1:
        return _digest(separator.separate(path).values())
    samples, rate = read_audio(path)
    if way == 2:
        return _digest(separator.separate(samples, rate).values())
    pieces = separator.stream(np.array_split(samples, 7, axis=1), rate)
    blocks = [[stem.T for stem in stems.values()] for stems in pieces]
    return _digest(np.concatenate(stem).T for stem in zip(*blocks, strict=True))


def _digest(stems: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for stem in stems:
        array: NDArray[np.float32] = np.ascontiguousarray(stem, np.float32)
        found.update(array.tobytes())
    return found.hexdigest()


def _works(paths: Sequence[Path]) -> list[Work]:
    """Each song is separated in one way; which of the four it is, goes round."""
    return [(path, index // 3 % 4) for index, path in enumerate(paths)]


def serially(separator: songsplit.Separator, works: Sequence[Work], folder: Path) -> Digests:
    """Separate songs one after the other."""
    return {path.name: separated(separator, path, way, folder) for path, way in works}


def in_threads(
    separator: songsplit.Separator,
    works: Sequence[Work],
    folder: Path,
    threads: int,
    load: Load,
) -> Digests:
    """Separate songs in threads that share a separator."""
    found: Digests = {}
    done = 0
    lock = threading.Lock()

    def work(given: Work) -> None:
        nonlocal done
        path, way = given
        digest = separated(separator, path, way, folder)
        with lock:
            found[path.name] = digest
            done += 1
            if done % _EVERY == 0:
                load.look(f"{threads} threads, {done} songs")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, works, timeout=_LIMIT))
    return found


def _process(works: Sequence[Work], folder: Path, results: Any) -> None:
    separator = songsplit.Separator(device="cpu")
    serially(separator, works[:4], folder)
    before = resident()
    found = serially(separator, works, folder)
    results.put((found, before, resident()))


def _child(
    separator: songsplit.Separator, works: Sequence[Work], folder: Path, results: Any
) -> None:
    results.put((serially(separator, works, folder), 0.0, resident()))


def _collect(
    processes: Sequence[Any], results: Any, limit: float, what: str, load: Load
) -> Iterator[tuple[Digests, float, float]]:
    """Yield what processes give, until all have given something, died, or the time is up."""
    deadline = time.monotonic() + limit
    left = len(processes)
    while left and time.monotonic() < deadline:
        try:
            yield results.get(timeout=_QUEUE_SECONDS)
            left -= 1
        except queue.Empty:
            if any(process.exitcode for process in processes):
                break
    for process in processes:
        process.join(_QUEUE_SECONDS)
        if process.exitcode is None:
            load.faults.append(f"{what}: a process hangs")
            process.kill()
        elif process.exitcode:
            load.faults.append(f"{what}: a process ended with {process.exitcode}")


def in_processes(
    paths: Sequence[Path], folder: Path, processes: int, load: Load, expected: Digests
) -> None:
    """Share the songs out among several spawned processes."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    works = _works(paths)
    started = [
        context.Process(target=_process, args=(works[number::processes], folder, results))
        for number in range(processes)
    ]
    for process in started:
        process.start()
    what = f"{processes} processes"
    together: Digests = {}
    for found, before, after in _collect(started, results, _LIMIT, what, load):
        load.memory.append((f"{what}, one of them after 4 songs", before))
        load.memory.append((f"{what}, the same after {len(found)}", after))
        together |= found
    load.compare(what, together, expected)


def after_forking(
    separator: songsplit.Separator,
    paths: Sequence[Path],
    folder: Path,
    load: Load,
    expected: Digests,
) -> None:
    """Separate songs in children forked while threads of the parent use the separator."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            separator.separate(paths[0])

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    few = _works(paths)[:12]
    children = [
        context.Process(target=_child, args=(separator, few, folder / f"child{n}", results))
        for n in range(3)
    ]
    for child in children:
        child.start()
    stop.set()
    for thread in threads:
        thread.join()
    wanted = {path.name: expected[path.name] for path, _ in few}
    for found, _, after in _collect(children, results, _FORK_LIMIT, "after a fork", load):
        load.memory.append(("a forked child at its end", after))
        load.compare("after a fork", found, wanted)
    # The parent goes on.
    load.compare("the parent after forks", serially(separator, few, folder), wanted)


def run(songs: int, threads: int, processes: int) -> Load:
    """Put songs through threads and processes; see :class:`Load`."""
    load = Load()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_songs(folder / "songs", songs)
        paths = song_files(folder / "songs")
        songs_before = contents(folder / "songs")
        load.look("start")
        separator = songsplit.Separator(device="cpu")
        load.look("model loaded")
        works = _works(paths)
        serially(separator, works[:12], folder / "warm")
        load.look("12 songs one by one")
        expected = serially(separator, works, folder / "serial")
        load.look(f"{songs} songs one by one")
        for turn in ("first", "second"):
            found = in_threads(separator, works, folder / "threads", threads, load)
            load.compare(f"{threads} threads, {turn} time", found, expected)
            load.look(f"{threads} threads, {turn} time, end")
        in_processes(paths, folder / "processes", processes, load, expected)
        if hasattr(os, "fork"):
            after_forking(separator, paths, folder / "forks", load, expected)
        load.look("end")
        if contents(folder / "songs") != songs_before:
            load.faults.append("a song was changed")
    return load


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--songs", type=int, default=200)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--processes", type=int, default=4)
    given = parser.parse_args()
    # Before PyTorch is loaded: threads that wait actively bring each other to a halt where
    # there are more of them than processors.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    started = time.monotonic()
    load = run(given.songs, given.threads, given.processes)
    for when, megabytes in load.memory:
        print(f"{when:45} {megabytes:7.1f} MB")  # noqa: T201
    for fault in load.faults:
        print(f"FAULT: {fault}")  # noqa: T201
    print(f"{len(load.faults)} faults; {time.monotonic() - started:.0f} s")  # noqa: T201
    sys.exit(bool(load.faults))


if __name__ == "__main__":
    main()
