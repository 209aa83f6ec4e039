"""How long a replay takes, how much memory, and whether it always makes the same identity.

`python -m bench.replay --turns 100000,1000000`: for each size a ledger is filled with invented turns whose vectors are
there (made at random: nothing is embedded), and a process of its own replays it: everything anew, once more, and
after one new day. The identity after that day is compared with one for which everything was read anew. `peak_rss_mb`
is that process's. One JSON line comes last, of the first size, with the others under `sizes`.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.invented import turns as invented
from bench.machine import describe_machine
from memoryd.boot_memory_loop import BootMemoryLoop
from memoryd.clock import SystemClock
from memoryd.ledger import (
    ConversationRow,
    FileRow,
    FileState,
    Ledger,
    NewFile,
    NewPassage,
    Signature,
    TurnRow,
)
from memoryd.passages import make_passages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EMBEDDER = "random"
DIMENSION = 384
PER_CONVERSATION = 20
PER_FILE = 200
NEW_DAY_TURNS = 200
BUDGET = 2000
OWNERS = ("", "origin")
REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__)
    parser.add_argument("--turns", default="100000", metavar="N,N,…")
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.state:
        sys.stdout.write(json.dumps(_replays(options.state)) + "\n")
        return 0
    sizes = [_measured(int(size)) for size in options.turns.split(",")]
    found = sizes[0] | {"sizes": sizes[1:], "machine": describe_machine()}
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
    return 0 if all(each["same_bytes_on_rerun"] and each["same_bytes_after_a_day"] for each in sizes) else 1


def _measured(turns: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="memoryd-replay-") as scratch:
        state, began = Path(scratch), time.perf_counter()
        ledger = Ledger(state)
        for number, file in enumerate(_files(turns)):
            _put(ledger, file, number)
            if number % 100 == 0:
                sys.stderr.write(f"\r{number * PER_FILE} of {turns} turns written   ")
        ledger.close()
        sys.stderr.write(f"\nwritten in {time.perf_counter() - began:.0f} s\n")
        done = subprocess.run(
            [sys.executable, "-m", "bench.replay", "--state", str(state)],
            check=True,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
    return {"turns": turns, **json.loads(done.stdout)}


def _replays(state: Path) -> dict[str, object]:
    """What one process measures on a ledger that is there."""
    manifest = state / "manifest"
    manifest.mkdir()
    (manifest / "echo_identity.txt").write_text("나는 에코다.", encoding="utf-8")
    ledger = Ledger(state)
    full, first = _replay(ledger, state)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    again_s, again = _replay(ledger, state, anew=True)
    unchanged_s, _ = _replay(ledger, state)
    files = len(ledger.files.known())
    new_day = _file(list(invented(NEW_DAY_TURNS, seed=1)), "day29991231/new.jsonl", timedelta(days=3650))
    _put(ledger, new_day, files)
    day_s, after = _replay(ledger, state)
    _, from_scratch = _replay(ledger, state, anew=True)
    ledger.close()
    return {
        "seconds": round(full, 2),
        "seconds_again": round(again_s, 2),
        "seconds_unchanged": round(unchanged_s, 2),
        "seconds_after_a_day": round(day_s, 2),
        "times_faster_after_a_day": round(full / day_s, 1),
        "peak_rss_mb": round(peak),
        "lines_kept": first.count("\n- "),
        "same_bytes_on_rerun": first == again,
        "same_bytes_after_a_day": after == from_scratch and after != first,
    }


def _replay(ledger: Ledger, state: Path, *, anew: bool = False) -> tuple[float, str]:
    """Seconds, and the identity; `anew`: with nothing kept of the replays before."""
    if anew:
        with closing(sqlite3.connect(state / "ledger.sqlite3")) as connection, connection:
            connection.execute("DELETE FROM gists")
        ledger.identities.add(digest="", text="", tokens=0, missing=(), created_at=SystemClock().now())
    loop = BootMemoryLoop(
        ledger=ledger,
        manifest=state / "manifest",
        owners=OWNERS,
        origin="origin",
        being="에코",
        budget=BUDGET,
        adopted=lambda _identity: None,
        clock=SystemClock(),
        embedder=lambda: EMBEDDER,
    )
    began = time.perf_counter()
    loop.replay("bench")
    seconds = time.perf_counter() - began
    identity = loop.identity()
    return seconds, identity.text if identity else ""


def _files(turns: int) -> Iterator[NewFile]:
    waiting: list[dict[str, str]] = []
    for number, turn in enumerate(invented(turns, per_conversation=PER_CONVERSATION), start=1):
        waiting.append(turn)
        if len(waiting) == PER_FILE or number == turns:
            day = waiting[0]["time"][:10].replace("-", "")
            yield _file(waiting, f"day{day}/{number:08d}.jsonl")
            waiting = []


def _file(said: Sequence[dict[str, str]], path: str, later: timedelta = timedelta()) -> NewFile:
    conversations: dict[str, list[TurnRow]] = {}
    for turn in said:
        rows = conversations.setdefault(turn["conversation"], [])
        rows.append(
            TurnRow(
                id=turn["id"],
                conversation_id=f"{path}:{turn['conversation']}",
                index=len(rows),
                role=turn["role"],
                speaker=turn["speaker"],
                time=datetime.fromisoformat(turn["time"]) + later,
                text=turn["text"],
            )
        )
    made = tuple(_conversation(path, rows) for rows in conversations.values())
    row = FileRow(path=path, signature=Signature(1, 1, 1), state=FileState.INDEXED, format="native")
    return NewFile(row=row, day=path.split("/", maxsplit=1)[0], conversations=made)


def _conversation(path: str, rows: Sequence[TurnRow]) -> ConversationRow:
    name = rows[0].conversation_id
    passages = make_passages(
        path, name, rows, count_tokens=lambda texts: [len(text) // 2 for text in texts], max_tokens=384
    )
    return ConversationRow(
        id=name,
        title="",
        turns=tuple(rows),
        passages=tuple(
            NewPassage(
                id=each.id,
                first=each.first,
                last=each.last,
                kind=each.kind,
                time=each.time,
                text=each.text,
                vector_key=each.vector_key,
                morphemes="",
                bigrams="",
            )
            for each in passages
        ),
    )


def _put(ledger: Ledger, file: NewFile, seed: int) -> None:
    keys = [passage.vector_key for each in file.conversations for passage in each.passages]
    vectors = np.random.default_rng(seed).standard_normal((len(keys), DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ledger.vectors.save(EMBEDDER, dict(zip(keys, vectors, strict=True)))
    ledger.files.replace(file)


if __name__ == "__main__":
    raise SystemExit(main())
