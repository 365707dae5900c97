"""A short time of fuzzing, and all inputs that once broke something."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutate, mutate_json, mutate_text
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import fuzz

CORPUS = Path(__file__).with_name("corpus")
# Decoders are code of others, in C: they get a process of their own.
_NATIVE = ("audio", "pipe", "tags", "weights")
_SLOW = ("training-config",)


@pytest.mark.parametrize("target", _NATIVE)
def test_spoiled_files_crash_nothing(target: str) -> None:
    report = fuzz(target, first=0, count=80)
    assert report.inputs[target] == 80
    assert not report.findings, report.findings[0]


@pytest.mark.parametrize("target", sorted(set(TARGETS) - set(_NATIVE)))
def test_spoiled_texts_are_read_or_refused(target: str) -> None:
    chosen = TARGETS[target]
    seeds = chosen.seeds()

    @settings(max_examples=10 if target in _SLOW else 150)
    @given(st.randoms(use_true_random=False))
    def run(rng: Random) -> None:
        chosen.run(chosen.mutate(rng.choice(seeds), rng, seeds))

    run()


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_in_order_passes(target: str) -> None:
    for seed in TARGETS[target].seeds():
        TARGETS[target].run(seed)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: path.name)
def test_what_once_broke_something_no_longer_does(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


@given(st.binary(max_size=300), st.randoms(use_true_random=False))
def test_anything_can_be_spoiled(data: bytes, rng: Random) -> None:
    assert isinstance(mutate(data, rng, [data, b"other"]), bytes)
    assert isinstance(mutate_json('{"a": [1, {"b": null}]}', rng), str)
    assert isinstance(mutate_text("a: [1, 2]\n  b: c\n", rng), str)


def test_a_crash_and_an_error_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker process reports what it should; the targets here are made to fail."""
    code = (
        "import sys, os; from tests.fuzz import worker; from tests.fuzz.targets import *;"
        "TARGETS['names'] = Target(lambda data: os.abort() if data == b'2' else 1 / 0,"
        " lambda: [b''], lambda data, rng, others: b'');"
        "worker.spoiled = lambda target, number: str(number).encode();"
        "worker._main(*sys.argv[1:2], *map(int, sys.argv[2:]))"
    )
    monkeypatch.setattr("tests.fuzz.worker._COMMAND", ("-c", code))
    report = fuzz("names", first=0, count=4)
    words = [words.strip().splitlines()[-1] for _, _, words in report.findings]
    assert words == [
        "ZeroDivisionError: division by zero",
        "ZeroDivisionError: division by zero",
        "the process crashed, hung or wanted too much memory",
        "ZeroDivisionError: division by zero",
    ]
