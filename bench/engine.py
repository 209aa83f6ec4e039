"""How soon the resident engine answers and how much it says, beside the other servers for GGUF files.

`python -m bench.engine --identity-tokens 3400 --users 6`: one file, one set of prompts, the same threads for all.
First alone: the first token with nothing known of the identity (cold), with the identity pinned (warm), and of the
same question without any identity; six users one after another, and together. Then with six people who ask at once,
beside llama.cpp's C++ server and llama-cpp-python's, over HTTP; there the first text counts, memoryd's too. Greedy.
One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx

from bench import engine_bounds as bounds
from bench.daemon import MODELS
from bench.engine_clients import first_token_s, in_process, listen, one_by_one, together
from bench.engine_models import FAMILIES, SPEAKER, Prompts, Residents, pin
from bench.engine_peers import PeerError
from bench.engine_plot import Group, draw
from bench.engine_rivals import Load, beside_the_others
from bench.engine_text import exactly, question, sample_lines, varied
from bench.machine import describe_machine
from llm import Identity, ModelError, ModelSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.engine_clients import Speak
    from bench.engine_models import Ask
    from llm.family import Family

BUNDLED = MODELS / "gemma-3-270m-q4_k_m.gguf"
SPARE_SLOTS = 2
SOLO_ROUNDS = 45
COLD_ROUNDS = 3
GROUP_ROUNDS = 3
NEWCOMER_TOKENS = 512
AT_REST_S = 0.02  # by then the last answer's cells are freed, for which the next question would wait
ROOM = 128  # tokens for a question with what stands around it
NAMES = {
    "memoryd": "memoryd",
    "llama_server": "llama.cpp server",
    "llama_cpp_python_server": "llama-cpp-python",
}


class Questions:
    """Asks that are each unlike every other, so that no answer is in anybody's cache."""

    def __init__(self, prompts: Prompts, identity: str, tokens: int) -> None:
        self._prompts = prompts
        self._identity = identity
        self._tokens = tokens
        self._number = 0

    def next(self, *, alone: bool = False) -> Ask:
        """The next question; `alone`: without the identity."""
        self._number += 1
        return self._ask("" if alone else self._identity)

    def both_ways(self) -> tuple[Ask, Ask]:
        """The next question with the identity, and the same without it."""
        return self.next(), self._ask("")

    def group(self, people: int) -> list[Ask]:
        """One for each of several people."""
        return [self.next() for _ in range(people)]

    def _ask(self, identity: str) -> Ask:
        return self._prompts.ask(
            identity, question(self._number), max_tokens=self._tokens, user=f"user {self._number}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench. Returns the exit code."""
    options = _options(arguments)
    try:
        result = _measured(options)
    except (ModelError, PeerError, httpx.HTTPError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.plot:
        options.plot.write_text(picture(result), encoding="utf-8")
    print(json.dumps(result | {"machine": describe_machine()}, ensure_ascii=False))
    return 0


def ratios(result: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How many times better memoryd is than each other server that was measured (1 is the same)."""
    ours = result["memoryd"]
    found: dict[str, float] = {}
    if rival := result.get("llama_server"):
        for short, name in (("six_together_p50", "together"), ("six_unwarmed_p50", "together_unwarmed")):
            found[f"{short}_vs_llama_server"] = _times(_p50(rival, name), _p50(ours, "together"))
        key = "newcomer_first_token_s"
        found["newcomer_vs_llama_server"] = _times(rival[key], ours[key])
        found["tps_vs_llama_server_held"] = _times(_tps(ours), _tps(rival))
    if rival := result.get("llama_cpp_python_server"):
        found["tps_vs_llama_cpp_python"] = _times(_tps(ours), _tps(rival))
    return found


def picture(result: dict[str, object]) -> str:
    """The plot of a result, as SVG."""
    sides = {name: side for name in NAMES if isinstance(side := result.get(name), dict)}
    groups = [
        Group(
            heading=f"{result['users']} people arrive together: first token, median",
            note="shorter is better",
            unit="s",
            values=tuple(_p50(side, "together") for side in sides.values()),
        ),
        Group(
            heading="a new person's first question meanwhile: first token",
            note="shorter is better",
            unit="s",
            values=tuple(side["newcomer_first_token_s"] for side in sides.values()),
        ),
        Group(
            heading="everybody's prefix held: tokens a second, all together",
            note="longer is better",
            unit="/s",
            values=tuple(_tps(side) for side in sides.values()),
            logarithmic=False,
        ),
    ]
    note = (
        f"{result['model']}, identity of {result['identity_tokens']} tokens, "
        f"{result['threads']} CPU threads, greedy; seconds on a logarithmic scale"
    )
    return draw("One identity, many people", note, [NAMES[name] for name in sides], groups)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--identity-tokens", type=int, default=3400, metavar="N")
    parser.add_argument("--users", type=int, default=6, metavar="N")
    parser.add_argument("--tokens", type=int, default=48, metavar="N", help="length of an answer")
    parser.add_argument("--model", type=Path, default=BUNDLED, metavar="FILE")
    parser.add_argument("--family", choices=FAMILIES, default="plain")
    parser.add_argument("--identity-text", type=Path, metavar="FILE", help="made of this text")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--gpu-layers", type=int, default=-1, metavar="N")
    parser.add_argument("--rounds", type=int, default=GROUP_ROUNDS, metavar="N", help="of each group")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--llama-server", type=json.loads, default={}, metavar="JSON", help="other settings for llama.cpp's"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="writes an SVG")
    return parser.parse_args(arguments)


def _measured(options: argparse.Namespace) -> dict[str, object]:
    family: Family = FAMILIES[options.family]
    prompts = Prompts(options.model, family)
    lines = varied(sample_lines(options.identity_text))
    text = exactly(lines, options.identity_tokens, prompts.identity_tokens)
    questions = Questions(prompts, text, options.tokens)
    slots = options.users + SPARE_SLOTS
    settings = ModelSettings(
        path=options.model,
        context_tokens=options.identity_tokens + ROOM + max(options.tokens, NEWCOMER_TOKENS),
        cache_tokens=options.identity_tokens + slots * (ROOM + max(options.tokens, NEWCOMER_TOKENS)),
        parallel=slots,
        gpu_layers=options.gpu_layers,
        threads=options.threads,
    )
    load = Load(
        settings=settings,
        prompts=prompts,
        questions=questions,
        users=options.users,
        identity_tokens=options.identity_tokens,
        rounds=options.rounds,
        long_tokens=NEWCOMER_TOKENS,
        llama_server=options.llama_server,
    )
    with Residents() as residents:
        bare = in_process(residents.open("bare", family, settings))
        model = residents.open("memoryd", family, settings)
        pinned_s = pin(model, Identity(version=1, text=text, speaker=SPEAKER))
        _say(f"identity of {options.identity_tokens} tokens pinned in {pinned_s:.1f} s")
        speak = in_process(model)
        listen(bare, questions.next(alone=True))
        beside = beside_the_others(load, speak, _say, peers=options.peers)
        alone = dict(_alone(bare, speak, questions, options))
    found = {
        "model": prompts.info.name or options.model.stem,
        "file_type": prompts.info.file_type,
        "family": family.name,
        "identity_tokens": options.identity_tokens,
        "users": options.users,
        "tokens": options.tokens,
        "threads": options.threads,
        "pinned_s": round(pinned_s, 2),
    }
    return found | alone | _bounded(prompts, alone, options) | beside | ratios(beside)


def _alone(
    bare: Speak, warm: Speak, questions: Questions, options: argparse.Namespace
) -> Iterator[tuple[str, float]]:
    """The figures without any other server; what is compared takes turns, so that a slow minute hits both."""
    cold = [first_token_s(bare, questions.next()) for _ in range(COLD_ROUNDS)]
    held: list[float] = []
    without: list[float] = []
    for _ in range(SOLO_ROUNDS):
        behind, alone = questions.both_ways()
        for times, speak, ask in ((held, warm, behind), (without, bare, alone)):
            time.sleep(AT_REST_S)
            times.append(first_token_s(speak, ask))
    decode = [
        (heard.tokens - 1) / (heard.seconds - heard.first_s)
        for heard in (listen(bare, questions.next(alone=True)) for _ in range(options.rounds))
        if heard.tokens > 1
    ]
    _say(f"first token: cold {median(cold):.2f} s, warm {median(held):.3f} s, alone {median(without):.3f} s")
    serial, batched = [], []
    for _ in range(options.rounds):
        serial.append(one_by_one(warm, questions.group(options.users)).total_tps)
        batched.append(together(warm, questions.group(options.users)).total_tps)
    _say(f"tokens/s: one after another {median(serial):.1f}, together {median(batched):.1f}")
    yield "cold_first_token_s", round(median(cold), 3)
    yield "warm_first_token_s", round(median(held), 4)
    yield "question_only_first_token_s", round(median(without), 4)
    yield "serial_tps", round(median(serial), 2)
    yield "batched_tps", round(median(batched), 2)
    yield "decode_tps", round(median(decode), 2) if decode else 0.0
    yield "warm_over_question", round(median(held) / median(without), 3)
    yield "cold_over_warm", round(median(cold) / median(held), 1)
    yield "batched_over_serial", round(median(batched) / median(serial), 3)


def _bounded(prompts: Prompts, alone: dict[str, float], options: argparse.Namespace) -> dict[str, object]:
    """How near the figures come to what the machine can do; on a GPU numpy's figures say nothing."""
    work = bounds.work_of(prompts.info)
    read = bounds.read_bytes_per_s(options.threads)
    product = bounds.matmul_operations_per_s(options.threads)
    prefill = (
        bounds.prefill_operations(work, options.identity_tokens + 30)  # a question has about 30 tokens
        / alone["cold_first_token_s"]
    )
    cached = options.identity_tokens * work.cache_bytes
    serial_bytes = alone["serial_tps"] * (work.weight_bytes + cached)
    return {
        "decode_bandwidth_fraction": round(alone["decode_tps"] * work.weight_bytes / read, 3),
        "decode_with_identity_bandwidth_fraction": round(serial_bytes / read, 3),
        "prefill_flops_fraction": round(prefill / product, 3),
        "bounds": asdict(work)
        | {
            "read_gb_per_s": round(read / 1e9, 2),
            "matmul_gflops": round(product / 1e9, 1),
            "prefill_gflops": round(prefill / 1e9, 1),
        },
    }


def _p50(side: Mapping[str, Any], name: str) -> float:
    return float(side[name]["first_token_s_p50"])


def _tps(side: Mapping[str, Any]) -> float:
    return float(side["held"]["total_tps"])


def _times(more: float, less: float) -> float:
    return round(more / less, 2) if less else 0.0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    raise SystemExit(main())
