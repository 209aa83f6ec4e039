"""How much of the embedder's speed is left when files become searchable memories, and how much memory it takes.

`python -m bench.ingest --turns 20000`: the ingest, ledger, outbox and Chroma of the daemon in this process, over
invented conversations; and the embedder alone over the same texts in its best order. The two take turns, half of the
files at a time, so that a slow minute of the machine hits both. Embedder and Kiwi have loaded before, as in a daemon.
`ratio` is the first's passages a second over the second's. To watch memory and disk grow: `--no-alone` leaves the
second part out, and `--embedder fake` the real embedder.
One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from bench.daemon import MODELS, REPOSITORY
from bench.invented import write
from bench.machine import describe_machine, memory_kib
from memoryd import opening
from memoryd.boot_memory_loop import BootMemoryLoop
from memoryd.clock import SystemClock
from memoryd.config import load_config
from memoryd.embedder import open_embedder
from memoryd.journal import Journal
from memoryd.kiwi import KIWI
from memoryd.ledger import Ledger
from memoryd.testing import FakeEmbedder
from memoryd.users import Users

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.config import Config
    from memoryd.embedder import Embedder
    from memoryd.opening import Memory

MIB = 2**20
POLL_SECONDS = 0.2
# Counting what is in takes a core from the embedder.
COUNT_SECONDS = 2.0
ALMOST = 0.95
# How often the two take turns.
ROUNDS = 2


@dataclass
class Noted:
    """An embedder that notes what it was asked for, and does what the other one does."""

    inner: Embedder
    texts: list[str] = field(default_factory=list)
    keeps: bool = True

    def __post_init__(self) -> None:
        self.id = self.inner.id
        self.dimension = self.inner.dimension
        self.max_tokens = self.inner.max_tokens
        self.embed_passages = self.inner.embed_passages
        self.embed_query = self.inner.embed_query
        self.count_tokens = self.inner.count_tokens

    def embed_batches(
        self, texts: Sequence[str]
    ) -> Generator[tuple[list[int], NDArray[np.float32]], None, None]:
        """Places and unit vectors, (n, d) float32."""
        if self.keeps:
            self.texts += texts
        return self.inner.embed_batches(texts)


class Forgetful(FakeEmbedder):
    """The fake without its list of what it embedded, which would grow."""

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, (n, d) float32."""
        vectors = super().embed_passages(texts)
        self.embedded.clear()
        return vectors


def main() -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--turns", type=int, default=20_000, metavar="N")
    parser.add_argument("--per-file", type=int, default=200, metavar="N", help="turns in a file")
    parser.add_argument("--embedder", choices=["bundled", "fake"], default="bundled")
    parser.add_argument(
        "--alone", action=argparse.BooleanOptionalAction, default=True, help="the second part"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memoryd-ingest-") as scratch:
        real = options.embedder == "bundled"
        result = _measured(
            Path(scratch), options.turns, options.per_file, real=real, alone=real and options.alone
        )
    print(json.dumps(result | {"machine": describe_machine()}, ensure_ascii=False))
    return 0


def _measured(scratch: Path, turns: int, per_file: int, *, real: bool, alone: bool) -> dict[str, object]:
    config = _config(scratch)
    files = write(scratch / "to come", turns, per_file=per_file)
    embedder = Noted(open_embedder(config) if real else Forgetful(dimension=384), keeps=alone)
    ledger = Ledger(config.paths.state)
    with patch.object(opening, "open_embedder", lambda _: embedder):
        memory = _open(config, ledger)
    KIWI.load()
    base = _peak_mib()
    seconds = alone_seconds = 0.0
    for wave in _waves(scratch / "to come", ROUNDS if alone else 1):
        come = sum(file.read_bytes().count(b"\n") for file in wave)
        expected = ledger.files.totals().turns + come
        started = time.perf_counter()
        _move(wave, config.paths.memory)
        if not seconds:
            memory.keeper.start()
            memory.watcher.start()
        for percent in _progress(memory, ledger, expected, turns):
            sys.stderr.write(f"{percent} % of the turns are in the ledger\n")
        seconds += time.perf_counter() - started
        alone_seconds += _alone(embedder)
    totals, vectors = ledger.files.totals(), ledger.vectors.count()
    peak = _peak_mib()
    memory.watcher.stop()
    memory.keeper.stop()
    ledger.close()
    result: dict[str, object] = {
        "embedder": embedder.id,
        "turns": totals.turns,
        "files": files,
        "passages": totals.passages,
        "texts": vectors,
        "seconds": round(seconds, 1),
        "passages_per_s": round(vectors / seconds, 1),
        "peak_mib": round(peak),
        "peak_above_start_mib": round(peak - base),
        "ledger_mib": round(_size(config.paths.state, "ledger*") / MIB, 1),
        "chroma_mib": round(_size(config.paths.state, "chroma/**/*") / MIB, 1),
    }
    if alone:
        result["embedder_alone_per_s"] = round(vectors / alone_seconds, 1)
        result["ratio"] = round(alone_seconds / seconds, 3)
    return result


def _waves(folder: Path, count: int) -> Iterator[list[Path]]:
    """The files below a folder, in `count` parts of about one size, none empty."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    size = -(-len(files) // count)
    for first in range(0, len(files), size):
        yield files[first : first + size]


def _move(files: Sequence[Path], memory: Path) -> None:
    """Puts files into the day folders that they were written for."""
    for file in files:
        folder = memory / file.parent.name
        folder.mkdir(exist_ok=True)
        file.rename(folder / file.name)


def _alone(embedder: Noted) -> float:
    """Seconds for the texts that were asked for since the last time, longest first, with nothing else to do."""
    texts = sorted(embedder.texts, key=lambda text: -len(text))
    embedder.texts.clear()
    started = time.perf_counter()
    embedder.inner.embed_passages(texts)
    return time.perf_counter() - started


def _progress(memory: Memory, ledger: Ledger, expected: int, turns: int) -> Iterator[int]:
    """Waits until `expected` turns are in and searchable; tenths of all `turns`, in percent, as they are reached."""
    said = 10 * (10 * ledger.files.totals().turns // turns)
    there = 0
    while there < expected or not memory.keeper.proven.is_set() or ledger.outbox.count():
        time.sleep(COUNT_SECONDS if there < ALMOST * expected else POLL_SECONDS)
        if memory.watcher.fault:
            raise SystemExit(f"Ingest failed: {memory.watcher.fault}")
        totals = ledger.files.totals()
        if totals.skipped or totals.quarantined:
            raise SystemExit(f"{totals.skipped + totals.quarantined} files were refused.")
        there = totals.turns
        percent = 100 * there // turns
        if percent >= said + 10:
            said = percent
            yield percent


def _config(scratch: Path) -> Config:
    memory = scratch / "memory"
    memory.mkdir()
    environment = {
        "MEMORYD_PATHS__MEMORY": str(memory),
        "MEMORYD_PATHS__MANIFEST": str(REPOSITORY / "manifest"),
        "MEMORYD_PATHS__STATE": str(scratch / "state"),
        "MEMORYD_PATHS__MODELS": str(MODELS),
        "MEMORYD_WATCH__SETTLE_SECONDS": "0",
        "MEMORYD_LLM__ENABLED": "false",
    }
    return load_config(env=environment).config


def _open(config: Config, ledger: Ledger) -> Memory:
    clock = SystemClock()
    users = Users(config.paths.manifest, config.paths.state)
    loop = BootMemoryLoop(
        ledger=ledger,
        manifest=config.paths.manifest,
        owners=users.identity_owners,
        origin=users.origin.id,
        being=config.being.name,
        budget=config.replay.token_budget,
        adopted=lambda _identity: None,
        clock=clock,
    )
    return opening.open_memory(
        config,
        ledger=ledger,
        loop=loop,
        digests=None,
        users=users,
        journal=Journal(config.paths.memory),
        generators={},
        clock=clock,
        saved=lambda _: None,
    )


def _peak_mib() -> float:
    """The most memory that this process and its Kiwi child have had, in MiB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (own + (memory_kib(KIWI.pid, "VmHWM") if KIWI.pid else 0)) / 1024


def _size(folder: Path, pattern: str) -> int:
    return sum(file.stat().st_size for file in folder.glob(pattern) if file.is_file())


if __name__ == "__main__":
    raise SystemExit(main())
