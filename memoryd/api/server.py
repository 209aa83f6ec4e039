"""The app, and what serves it: `memoryd run` by way of `port`, or `uvicorn memoryd.api.server:app`.

create_app() ── lifespan: Daemon ─▶ port ─▶ Daemon.start() … Daemon.stop()
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from memoryd import __version__
from memoryd.api import ask, conversations, health, identity, search, status, users, verify
from memoryd.api.asking import ask_threads
from memoryd.api.gate import Gate
from memoryd.api.problems import add_problem_handlers
from memoryd.config import load_config
from memoryd.daemon import Daemon
from memoryd.logs import setup_logging

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

# The heavy imports behind the port would keep the app's first answer waiting; they begin so much later.
HEAD_START_S = 0.1
# How long an answer that is being streamed may go on after the daemon was told to stop.
GRACE_S = 5


def create_app(daemon: Daemon | None = None) -> FastAPI:
    """The app over a daemon; without one it makes its own, configured as `memoryd run` is without options."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        served = daemon or Daemon(load_config().config)
        setup_logging(served.config.log.level, served.config.paths.state / "logs")
        app.state.daemon = served
        app.state.ask_threads = ask_threads(served.config)
        asyncio.get_running_loop().call_later(HEAD_START_S, served.start)
        try:
            yield
        finally:
            await asyncio.to_thread(served.stop)

    app = FastAPI(
        title="memoryd",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(Gate)
    add_problem_handlers(app)
    for part in (health, ask, search, conversations, identity, status, users, verify):
        app.include_router(part.router)
    return app


def __getattr__(name: str) -> FastAPI:
    """`app`, made when `uvicorn memoryd.api.server:app` asks for it."""
    if name == "app":
        return create_app()
    raise AttributeError(name)


class _Server(uvicorn.Server):
    """Says that it listens: to systemd, and on the screen."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            notify_systemd("READY=1")
            _greet(self.servers[0].sockets[0].getsockname())


def prepare(app: FastAPI) -> uvicorn.Server:
    """What serves the app at a socket, with all that it needs imported."""
    settings = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_S,
    )
    settings.load()
    return _Server(settings)


def notify_systemd(state: str) -> None:
    """Tells a `Type=notify` unit how things stand (sd_notify(3)); nothing where there is no systemd."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        # An abstract socket's name begins with a zero byte, which systemd writes as @.
        notifier.connect("\0" + address[1:] if address.startswith("@") else address)
        notifier.sendall(state.encode())


def _greet(address: Sequence[object]) -> None:
    command = Path(sys.argv[0])
    shown = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command.name
    # Where the output goes to a file on a full disk, nobody is greeted, and the daemon comes up all the same.
    with suppress(OSError):
        sys.stdout.write(
            f"memoryd listens on http://{address[0]}:{address[1]}. Memory and models load behind it.\n"
            f'In another window:  {shown} status    {shown} ask "보리 예방접종은 언제야?"\n'
        )
        sys.stdout.flush()
