"""How well memoryd finds what was said, asked over HTTP, beside plain BM25 and a plain embedder.

    data set ──▶ files in a fresh daemon's memory/ ──▶ indexed ──▶ /api/search a question ──▶ turns compared

`python -m bench.recall --data FILE --kind locomo|longmemeval|korquad|ko_memory`; one JSON line comes last. With
`--ceiling` come the figures that an oracle would reach which knows for each question how to weigh the parts of a score.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.daemon import MODELS, Daemon, DaemonError
from bench.datasets import KINDS, limit_questions, load_memories, write_memory
from bench.machine import describe_machine
from bench.scores import (
    Answered,
    Hit,
    newest_before_stale,
    oracle_fusion,
    summarise,
    summarise_by_type,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.datasets import Memory, Question
    from memoryd_client import Client
    from memoryd_client.models import Counts, Why

# Evidence counts among the first 20; more are asked for so that ten different sessions can be among them.
HITS = 50
# As many as a search gives.
CANDIDATES = 200


@dataclass(slots=True)
class Run:
    """What the daemon answered over all memories, and what it took."""

    answers: list[Answered] = field(default_factory=list)
    candidates: list[Answered] = field(default_factory=list)
    ingest_s: float = 0.0
    passages: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench. Returns the exit code."""
    options = _options(arguments)
    try:
        memories = load_memories(options.kind, options.data, samples=options.samples)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.limit:
        memories = limit_questions(memories, options.limit)
    run = Run()
    try:
        for memory in memories:
            ask_daemon(memory, run, embedder=options.embedder, ceiling=options.ceiling)
    except DaemonError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    by_type = options.kind == "ko_memory"
    result: dict[str, object] = {
        "kind": options.kind,
        "data": options.data.name,
        "embedder": options.embedder,
    }
    result |= figures(run.answers, by_type=by_type)
    result |= {"ingest_s": round(run.ingest_s, 1), "passages": run.passages}
    result["degraded"] = sum(answer.degraded for answer in run.answers)
    if options.ceiling:
        result["ceiling"] = ceilings(run.candidates, by_type=by_type)
    if options.baselines:
        # They take longer than all the rest: who stops them has this.
        _note(json.dumps(result, ensure_ascii=False))
        result["baselines"] = {
            name: figures(answers, by_type=by_type) for name, answers in ask_baselines(memories).items()
        }
    line = json.dumps(result | {"machine": describe_machine()}, ensure_ascii=False)
    if options.json_out:
        options.json_out.write_text(line + "\n", encoding="utf-8")
    print(line)
    return 0


def ask_daemon(memory: Memory, run: Run, *, embedder: str = "bundled", ceiling: bool = False) -> None:
    """Gives one memory to a fresh daemon, asks its questions and adds the answers to `run`.

    Args:
        ceiling: ask each for all its candidates too.

    Raises:
        DaemonError: the daemon ended, refused a file or stands still.
    """
    with (
        tempfile.TemporaryDirectory(prefix="memoryd-recall-") as scratch,
        Daemon(Path(scratch), embedder=embedder, language_models=False) as daemon,
    ):
        files = write_memory(memory.conversations, daemon.memory)
        started = time.perf_counter()
        daemon.start()
        daemon.wait_healthy()
        counts = daemon.wait_indexed(files, lambda counts: _progress(memory.name, files, counts))
        run.ingest_s += time.perf_counter() - started
        run.passages += counts.passages
        _note(f"{memory.name}: asking {len(memory.questions)} questions")
        with daemon.client() as client:
            for question in memory.questions:
                run.answers.append(_ask(client, question, HITS))
                if ceiling:
                    run.candidates.append(_ask(client, question, CANDIDATES, explain=True))


def _ask(client: Client, question: Question, k: int, *, explain: bool = False) -> Answered:
    asked = time.perf_counter()
    answer = client.search(question.text, k=k, now=question.asked_at, explain=explain)
    milliseconds = (time.perf_counter() - asked) * 1000
    hits = (
        Hit(turns=tuple(turn.id for turn in hit.turns), session=hit.conversation_id, parts=_parts(hit.why))
        for hit in answer.hits
    )
    degraded = answer.degraded is not None
    return Answered(question=question, hits=tuple(hits), milliseconds=milliseconds, degraded=degraded)


def _parts(why: Why | None) -> tuple[float, ...]:
    return (why.cosine, why.words, why.neighbours, why.time, why.person) if why else ()


def ask_baselines(memories: Sequence[Memory]) -> dict[str, list[Answered]]:
    """Asks the same questions of both baselines."""
    from bench.baselines import rank_baselines

    merged: dict[str, list[Answered]] = {}
    for memory in memories:
        _note(f"{memory.name}: baselines")
        for name, answers in rank_baselines(memory, MODELS, k=HITS).items():
            merged.setdefault(name, []).extend(answers)
    return merged


def figures(answers: Sequence[Answered], *, by_type: bool) -> dict[str, object]:
    """The figures of one way of searching; with `by_type` also for each type of question."""
    whole: dict[str, object] = dict(summarise(answers))
    if by_type:
        whole |= {"newest_before_stale": newest_before_stale(answers), "by_type": summarise_by_type(answers)}
    return whole


def ceilings(candidates: Sequence[Answered], *, by_type: bool) -> dict[str, object]:
    """What an oracle would score, over all questions and with `by_type` over each type of them."""
    whole: dict[str, object] = dict(oracle_fusion(candidates))
    if by_type:
        types = sorted({answer.question.type for answer in candidates if answer.question.evidence})
        whole["by_type"] = {
            kind: oracle_fusion([answer for answer in candidates if answer.question.type == kind])
            for kind in types
        }
    return whole


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.recall", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, required=True, help="the data set's JSON file")
    parser.add_argument("--kind", choices=KINDS, required=True, help="the data set's shape")
    parser.add_argument(
        "--samples", nargs="+", default=(), help="LoCoMo's samples to take, for example conv-26"
    )
    parser.add_argument("--limit", type=int, help="ask this many questions, evenly spread over all")
    parser.add_argument("--embedder", default="bundled", help="the value of embedding.model (bundled)")
    parser.add_argument("--json-out", type=Path, help="write the JSON line to this file too")
    parser.add_argument("--ceiling", action="store_true", help="also what an oracle would score")
    parser.add_argument(
        "--no-baselines", dest="baselines", action="store_false", help="leave the baselines out"
    )
    return parser.parse_args(arguments)


def _progress(name: str, files: int, counts: Counts) -> None:
    indexed = f"{counts.files_indexed}/{files} files indexed"
    _note(f"{name}: {indexed}, {counts.vectors} vectors, {counts.outbox} on their way to Chroma")


def _note(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    raise SystemExit(main())
