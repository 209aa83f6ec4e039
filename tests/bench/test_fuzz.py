"""The fuzzer itself: it must see each kind of fault, and the same seed must give the same cases."""

from __future__ import annotations

import json
import os
import random
import signal
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from bench.fuzz import fuzzed, main
from bench.fuzz_mutations import Case, mutations, packed, seeds
from bench.fuzz_reading import allowed_seconds, examined
from loaders import Loaded, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _with_a_bug(name: str, data: bytes) -> Loaded:
    if len(data) > 100:
        raise IndexError(name)
    return load(name, data)


def _crashing(name: str, data: bytes) -> Loaded:
    if len(data) > 100:
        os.kill(os.getpid(), signal.SIGKILL)
    return load(name, data)


def _endless(name: str, data: bytes) -> Loaded:
    while len(data) > 100:
        pass
    return load(name, data)


def test_a_short_run_over_the_samples_finds_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = tmp_path / "found"
    monkeypatch.setattr("bench.fuzz_reading.allowed_seconds", lambda _: 60.0)  # the machine may be busy
    assert main(["--seconds", "2", "--workers", "1", "--keep", str(keep)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["cases"] == sum(result["formats"].values()) > 0
    assert (result["crashes"], result["hangs"], result["foreign_errors"], result["broken_promises"]) == (
        0,
        0,
        0,
        0,
    )
    assert not keep.exists()


@pytest.mark.parametrize(
    ("read", "kind"), [(_with_a_bug, "foreign_errors"), (_crashing, "crashes"), (_endless, "hangs")]
)
def test_a_fault_is_found_with_the_case_that_it_comes_of(
    read: Callable[[str, bytes], Loaded], kind: str
) -> None:
    tally = fuzzed(seeds(), 1.0, seed=0, workers=1, read=read)
    case, finding = tally.found[0]
    assert finding.kind == kind
    assert len(case.data) > 100
    assert tally.counts[kind] >= len(tally.found)


def test_what_was_found_is_kept_and_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.fuzz.load", _with_a_bug)
    assert main(["--seconds", "0.5", "--workers", "1", "--keep", str(tmp_path)]) == 1
    assert "foreign_errors: IndexError" in capsys.readouterr().err
    assert {path.suffix for path in tmp_path.iterdir()} == {".bin", ".txt"}


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        ({"text": " "}, "a turn without text, speaker or id"),
        ({"index": 7}, "turns out of order"),
        ({"id": "\ud800"}, "a turn that is no UTF-8"),
        ({"text": "안녕"}, "words are lost"),
    ],
)
def test_a_promise_that_is_broken_is_named(change: dict[str, object], promise: str) -> None:
    def read(name: str, data: bytes) -> Loaded:
        loaded = load(name, data)
        (conversation,) = loaded.conversations
        turn = replace(conversation.turns[0], **change)  # type: ignore[arg-type]
        return replace(loaded, conversations=(replace(conversation, turns=(turn,)),))

    finding = examined(Case("a.txt", "안녕, 여기 표식".encode(), ("표식",)), read).finding
    assert finding is not None
    assert finding.signature == f"notes: {promise}"


def test_the_same_seed_gives_the_same_cases() -> None:
    good = seeds()
    first, second = (list(islice(mutations(good, random.Random(7)), 200)) for _ in range(2))  # noqa: S311
    assert first == second


def test_a_corpus_is_added_by_path(tmp_path: Path) -> None:
    (tmp_path / "chats").mkdir()
    (tmp_path / "chats" / "a.txt").write_text("안녕")
    (tmp_path / "empty").touch()
    assert [seed.name for seed in seeds(tmp_path) if seed.format == "corpus"] == ["chats/a.txt"]


def test_a_zip_may_take_as_long_as_what_it_unpacks_to() -> None:
    assert allowed_seconds(b"a") == 1.0
    assert allowed_seconds(b"a" * 3 * 2**20) == 3.0
    assert 1.9 < allowed_seconds(packed([("a.txt", os.urandom(2**16) * 32)])) < 2.1
