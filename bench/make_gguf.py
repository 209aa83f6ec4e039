"""Writes a GGUF file of a true model's shape with random weights, to measure speed where no model can be fetched.

`python -m bench.make_gguf --shape mixtral-8x7b --out FILE`: Q4_K_M as llama.cpp's quantiser mixes it, the vocabulary of
the true size. Speed and memory are the real model's; the text is noise. One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from bench.gguf_shapes import MAKES, narrowed
from bench.gguf_writer import write_gguf
from bench.machine import describe_machine

MIX = "Q4_K_M"


def main(arguments: list[str] | None = None) -> int:
    """Writes the file. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.make_gguf", description=__doc__)
    parser.add_argument("--shape", choices=MAKES, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--layers", type=int, metavar="N", help="fewer layers than the true shape has")
    parser.add_argument("--embedding", type=int, metavar="N", help="a narrower one, a multiple of 256")
    options = parser.parse_args(arguments)
    make = MAKES[options.shape]
    began = time.perf_counter()
    try:
        shape = narrowed(
            make.shape,
            layers=options.layers or make.shape.layers,
            embedding=options.embedding or make.shape.embedding,
        )
        written = write_gguf(options.out, shape, make.vocabulary(), mix=MIX)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{options.out} can't be written: {error}\n")
        return 1
    seconds = time.perf_counter() - began
    result = {
        "shape": options.shape,
        "layers": shape.layers,
        "embedding": shape.embedding,
        "file_type": MIX,
        "bytes": written,
        "seconds": round(seconds, 1),
        "mb_per_s": round(written / 1e6 / seconds),
        "machine": describe_machine(),
    }
    print(json.dumps(result, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
