"""Several models resident at once, each with its own identity: how fast each is alone, and all at the same time.

`python -m bench.engine_residents --model llama=8b.gguf --model mixtral=8x7b.gguf --model deepseek=7b.gguf`: made for a
GPU, where the files may have random weights (`bench.make_gguf`). Every model pins an identity; then one to six people
ask it, while the others rest; then six people ask each of them, all together. One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.engine import Questions
from bench.engine_clients import first_token_s, in_process, together
from bench.engine_models import FAMILIES, SPEAKER, Prompts, Residents, pin
from bench.engine_text import exactly, sample_lines, varied
from bench.machine import describe_machine
from llm import Identity, ModelError, ModelSettings
from llm.device import device_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.engine_clients import Figures, Speak

ROOM = 128  # tokens for a question with what stands around it
SOLO_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A model that holds its identity, and how people ask it."""

    name: str
    speak: Speak
    questions: Questions
    figures: dict[str, object]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench. Returns the exit code."""
    options = _options(arguments)
    before = device_now()
    try:
        with Residents() as residents:
            models = [_opened(residents, family, path, options) for family, path in options.model]
            after = device_now()
            alone = {model.name: model.figures | _alone(model, options.users) for model in models}
            at_once = _at_once(models, options.users)
    except (ModelError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    result = {
        "identity_tokens": options.identity_tokens,
        "users": options.users,
        "tokens": options.tokens,
        "gpu": before.gpu,
        "gpu_gib_taken": round((before.gpu_free - after.gpu_free) / 2**30, 2),
        "alone": alone,
        "at_once": at_once,
        "machine": describe_machine(),
    }
    print(json.dumps(result, ensure_ascii=False))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.engine_residents", description=__doc__)
    parser.add_argument(
        "--model", type=_named, action="append", required=True, metavar="FAMILY=FILE", help="again for each"
    )
    parser.add_argument("--identity-tokens", type=int, default=8192, metavar="N")
    parser.add_argument("--users", type=int, default=6, metavar="N")
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="length of an answer")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    return parser.parse_args(arguments)


def _named(text: str) -> tuple[str, Path]:
    family, equals, file = text.partition("=")
    if not equals or family not in FAMILIES:
        raise argparse.ArgumentTypeError(f"{text!r} is not FAMILY=FILE with one of: {', '.join(FAMILIES)}")
    return family, Path(file)


def _opened(residents: Residents, family: str, path: Path, options: argparse.Namespace) -> Resident:
    """Loads a model and pins an identity of the wanted length, in its own tokens."""
    prompts = Prompts(path, FAMILIES[family])
    text = exactly(varied(sample_lines()), options.identity_tokens, prompts.identity_tokens)
    room = ROOM + options.tokens
    began = time.perf_counter()
    model = residents.open(
        f"{family} {path.name}",
        FAMILIES[family],
        ModelSettings(
            path=path,
            context_tokens=options.identity_tokens + room,
            cache_tokens=options.identity_tokens + (options.users + 1) * room,
            parallel=options.users,
            threads=options.threads,
        ),
    )
    loaded_s = time.perf_counter() - began
    pinned_s = pin(model, Identity(version=1, text=text, speaker=SPEAKER))
    sys.stderr.write(f"{model.name}: loaded in {loaded_s:.1f} s, identity pinned in {pinned_s:.1f} s\n")
    figures: dict[str, object] = {
        "detail": model.status().detail,
        "loaded_s": round(loaded_s, 2),
        "pinned_s": round(pinned_s, 2),
        "identity_tps": round(options.identity_tokens / pinned_s, 1),
    }
    questions = Questions(prompts, text, options.tokens)
    return Resident(name=model.name, speak=in_process(model), questions=questions, figures=figures)


def _alone(model: Resident, users: int) -> dict[str, object]:
    """First token of one person, and tokens a second of one to `users` people, the other models at rest."""
    firsts = [first_token_s(model.speak, model.questions.next()) for _ in range(SOLO_ROUNDS)]
    speeds = {
        str(people): together(model.speak, model.questions.group(people)).total_tps
        for people in range(1, users + 1)
    }
    return {"warm_first_token_s": round(median(firsts), 4), "tps_by_people": speeds}


def _at_once(models: Sequence[Resident], users: int) -> dict[str, object]:
    """What each model gives while all are asked."""
    start = threading.Barrier(len(models))

    def asked(model: Resident) -> Figures:
        group = model.questions.group(users)
        start.wait()
        return together(model.speak, group)

    with ThreadPoolExecutor(len(models)) as pool:
        return {
            model.name: asdict(heard) for model, heard in zip(models, pool.map(asked, models), strict=True)
        }


if __name__ == "__main__":
    raise SystemExit(main())
