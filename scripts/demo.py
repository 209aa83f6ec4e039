"""The whole round in a scratch folder: start, drop a conversation in, ask, kill -9, start, ask again.

`make demo`; each step is printed with the time it took, and the exit code is 0 only if every step held.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.daemon import Daemon, DaemonError
from memoryd_client import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memoryd_client import AskAnswer

DROPPED = "day0315/rooftop.jsonl"
CONVERSATION = """\
{"id": "g1", "conversation": "rooftop-garden", "time": "2026-03-15T18:10:00+09:00", "role": "user", "speaker": "지훈", "text": "오늘 옥상 텃밭에 방울토마토 모종 여섯 개 심었어."}
{"id": "g2", "conversation": "rooftop-garden", "time": "2026-03-15T18:11:00+09:00", "role": "assistant", "speaker": "에코", "text": "봄이 왔네요. 물은 언제 주기로 하셨어요?"}
{"id": "g3", "conversation": "rooftop-garden", "time": "2026-03-15T18:12:00+09:00", "role": "user", "speaker": "지훈", "text": "방울토마토 물은 화요일하고 금요일 아침에 주기로 했어."}
{"id": "g4", "conversation": "rooftop-garden", "time": "2026-03-15T18:13:00+09:00", "role": "assistant", "speaker": "에코", "text": "화요일과 금요일 아침, 기억해 둘게요."}
{"id": "g5", "conversation": "rooftop-key", "time": "2026-03-15T18:20:00+09:00", "role": "user", "speaker": "Maya", "text": "I hung the spare key to the rooftop door behind the blue watering can."}
{"id": "g6", "conversation": "rooftop-key", "time": "2026-03-15T18:21:00+09:00", "role": "assistant", "speaker": "Echo", "text": "Noted: the spare key is behind the blue watering can."}
"""  # noqa: E501  (JSON Lines: one turn a line, as a person would drop it in)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A question, and the turn of the dropped file that answers it."""

    question: str
    turn: str


CHECKS = (
    Check(question="방울토마토 물은 무슨 요일에 주기로 했지?", turn="g3"),
    Check(question="Where is the spare key to the rooftop door?", turn="g5"),
)


class DemoError(Exception):
    """A step did not hold; the message says which and why."""


def main() -> int:
    """Runs the demo. Returns the exit code."""
    started = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="memoryd-demo-") as scratch,
        Daemon(Path(scratch), sample=True) as daemon,
    ):
        try:
            _round(daemon)
        except (DemoError, DaemonError) as error:
            sys.stderr.write(f"\nThe demo failed: {error}\n")
            return 1
        except ClientError as error:
            sys.stderr.write(f"\nThe demo failed: {error}\n{daemon.log_tail()}\n")
            return 1
    print(f"\nEverything held, in {time.perf_counter() - started:.1f} s. Now start your own: make run")
    return 0


def _round(daemon: Daemon) -> None:
    _start(daemon, "start memoryd in a scratch folder")
    with _step(f"drop a conversation in: memory/{DROPPED}"):
        file = daemon.memory / DROPPED
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(CONVERSATION, encoding="utf-8")
        daemon.wait_file(DROPPED)
    before = [_ask(daemon, check) for check in CHECKS]
    with _step(f"kill -9 {daemon.pid}"):
        daemon.kill()
    _start(daemon, "start memoryd again")
    after = [_ask(daemon, check) for check in CHECKS]
    if before != after:
        raise DemoError(f"other memories are cited after the restart: {before} before, {after} after.")
    print("\nThe memories that hold the answers are cited after the kill as before it.")


def _start(daemon: Daemon, name: str) -> None:
    with _step(name):
        daemon.start()
        daemon.wait_healthy()
    with _step("models and indexes ready"):
        daemon.wait_ready()


def _ask(daemon: Daemon, check: Check) -> str:
    """Asks, prints, and returns the id of the cited passage that holds the answer."""
    with _step(f"ask: {check.question}"), daemon.client() as client:
        answer = client.ask(check.question)
    _show(answer)
    for citation in answer.citations:
        if citation.path == DROPPED and any(turn.id == check.turn for turn in citation.turns):
            return citation.passage_id
    wanted = f"turn {check.turn} of memory/{DROPPED}"
    raise DemoError(f"the answer to {check.question!r} does not cite {wanted}.\n{daemon.log_tail()}")


def _show(answer: AskAnswer) -> None:
    print(f"      answer ({answer.model}): {answer.answer.strip()}")
    for citation in answer.citations[:2]:
        words = textwrap.shorten(" ".join(citation.text.split()), 90, placeholder=" …")
        print(f"      memory: {citation.day}, {citation.path}: {words}")
    if answer.note:
        print(f"      note: {textwrap.shorten(answer.note, 70, placeholder=' …')}")


@contextmanager
def _step(name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{time.perf_counter() - started:6.2f} s  {name}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
