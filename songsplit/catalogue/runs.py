"""A run over a catalogue: what is missing goes to workers, and their outcomes are counted."""

from __future__ import annotations

import logging
import math
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import TypeAlias

from songsplit.audio.formats import FormatName, OutputFormat
from songsplit.catalogue.manifest import Entry, read_catalogue
from songsplit.catalogue.outcomes import COMPARED, Outcome, OutcomeLog, is_settled, settings_of
from songsplit.catalogue.stores import Store, absolute, version
from songsplit.catalogue.worker import Work, Worker
from songsplit.errors import ConfigError, MissingExtraError, OutputError
from songsplit.inference import QUALITIES, Quality
from songsplit.models.weights import model_digest

_CHECKS_AT_ONCE = 32
_MOST_BLOCKS = 4096  # pieces of the catalogue that Ray hands out
_SHARD = re.compile(r"(\d+)/(\d+)")


@dataclass
class Summary:
    """How far a run is, or how it went.

    Attributes
    ----------
    songs : int
        Songs of the catalogue, or of its shard.
    kept : int
        Songs that earlier runs had done or found damaged.
    done, damaged, failed : int
        Songs that this run separated, found damaged, and could not separate for another reason.
    seconds, elapsed : float
        Seconds of audio that were separated, and how many seconds the run took.
    errors : dict of str to str
        Errors of the damaged and failed songs, by URI.
    """

    songs: int
    kept: int
    done: int = 0
    damaged: int = 0
    failed: int = 0
    seconds: float = 0.0
    elapsed: float = 0.0
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def worked(self) -> int:
        """Number of songs that this run is through with."""
        return self.done + self.damaged + self.failed


Progress: TypeAlias = Callable[[Summary], None]


def separate_catalogue(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    model: str | None = None,
    quality: Quality = "balanced",
    output_format: OutputFormat | FormatName = "flac",
    device: str | None = None,
    address: str | None = None,
    shard: str | None = None,
    actors: int | None = None,
    cpus_per_actor: int = 1,
    gpus_per_actor: float = 0.0,
    web: bool = False,
    retry_damaged: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Separate all songs of a catalogue that an earlier run has not done.

    Stems go to ``<output>/<first two characters of the ID>/<ID>/``, what became of each song to
    ``<output>/outcomes/``, which :func:`read_outcomes` reads. A song that an error stops, or a
    worker that dies, stops no other song.

    Parameters
    ----------
    source : path or URL
        A Parquet or CSV table with a column ``uri`` and maybe ``id``, a folder, or a pattern with
        ``*``. Without an ID, a song's ID is the SHA-256 of its file.
    output : path or URL
        A folder that all machines reach, such as ``"s3://bucket/stems"``.
    model, quality, device : optional
        As for :class:`songsplit.Separator`. A model's file must be at the same path everywhere.
    output_format : OutputFormat or str, optional
        As `output` of :meth:`songsplit.Separator.separate_to_files`.
    address : str, optional
        A Ray cluster, such as ``"auto"`` or ``"ray://head:10001"``; by default, Ray on this
        machine.
    shard : str, optional
        ``"0/3"``, ``"1/3"``, ``"2/3"``: only this share of the songs, in this process, without Ray.
    actors : int, optional
        Number of processes that separate; by default as many as there are processors for.
    cpus_per_actor, gpus_per_actor : int, float, optional
        Processors, which is also the number of threads, and GPUs of each process.
    web : bool, optional
        Allow songs at ``http://`` and ``https://``.
    retry_damaged : bool, optional
        Try songs again that an earlier run found damaged.
    overwrite : bool, optional
        Replace results of another model, quality or format in `output`.
    progress : callable, optional
        Gets the :class:`Summary` at the start, and after each song.

    Returns
    -------
    Summary

    Raises
    ------
    DataError
        If there are no songs, or the catalogue cannot be read.
    ConfigError
        If a setting is impossible.
    OutputError
        If results in `output` were made with other settings, or Ray cannot do the work.
    MissingExtraError
        If the extra ``catalogue``, or what opens a kind of URL, is not installed.

    Examples
    --------
    >>> from songsplit.catalogue import separate_catalogue
    >>> summary = separate_catalogue("s3://songs/all.parquet", "s3://stems")  # doctest: +SKIP
    """
    if quality not in QUALITIES:
        raise ConfigError(f"unknown quality {quality!r}: use {', '.join(QUALITIES)}")
    if isinstance(output_format, str):
        output_format = OutputFormat(output_format)
    if model is not None and Path(model).is_file():
        model = str(Path(model).absolute())  # workers may run in another folder
    work = Work(
        absolute(os.fspath(output)),
        model,
        model_digest(model),
        quality,
        output_format,
        "cuda" if gpus_per_actor and device is None else device,
        None if shard else cpus_per_actor,
        retry_damaged,
        overwrite,
    )
    entries = read_catalogue(source, web=web)
    # Stems are no songs.
    entries = [entry for entry in entries if not entry.uri.startswith(f"{work.output}/")]
    if not entries:
        raise ConfigError(f"{work.output} holds the songs: name another folder for the stems")
    if shard is not None:
        entries = _share(entries, shard)
    start = time.monotonic()
    missing = _missing(entries, work)
    summary = Summary(len(entries), len(entries) - len(missing))
    # Runs over the same catalogue at the same time then meet few songs at once.
    random.shuffle(missing)
    if progress:
        progress(summary)
    if shard is not None:
        outcomes = _here(missing, work)
    else:
        outcomes = _with_ray(missing, work, address, actors, cpus_per_actor, gpus_per_actor)
    for outcome in outcomes:
        _count(summary, outcome)
        summary.elapsed = time.monotonic() - start
        if progress:
            progress(summary)
    return summary


def _share(entries: list[Entry], shard: str) -> list[Entry]:
    match = _SHARD.fullmatch(shard)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not number < count:
        raise ConfigError(f"shard {shard!r}: shards count from 0, as in 0/3, 1/3 and 2/3")
    # A song stays in its shard when others join the catalogue.
    return [entry for entry in entries if int(entry.key, 16) % count == number]


def _missing(entries: list[Entry], work: Work) -> list[Entry]:
    """Return the songs that are still to be separated."""
    store = Store(work.output)
    wanted = {entry.uri for entry in entries}
    outcomes = OutcomeLog(store).read_all().select(COMPARED)
    known = {o["uri"]: o for o in outcomes.to_pylist() if o["uri"] in wanted}
    ours = settings_of(work.settings)
    if not work.overwrite:
        for other in known.values():
            if other["status"] == "done" and settings_of(other) != ours:
                words = f"model {other['model'][:8]}, quality {other['quality']}, {other['format']}"
                raise OutputError(
                    f"{work.output} holds stems that were made with other settings ({words}): "
                    "name another output, or replace them with --overwrite (overwrite=True)"
                )
    with ThreadPoolExecutor(_CHECKS_AT_ONCE) as pool:
        found = pool.map(store.sizes, store.folders() if known else ())
        sizes = {path: size for part in found for path, size in part.items()}

    def is_left(entry: Entry) -> bool:
        outcome = known.get(entry.uri)
        if outcome is None or settings_of(outcome) != ours:
            return True
        try:
            now = version(entry.uri)
        except OSError:
            return True
        retry = work.retry_damaged
        return not is_settled(outcome, entry.id, now, sizes.get, retry_damaged=retry)

    with ThreadPoolExecutor(_CHECKS_AT_ONCE) as pool:
        return [*compress(entries, pool.map(is_left, entries))]


def _count(summary: Summary, outcome: Outcome) -> None:
    if outcome["status"] == "done":
        summary.done += 1
        summary.seconds += outcome["seconds"] or 0.0
        return
    if outcome["status"] == "damaged":
        summary.damaged += 1
    else:
        summary.failed += 1
    summary.errors[outcome["uri"]] = str(outcome["error"])


def _here(entries: list[Entry], work: Work) -> Iterator[Outcome]:
    """Separate songs in this process."""
    if entries:
        worker = Worker(work)
        for entry in entries:
            yield worker(entry._asdict())


def _with_ray(
    entries: list[Entry],
    work: Work,
    address: str | None,
    actors: int | None,
    cpus: int,
    gpus: float,
) -> Iterator[Outcome]:
    """Separate songs in processes of Ray, and yield outcomes as they come."""
    # Ray reports how it is used to its makers, unless told otherwise before it starts.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its warnings are about its own insides.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import pyarrow
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "catalogue") from error
    if not entries:
        return
    is_ours = not ray.is_initialized()
    try:
        if is_ours:
            # A cluster has decided on its dashboard.
            dashboard = None if address else False
            ray.init(
                address or "local",
                include_dashboard=dashboard,
                logging_level="error",
                log_to_driver=False,
            )
        room = _room([n["Resources"] for n in ray.nodes() if n["Alive"]], cpus, gpus)
        count = min(actors or room, room)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        ray.data.DataContext.get_current().enable_progress_bars = False
        size = -(-len(entries) // _MOST_BLOCKS)
        # Tables are blocks as they are. Reading or repartitioning would need processors that
        # the actors hold.
        tables = [
            pyarrow.Table.from_pylist(
                [entry._asdict() for entry in entries[start : start + size]],
                pyarrow.schema([("uri", pyarrow.string()), ("id", pyarrow.string())]),
            )
            for start in range(0, len(entries), size)
        ]
        done = ray.data.from_arrow(tables).map(
            Worker,
            fn_constructor_args=(work,),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count),
            num_cpus=cpus,
            num_gpus=gpus,
        )
        yield from done.iter_rows()
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise OutputError(f"Ray could not do the work: {_last_line(error)}") from error
    finally:
        if is_ours:
            ray.shutdown()


def _room(nodes: list[dict[str, float]], cpus: int, gpus: float) -> int:
    """Return for how many actors nodes have room; an error says that no node has room for one."""
    room = sum(
        int(min(node.get("CPU", 0) / cpus, node.get("GPU", 0) / gpus if gpus else math.inf))
        for node in nodes
    )
    if not room:
        raise ConfigError(
            f"no machine of the cluster has the {cpus} CPUs and {gpus:g} GPUs that an actor needs: "
            "give actors fewer"
        )
    return room


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
