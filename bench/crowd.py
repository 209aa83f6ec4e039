"""How long a search takes while six people search at once, at rest and while files are read in at full speed.

`python -m bench.crowd`: a real daemon over HTTP; `ratio` is the second p95 over the first. One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.daemon import Daemon, DaemonError
from bench.invented import turns, write
from bench.machine import describe_machine
from bench.scores import percentile

PEOPLE = 6
SEED_TURNS = 4000
QUESTION_WORDS = 5


def main() -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.crowd", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each half")
    parser.add_argument("--turns", type=int, default=SEED_TURNS, metavar="N", help="remembered beforehand")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="memoryd-crowd-") as scratch,
        Daemon(Path(scratch), language_models=False) as daemon,
    ):
        try:
            result = _measured(daemon, options.turns, options.seconds)
        except DaemonError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    print(json.dumps(result | {"machine": describe_machine()}, ensure_ascii=False))
    return 0


def _measured(daemon: Daemon, count: int, seconds: float) -> dict[str, object]:
    files = write(daemon.memory, count)
    daemon.start()
    daemon.wait_ready()
    daemon.wait_indexed(files, lambda _: None)
    questions = _questions(count)
    _crowd(daemon, questions, 5.0)
    at_rest = _crowd(daemon, questions, seconds)
    # More than can be read in meanwhile: what is left is not waited for.
    write(daemon.memory, 40 * count, seed=1)
    with daemon.client() as client:
        daemon.wait_reading()
        before = client.status().counts
        reading = _crowd(daemon, questions, seconds)
        after = client.status().counts
    if not after.waiting_files:
        raise DaemonError("Everything was read in before the searches ended; ask for more turns.")
    return {
        "people": PEOPLE,
        "turns": count,
        "searches_at_rest": len(at_rest),
        "searches_reading": len(reading),
        "vectors_per_s_meanwhile": round((after.vectors - before.vectors) / seconds, 1),
        "at_rest_ms": _percentiles(at_rest),
        "reading_ms": _percentiles(reading),
        "ratio": round(percentile(reading, 95) / percentile(at_rest, 95), 2),
    }


def _questions(count: int) -> list[str]:
    """A few words out of each of many turns."""
    dice = random.Random(3)  # noqa: S311  (dice, no secret)
    said = [turn["text"].split() for turn in turns(min(count, 1000))]
    return [" ".join(dice.sample(words, min(QUESTION_WORDS, len(words)))) + "?" for words in said]


def _crowd(daemon: Daemon, questions: list[str], seconds: float) -> list[float]:
    """Milliseconds of every search that six clients got answered, each asking again at once."""
    until = time.monotonic() + seconds
    lock = threading.Lock()
    took: list[float] = []

    def ask(person: int) -> None:
        with daemon.client() as client:
            number = person
            while time.monotonic() < until:
                begun = time.perf_counter()
                client.search(questions[number % len(questions)])
                with lock:
                    took.append((time.perf_counter() - begun) * 1000)
                number += PEOPLE

    with ThreadPoolExecutor(PEOPLE) as people:
        for person in [people.submit(ask, person) for person in range(PEOPLE)]:
            person.result()
    return took


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{percent}": round(percentile(values, percent), 1) for percent in (50, 95)}


if __name__ == "__main__":
    raise SystemExit(main())
