"""llama.cpp's own server in this process, until its standard input ends: python llama_cpp_server.py GGUF CONTEXT.

Prints its address once the model is loaded.
"""

from __future__ import annotations

import sys

import xllamacpp


def main() -> None:
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx = sys.argv[1], int(sys.argv[2])
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_parallel, params.kv_unified = 2, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201  (whoever started it waits for this line)
    sys.stdin.read()


if __name__ == "__main__":
    main()
