"""Other servers for local models, each as a child process on a free loopback port.

with started(llama_server(…)) as url:  start ──▶ answers ──▶ ask it … ──▶ ended, whatever happened

llama.cpp's C++ server comes out of the `xllamacpp` wheel; llama-cpp-python's is its own `llama_cpp.server`.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 600.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.1
LOG_TAIL = 2000
BATCH_TOKENS = 512


class PeerError(Exception):
    """A server that didn't start; the message carries the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server to start.

    Attributes:
        alive: the path that answers once the model is loaded.
        settings: what it is set to, for the result's JSON; llama.cpp's names.
        command: its command line; `{port}` is replaced.
    """

    name: str
    alive: str
    settings: dict[str, object]
    command: tuple[str, ...]


def llama_server(
    model: Path,
    *,
    slots: int,
    cells: int,
    threads: int,
    gpu_layers: int,
    other: Mapping[str, object] | None = None,
) -> Peer:
    """llama.cpp's server, its caches on and large enough for a whole prompt in every slot.

    Args:
        other: settings in place of these, by the names of `xllamacpp.CommonParams`.
    """
    settings: dict[str, object] = {
        "n_parallel": slots,
        "n_ctx": cells,
        "kv_unified": True,
        "swa_full": True,
        "cache_prompt": True,
        "cache_ram_mib": 8192,
        "cache_idle_slots": False,
        "n_cache_reuse": 256,
        "slot_prompt_similarity": 0.1,
        "cont_batching": True,
        "n_batch": 2048,
        "n_ubatch": BATCH_TOKENS,
        "threads": threads,
        "n_gpu_layers": gpu_layers,
    } | dict(other or {})
    arguments = json.dumps({"model": str(model), **settings})
    return Peer(
        name="llama_server",
        alive="/health",
        settings=settings,
        command=(sys.executable, "-m", "bench.engine_peers", arguments, "{port}"),
    )


def llama_cpp_python(model: Path, *, cells: int, threads: int, gpu_layers: int) -> Peer:
    """llama-cpp-python's server: it keeps the last prompt, and lets nobody interrupt the one who is answered."""
    settings: dict[str, object] = {
        "n_ctx": cells,
        "n_batch": BATCH_TOKENS,
        "n_ubatch": BATCH_TOKENS,
        "n_threads": threads,
        "n_threads_batch": threads,
        "n_gpu_layers": gpu_layers,
        "flash_attn": True,
        "logits_all": False,
        "interrupt_requests": False,
        "verbose": False,
    }
    options = [part for key, value in settings.items() for part in (f"--{key}", str(value).lower())]
    start = (sys.executable, "-m", "llama_cpp.server", "--host", HOST, "--port", "{port}")
    return Peer(
        name="llama_cpp_python_server",
        alive="/v1/models",
        settings=settings,
        command=(*start, "--model", str(model), *options),
    )


@contextmanager
def started(peer: Peer) -> Iterator[str]:
    """The URL of the server while it runs.

    Raises:
        PeerError: it ended, or did not answer within ten minutes.
    """
    port = _free_port()
    url = f"http://{HOST}:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in peer.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            if not _answers(process, url + peer.alive):
                log.seek(0)
                said = log.read().decode(errors="replace")[-LOG_TAIL:]
                raise PeerError(f"{peer.name} did not start:\n{said}")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    limit = time.perf_counter() + START_SECONDS
    with httpx.Client(trust_env=False) as client:
        while process.poll() is None and time.perf_counter() < limit:
            try:
                if client.get(url).is_success:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(POLL_SECONDS)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def main(arguments: list[str]) -> int:
    """The child that is llama.cpp's server: settings as JSON, then the port. Runs until it is told to end."""
    import xllamacpp

    settings = json.loads(arguments[0])
    params = xllamacpp.CommonParams()
    params.model.path = settings.pop("model")
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.pop("threads")
    params.hostnames, params.port = [HOST], int(arguments[1])
    for key, value in settings.items():
        setattr(params, key, value)
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.pause()  # SIGTERM ends it
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
