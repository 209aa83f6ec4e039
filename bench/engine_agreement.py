"""Whether greedy answers are the same however the engine came to compute them.

`python -m bench.engine_agreement`: a question's answer alone, in an engine that holds nothing, is the reference. The
same is asked of an engine with the identity pinned, in a batch of six, in a conversation that is gone on with, after
the identity was swapped, and after it was read from disk.

    text ─▶ reference: a b c d e      the place where they part counts as compared, and as different;
         └▶ condition: a b x …        what comes behind it is not compared
    text + a b c d e ─▶ both go on from here

So every token that is compared was drawn after exactly the same text on both sides, as with teacher forcing, though
computed as an answer is. Where they part, `gap` is by how much either side liked its own token better than the other's,
as a difference of log-probabilities.

How much is rounding? llama.cpp rounds activations to 8 bits before it multiplies quantised weights, so that the last
bit of a sum, which depends on how many tokens are computed at once, can become a step of a percent in the next layer.
`split_7` and `split_37` measure that: nothing is shared or kept in them, only the prompt is computed in other
portions. `noise` is the most that a log-probability changed there. Two tokens can change places where their gap is at
most twice that; `beyond_noise` counts the differences in each condition that are larger. One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.daemon import MODELS
from bench.engine_conditions import CONDITIONS, NOISE, Asked, Setting, bare
from bench.engine_models import FAMILIES, Prompts
from bench.engine_text import exactly, question, sample_lines, varied
from bench.machine import describe_machine
from llm import ModelError, ModelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm import GenerateRequest, TokenLogprob

TOP = 8
MOST_ROUNDS = 3  # times those that would do if nothing parted
ROOM = 192


@dataclass(slots=True)
class Agreement:
    """What a condition came to."""

    compared: int = 0
    gaps: list[float] = field(default_factory=list)
    max_logprob_difference: float = 0.0
    least_cached: float = math.inf

    @property
    def percent(self) -> float:
        """How many of the compared tokens were the same."""
        return round(100 * (1 - len(self.gaps) / self.compared), 3) if self.compared else 0.0

    @property
    def noise(self) -> float:
        """The most that a log-probability was off; a gap is the difference of two."""
        return max([self.max_logprob_difference, *(gap / 2 for gap in self.gaps)])

    def add(self, more: Agreement) -> None:
        """Takes in another's counts, and the worse of the rest."""
        self.compared += more.compared
        self.gaps += more.gaps
        self.max_logprob_difference = max(self.max_logprob_difference, more.max_logprob_difference)
        self.least_cached = min(self.least_cached, more.least_cached)

    def figures(self) -> dict[str, object]:
        """For the JSON line. A gap that the listed tokens don't show is None."""
        worst = max(self.gaps, default=0.0)
        return {
            "tokens": self.compared,
            "agreement_pct": self.percent,
            "different": len(self.gaps),
            "worst_gap": round(worst, 4) if math.isfinite(worst) else None,
            "max_logprob_difference": round(self.max_logprob_difference, 4),
            "least_cached_tokens": int(self.least_cached) if math.isfinite(self.least_cached) else None,
        }


class Chain:
    """A question and as much of its answer as the reference has given by now."""

    def __init__(self, prompts: Prompts, identity: str, number: int, chunk: int) -> None:
        self.name = f"chain {number}"
        self._prompts = prompts
        self._identity = identity
        self._number = number
        self._chunk = chunk
        self._said = ""

    def request(self) -> GenerateRequest:
        """Asks for the next few tokens, with their log-probabilities."""
        ask = self._prompts.ask(
            self._identity, question(self._number), max_tokens=self._chunk, user=self.name, said=self._said
        )
        return replace(ask.request, logprobs=TOP)

    def go_on(self, said: Sequence[TokenLogprob]) -> None:
        """Takes the reference's tokens as said; where it had nothing more to say, another question begins."""
        more = self._prompts.text_of(each.token for each in said)
        if more and len(said) == self._chunk:
            self._said += more
        else:
            self._number += 1000
            self._said = ""


def compare(
    reference: Sequence[TokenLogprob], other: Sequence[TokenLogprob], ends: Callable[[int], bool]
) -> Agreement:
    """Token by token up to the first difference; one that ended where the other went on is a difference."""
    found = Agreement()
    for one, two in zip(reference, other, strict=False):
        found.compared += 1
        if one.token != two.token:
            found.gaps.append(max(_gap(one, {two.token}.__contains__), _gap(two, {one.token}.__contains__)))
            return found
        found.max_logprob_difference = max(found.max_logprob_difference, abs(one.logprob - two.logprob))
    if len(reference) != len(other):
        longer = max(reference, other, key=len)
        found.compared += 1
        found.gaps.append(_gap(longer[min(len(reference), len(other))], ends))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench. Returns the exit code."""
    options = _options(arguments)
    try:
        result = _measured(options)
    except (ModelError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(json.dumps(result | {"machine": describe_machine()}, ensure_ascii=False))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.engine_agreement",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tokens", type=int, default=2000, metavar="N", help="compared in each condition")
    parser.add_argument("--chunk", type=int, default=64, metavar="N", help="asked for at a time")
    parser.add_argument("--users", type=int, default=6, metavar="N")
    parser.add_argument("--identity-tokens", type=int, default=256, metavar="N")
    parser.add_argument("--model", type=Path, default=MODELS / "gemma-3-270m-q4_k_m.gguf", metavar="FILE")
    parser.add_argument("--family", choices=FAMILIES, default="plain")
    parser.add_argument("--kv-type", choices=["f32", "f16", "q8_0"], default="f16")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--gpu-layers", type=int, default=-1, metavar="N")
    parser.add_argument("--only", choices=CONDITIONS, nargs="*", default=list(CONDITIONS))
    return parser.parse_args(arguments)


def _measured(options: argparse.Namespace) -> dict[str, object]:
    family = FAMILIES[options.family]
    prompts = Prompts(options.model, family)
    texts = varied(sample_lines())
    rounds = MOST_ROUNDS * math.ceil(options.tokens / (options.users * options.chunk))
    context = (
        options.identity_tokens + ROOM + options.tokens * MOST_ROUNDS // options.users + 2 * options.chunk
    )
    with tempfile.TemporaryDirectory(prefix="memoryd-agreement-") as scratch:
        setting = Setting(
            family=family,
            settings=ModelSettings(
                path=options.model,
                context_tokens=context,
                cache_tokens=2 * options.identity_tokens + (options.users + 1) * context,
                parallel=options.users,
                gpu_layers=options.gpu_layers,
                threads=options.threads,
                kv_type=options.kv_type,
            ),
            identity=exactly(texts, options.identity_tokens, prompts.identity_tokens),
            other_identity=exactly(texts, options.identity_tokens // 2, prompts.identity_tokens),
            states=Path(scratch),
        )
        known: dict[str, Asked] = {}
        found: dict[str, Agreement] = {}
        with bare(setting) as alone:

            def reference(request: GenerateRequest) -> Asked:
                key = request.messages[-1].text
                if key not in known:
                    known[key] = alone(request)
                return known[key]

            for name in options.only:
                total = Agreement()
                chains = [
                    Chain(prompts, setting.identity, number, options.chunk)
                    for number in range(1, options.users + 1)
                ]
                with CONDITIONS[name](setting) as asked:
                    for _ in range(rounds):
                        if total.compared >= options.tokens:
                            break
                        _round(chains, reference, asked, prompts, total, at_once=name == "batch")
                found[name] = total
                sys.stderr.write(f"{name}: {total.figures()}\n")
    noise = max([total.noise for name, total in found.items() if name.startswith(NOISE)], default=0.0)
    return {
        "model": prompts.info.name or options.model.stem,
        "file_type": prompts.info.file_type,
        "kv_type": options.kv_type,
        "identity_tokens": options.identity_tokens,
        "users": options.users,
        "chunk": options.chunk,
        "threads": options.threads,
        "noise": round(noise, 4),
        "conditions": {
            name: total.figures() | {"beyond_noise": sum(gap > 2 * noise for gap in total.gaps)}
            for name, total in found.items()
        },
        "agreement_pct": min(total.percent for total in found.values()),
    }


def _round(
    chains: Sequence[Chain],
    reference: Callable[[GenerateRequest], Asked],
    condition: Callable[[GenerateRequest], Asked],
    prompts: Prompts,
    total: Agreement,
    *,
    at_once: bool,
) -> None:
    requests = [chain.request() for chain in chains]
    expected = [reference(request) for request in requests]
    with ThreadPoolExecutor(len(requests) if at_once else 1) as pool:
        answers = list(pool.map(condition, requests))
    for chain, one, two in zip(chains, expected, answers, strict=True):
        agreement = compare(one.tokens, two.tokens, prompts.ends)
        agreement.least_cached = two.cached
        total.add(agreement)
        chain.go_on(one.tokens)


def _gap(own: TokenLogprob, others: Callable[[int], bool]) -> float:
    """How much likelier its own token was than the other's; infinite where that isn't among those told."""
    return own.logprob - max((logprob for token, _, logprob in own.top if others(token)), default=-math.inf)


if __name__ == "__main__":
    raise SystemExit(main())
