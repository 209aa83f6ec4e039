"""Kiwi's child process: it comes back, it says what it can't do, and it never outlives whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memoryd import kiwi
from memoryd.errors import KiwiError
from memoryd.kiwi import KIWI, KiwiProcess
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

LOADING_S = 120.0
SAID = "보리를 병원에 데려갔다"
MORPHEMES = [("보리", "NNG"), ("병원", "NNG"), ("데려가", "VV")]


@pytest.fixture
def process() -> Iterator[KiwiProcess]:
    """One of its own, whose child has not been started."""
    made = KiwiProcess()
    yield made
    made.stop()


def pid_of(process: KiwiProcess) -> int:
    """Its child's process id."""
    return process.pid or pytest.fail("there is no child")


def ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet buried by whoever inherited it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


# What it answers


def test_the_morphemes_that_carry_meaning_come_in_the_order_of_the_text() -> None:
    assert KIWI.morphemes(SAID) == MORPHEMES
    assert KIWI.morphemes("") == []


def test_threads_get_the_answers_to_their_own_texts() -> None:
    numerals = ["하나", "둘", "셋", "넷", "다섯"] * 20
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(KIWI.morphemes, numerals))
    assert [answer[0][0] for answer in answers] == numerals


def test_a_text_larger_than_any_buffer_comes_whole() -> None:
    """Two megabytes of it, few of them Hangul: Kiwi takes time by the square of a sentence's length."""
    assert KIWI.morphemes(SAID + "\n" * 2**21 + SAID) == MORPHEMES * 2


def test_what_kiwi_cannot_read_is_said_and_the_child_lives_on() -> None:
    """Half of a pair, as JSON can escape it, is no text to Kiwi."""
    KIWI.load()
    before = KIWI.pid
    with pytest.raises(KiwiError, match="Kiwi can't read a text of 4 characters: UnicodeDecodeError"):
        KIWI.morphemes("보리 \ud800")
    assert KIWI.morphemes(SAID) == MORPHEMES
    assert KIWI.pid == before


# When it ends


def test_a_child_that_is_killed_over_a_text_is_replaced_and_the_text_is_read() -> None:
    KIWI.load()
    first = pid_of(KIWI)
    os.kill(first, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(KIWI.morphemes, SAID)
        until(KIWI._turn.locked)
        os.kill(first, signal.SIGKILL)
        assert answer.result(LOADING_S) == MORPHEMES
    assert pid_of(KIWI) != first
    assert not Path(f"/proc/{first}").exists()


def test_a_text_that_ends_two_children_is_refused_and_left_alone_for_a_while(process: KiwiProcess) -> None:
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(process.morphemes, SAID)
        killed: set[int | None] = {None}
        for _ in range(kiwi.TRIES):
            until(lambda: process.pid not in killed)
            killed.add(process.pid)
            os.kill(pid_of(process), signal.SIGKILL)
        with pytest.raises(
            KiwiError, match=r"ended with code -9 over a text of 12 characters, and did so twice"
        ):
            answer.result(LOADING_S)
    with pytest.raises(KiwiError, match="not asked again yet"):
        process.morphemes(SAID)
    assert process.pid is None

    ten_minutes_later = dict.fromkeys(process._refused, 0.0)
    process._refused = ten_minutes_later
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(process.morphemes, SAID)
        until(lambda: process.pid is not None)
        process.stop()
        with pytest.raises(KiwiError, match="was stopped"):
            answer.result(LOADING_S)


def test_a_silent_child_is_given_up(process: KiwiProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't have loaded within 20 milliseconds."""
    monkeypatch.setattr(kiwi, "SILENCE_LIMIT_S", 0.02)
    with pytest.raises(KiwiError, match=r"said nothing for 0.02 s over a text"):
        process.morphemes(SAID)
    assert process.pid is None


def test_why_kiwi_cannot_be_loaded_is_said(
    process: KiwiProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "kiwipiepy.py").write_text("raise ImportError('it is torn')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(KiwiError, match=r"can't be loaded \(ImportError: it is torn\)"):
        process.load()


def test_who_waits_for_a_child_that_is_stopped_hears_of_it(process: KiwiProcess) -> None:
    process.start()
    child = pid_of(process)
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(process.load)
        until(process._turn.locked)
        process.stop()
        with pytest.raises(KiwiError, match="was stopped"):
            loading.result(LOADING_S)
    assert process.pid is None
    assert not Path(f"/proc/{child}").exists()
    process.stop()


@pytest.mark.parametrize("step", ["start", "load"])
def test_the_child_ends_with_a_parent_that_is_killed(step: str) -> None:
    """In the midst of loading too, where it can read nothing."""
    program = f"from memoryd.kiwi import KIWI; KIWI.{step}(); print(KIWI.pid, flush=True); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not ended(child)
        parent.kill()
    until(lambda: ended(child))


def test_a_fork_leaves_the_child_to_its_parent() -> None:
    KIWI.load()
    forked = os.fork()
    if not forked:
        os._exit(0 if KIWI.pid is None else 1)
    assert os.waitpid(forked, 0)[1] == 0
    assert KIWI.morphemes(SAID) == MORPHEMES
