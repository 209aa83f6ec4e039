"""Whether the engine stays whole for as long as it is used: two models, a dozen people, and everything that can happen.

`python -m bench.engine_soak --minutes 10 --seed 11`: questions, conversations, sentences to choose from, grammars and
sampling; people who give up (by the event, by closing the iterator), prompts that are too long, deadlines that are too
short, grammars that are none, more people than may wait; identities that change meanwhile. At the end every cell that
is in use must be the identity's. Exit code 0 only where nothing went wrong that was not asked for, and all cells are
back. One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.daemon import MODELS
from bench.engine_models import FAMILIES, Prompts, Residents, pin
from bench.engine_people import Being, Person, Tally
from bench.engine_text import exactly, sample_lines, varied
from bench.machine import describe_machine
from bench.scores import percentile
from llm import ModelError, ModelSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

BUNDLED = MODELS / "gemma-3-270m-q4_k_m.gguf"
WARM_UP_S = 60.0
SAMPLE_S = 1.0
LEAVE_S = 300.0
SWAPS_S = (2.0, 25.0)
PARALLEL, WAITING = 6, 4
CONTEXT_TOKENS = 1024
KIB = 2**10  # /proc counts kibibytes


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the soak. Returns the exit code."""
    options = _options(arguments)
    try:
        result = _soaked(options)
    except (ModelError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(json.dumps(result | {"machine": describe_machine()}, ensure_ascii=False))
    return 0 if result["whole"] else 1


def slope(samples: Sequence[tuple[float, float]], *, warm_up_s: float = WARM_UP_S) -> float:
    """MiB a minute, by least squares, over (seconds, MiB) samples after the warm-up (or the first half)."""
    if not samples:
        return 0.0
    begin = min(warm_up_s, samples[-1][0] / 2)
    late = np.array([sample for sample in samples if sample[0] >= begin])
    if len(late) < 2:
        return 0.0
    return float(np.polyfit(late[:, 0] / 60, late[:, 1], 1)[0])


def by_minute(samples: Sequence[tuple[float, float]]) -> list[float]:
    """The first value of each minute."""
    firsts = {int(at // 60): value for at, value in reversed(samples)}
    return [round(firsts[minute], 1) for minute in sorted(firsts)]


def resident_mib() -> tuple[float, float]:
    """Memory of this process in MiB: all that is resident, and of it what is no mapped file."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    )
    return int(fields["VmRSS"].split()[0]) / KIB, int(fields["RssAnon"].split()[0]) / KIB


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.engine_soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--people", type=int, default=12, metavar="N")
    parser.add_argument("--identity-tokens", type=int, default=300, metavar="N")
    parser.add_argument("--model", type=Path, default=BUNDLED, metavar="FILE")
    parser.add_argument("--family", choices=FAMILIES, default="plain")
    parser.add_argument(
        "--second", type=Path, metavar="FILE", help="the second model (default: the first again)"
    )
    parser.add_argument("--second-family", choices=FAMILIES, default="plain")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--gpu-layers", type=int, default=-1, metavar="N")
    return parser.parse_args(arguments)


def _soaked(options: argparse.Namespace) -> dict[str, object]:
    tally = Tally()
    with Residents() as residents:
        beings = [
            _being(residents, options, "first", options.model, options.family),
            _being(residents, options, "second", options.second or options.model, options.second_family),
        ]
        over = threading.Event()
        people = [
            threading.Thread(target=Person(number, options.seed, beings, tally, over).run, daemon=True)
            for number in range(options.people)
        ]
        changer = threading.Thread(
            target=_change_identities, args=(beings, options.seed, tally, over), daemon=True
        )
        samples: list[tuple[float, float, float]] = []
        began = time.perf_counter()
        for thread in (*people, changer):
            thread.start()
        while (since := time.perf_counter() - began) < 60 * options.minutes:
            samples.append((since, *resident_mib()))
            over.wait(SAMPLE_S)
        over.set()
        limit = time.perf_counter() + LEAVE_S
        for thread in (*people, changer):
            thread.join(max(0.0, limit - time.perf_counter()))
        stuck = sum(thread.is_alive() for thread in people)
        ends = [] if stuck else [_end(being) for being in beings]
    return _result(options, tally, samples, ends, stuck)


def _result(
    options: argparse.Namespace,
    tally: Tally,
    samples: list[tuple[float, float, float]],
    ends: list[dict[str, int]],
    stuck: int,
) -> dict[str, object]:
    freed, closed = sorted(tally.freed_s), sorted(tally.closed_s)
    back = bool(ends) and all(end["cells_used"] == end["cells_pinned"] for end in ends)
    strays = sum(end["stray"] for end in ends)
    return {
        "whole": not (tally.unasked or stuck or strays) and back,
        "minutes": options.minutes,
        "seed": options.seed,
        "threads": options.threads,
        "requests": sum(tally.outcomes.values()),
        "tokens": tally.tokens,
        "outcomes": dict(sorted(tally.outcomes.items())),
        "identity_swaps": tally.swaps,
        "errors_unasked": len(tally.unasked),
        "first_errors": tally.unasked[:5],
        "stuck": stuck,
        "models": ends,
        "stray": strays,
        "rss_mib": round(samples[-1][1], 1) if samples else 0.0,
        "rss_mib_each_minute": by_minute([(at, rss) for at, rss, _ in samples]),
        "rss_slope_mb_per_min": round(slope([(at, rss) for at, rss, _ in samples]), 3),
        "anonymous_slope_mb_per_min": round(slope([(at, anonymous) for at, _, anonymous in samples]), 3),
        "freed_ms_p50": round(1000 * percentile(freed, 50), 1),
        "freed_ms_p95": round(1000 * percentile(freed, 95), 1),
        "freed_ms_max": round(1000 * percentile(freed, 100), 1),
        "closed_ms_p95_at_most": round(1000 * percentile(closed, 95), 1),
    }


def _being(residents: Residents, options: argparse.Namespace, name: str, file: Path, family: str) -> Being:
    prompts = Prompts(file, FAMILIES[family])
    settings = ModelSettings(
        path=file,
        context_tokens=CONTEXT_TOKENS,
        cache_tokens=4 * CONTEXT_TOKENS,
        parallel=PARALLEL,
        waiting=WAITING,
        gpu_layers=options.gpu_layers,
        threads=options.threads,
    )
    lines = varied(sample_lines(), seed=len(name))
    texts = [
        exactly(lines, options.identity_tokens - 7 * number, prompts.identity_tokens) for number in range(4)
    ]
    model = residents.open(name, FAMILIES[family], settings)
    being = Being(model=model, prompts=prompts, texts=texts)
    pin(model, being.next_identity(0))
    return being


def _change_identities(beings: Sequence[Being], seed: int, tally: Tally, over: threading.Event) -> None:
    """Now and then, sometimes twice at once."""
    chance = random.Random(f"{seed} identities")  # noqa: S311  (no secret hangs on it)
    while not over.wait(chance.uniform(*SWAPS_S)):
        being = chance.choice(beings)
        for _ in range(chance.choice((1, 1, 2))):
            being.model.pin(being.next_identity(chance.randrange(len(being.texts))))
            tally.swaps += 1


def _end(being: Being) -> dict[str, int]:
    """What is in the cache once a last identity has pushed out the conversations that went on from earlier ones."""
    pin(being.model, being.next_identity(0))
    pin(being.model, being.next_identity(1))
    found = being.model.occupancy()
    return {
        "cells": found.cells,
        "cells_used": found.cells_used,
        "cells_pinned": found.cells_pinned,
        "kept": found.kept,
        "running": found.running,
        "waiting": found.waiting,
        "stray": found.stray,
    }


if __name__ == "__main__":
    raise SystemExit(main())
