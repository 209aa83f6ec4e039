"""Whether an identity holds what was said last, names its sources and keeps to its budget.

`python -m bench.identity --kind ko_memory --data FILE`: a real daemon reads the conversations and makes the identity at
several budgets. Of every question whose data names turns that were superseded later, it counts whether the identity
holds the newer statement wherever it holds either. Every line's source must be a turn that says those words, and the
tokens must not exceed the budget. One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.daemon import Daemon, DaemonError
from bench.datasets import load_memories, write_memory
from bench.machine import describe_machine
from memoryd.statements import statements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from bench.datasets import Memory
    from memoryd_client.identity_models import IdentityView

BUDGETS = "1500,2000,3000,5000,8000"
LINE = re.compile(r"^- (?P<day>\d{4}-\d\d-\d\d) (?P<speaker>[^:]+): (?P<text>.+) \((?P<path>[^()]+)\)$")
TOPIC = re.compile(r"^- .+: 대화 \d+번, 마지막 \d{4}-\d\d-\d\d \((?P<path>[^()]+)\)$")
FEELING = re.compile(r"^- \d{4}-\d\d-\d\d: \S+ \(\w+\) \d+ %, 말 \d+번 \((?P<path>[^()]+)\)$")
MEMORIES = "# 내가 기억하는 것 (what I remember)\n"


def main() -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.identity", description=__doc__)
    parser.add_argument("--kind", choices=("ko_memory", "locomo"), default="ko_memory")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--budgets", default=BUDGETS, metavar="N,N,…", help="of the identity, in tokens")
    options = parser.parse_args()
    budgets = [int(budget) for budget in options.budgets.split(",")]
    runs = []
    try:
        for memory in load_memories(options.kind, options.data):
            runs += [_run(memory, budget) for budget in budgets]
    except DaemonError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    either = sum(int(run["either"]) for run in runs)
    newer = sum(int(run["newer"]) for run in runs)
    result = {
        "kind": options.kind,
        "newer_held_percent": round(100 * newer / either, 1) if either else None,
        "cases_with_either": either,
        "lines_without_source": sum(int(run["lines_without_source"]) for run in runs),
        "budgets_exceeded": sum(int(run["tokens"]) > int(run["budget"]) for run in runs),
        "runs": runs,
        "machine": describe_machine(),
    }
    sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    return 0 if not result["lines_without_source"] and not result["budgets_exceeded"] else 1


def _run(memory: Memory, budget: int) -> dict[str, int | str]:
    """One memory's identity under one budget."""
    settings = {"replay__token_budget": str(budget)}
    with (
        tempfile.TemporaryDirectory(prefix="memoryd-identity-") as scratch,
        Daemon(Path(scratch), language_models=False, settings=settings) as daemon,
    ):
        files = write_memory(memory.conversations, daemon.memory)
        daemon.start()
        daemon.wait_ready()
        daemon.wait_indexed(files, lambda _counts: None)
        with daemon.client() as client:
            client.replay()
            identity = client.identity()
    sys.stderr.write(f"{memory.name}, {budget} tokens: {identity.text.count(chr(10) + '- ')} lines\n")
    return {"memory": memory.name, "budget": budget, "tokens": identity.tokens, **_judged(memory, identity)}


def _judged(memory: Memory, identity: IdentityView) -> dict[str, int]:
    said = {
        turn.id: frozenset(statements(turn.text))
        for conversation in memory.conversations
        for turn in conversation.turns
    }
    lines = identity.text.partition(MEMORIES)[2].splitlines()
    told = {match["text"] for line in lines if (match := LINE.match(line))}

    def held(turns: Collection[str]) -> bool:
        return any(said[turn] & told for turn in turns)

    superseded = [question for question in memory.questions if question.stale]
    either = [each for each in superseded if held(each.evidence) or held(each.stale)]
    return {
        "lines": len(told),
        "superseded": len(superseded),
        "either": len(either),
        "newer": sum(held(question.evidence) for question in either),
        "lines_without_source": len(list(_without_source(memory, lines))),
    }


def _without_source(memory: Memory, lines: list[str]) -> Iterator[str]:
    """The lines that do not name the file and the day in which somebody said just that."""
    sources: dict[str, set[tuple[str, str, str]]] = {}
    for conversation in memory.conversations:
        path = f"{conversation.day}/{conversation.id}.jsonl"
        sources[path] = {
            (f"{turn.time:%Y-%m-%d}", turn.speaker, text)
            for turn in conversation.turns
            if turn.time
            for text in statements(turn.text)
        }
    for line in lines:
        match = LINE.match(line)
        if match and (match["day"], match["speaker"], match["text"]) in sources.get(match["path"], ()):
            continue
        derived = TOPIC.match(line) or FEELING.match(line)
        if line.startswith("#") or (derived and derived["path"] in sources):
            continue
        yield line


if __name__ == "__main__":
    raise SystemExit(main())
