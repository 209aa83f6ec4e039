"""`memoryd run`: the port first. It answers while the app, which takes far longer to import, comes in behind it.

configuration ─▶ lock, users ─▶ port ─▶ early answers ∥ the app is imported ─▶ the app has the port

An early answer needs no token and tells nothing but that the process is alive, and that all else has to wait.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from memoryd.config import load_config
from memoryd.errors import ConfigError, NotReadyError
from memoryd.state_lock import lock_state
from memoryd.users import Users

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path
    from typing import Any

# How long an early connection may last, whatever comes on it.
LASTS_S = 2.0
PIECE_BYTES = 2**16
RETRY_AFTER_S = 1
COMING_UP = "memoryd is coming up; try again in a moment."


def run(config_path: Path | None) -> int:
    """Runs the daemon until it is told to stop.

    Returns:
        The exit code.

    Raises:
        ConfigError: the configuration is wrong, or the address is taken.
        AlreadyRunningError: another daemon owns the state folder.
        StoreError: the state folder can't be written, or who the users are can't be read.
    """
    config = load_config(config_path).config
    with lock_state(config.paths.state) as lock:
        # Who finds the port open finds the token made.
        users = Users(config.paths.manifest, config.paths.state)
        with _listen(config.server.host, config.server.port) as listener:
            with _early_answers(listener):
                from memoryd.api.server import create_app, prepare
                from memoryd.daemon import Daemon

                server = prepare(create_app(Daemon(config, lock=lock, users=users)))
            server.run(sockets=[listener])
    return 0 if server.started else 1


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"server.host and server.port: {host}:{port} can't be listened on: {error.strerror}. "
            "Stop what uses it, or set MEMORYD_SERVER__PORT to another port."
        ) from error


@contextmanager
def _early_answers(listener: socket.socket) -> Iterator[None]:
    """Answers whoever connects while the block runs, on a thread; who connects after it waits for the app.

    The thread ends with its last connection, at most `LASTS_S` later.
    """
    loop = asyncio.new_event_loop()

    def work() -> None:
        loop.run_forever()
        loop.close()

    def do(step: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(step, loop).result()

    threading.Thread(target=work, name="early answers", daemon=True).start()
    # A copy, because asyncio closes what it accepted on.
    server = do(asyncio.start_server(_answer, sock=listener.dup()))
    try:
        yield
    finally:
        do(_leave(server))
        asyncio.run_coroutine_threadsafe(_end(), loop)


async def _leave(server: asyncio.Server) -> None:
    """Accepts nobody any more."""
    server.close()


async def _end() -> None:
    """Ends the loop after its last connection."""
    while connections := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(connections)
    asyncio.get_running_loop().stop()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, one answer."""
    # Who leaves, says nothing or never comes to the end of a header is let go without one.
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(LASTS_S):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(_answer_to(head))
            writer.write_eof()
            # A connection that is closed on unread bytes may take the answer back.
            while await reader.read(PIECE_BYTES):
                pass
    writer.close()


def _answer_to(head: bytes) -> bytes:
    """What `/health` and `/ready` say, and for all else a problem document (RFC 9457), in the app's own shapes."""
    words = head.split(maxsplit=2)
    path = words[1].partition(b"?")[0] if len(words) > 1 else b""
    status, kind = HTTPStatus(NotReadyError.status), "application/json"
    body: dict[str, object]
    if path == b"/health":
        status = HTTPStatus.OK
        body = {"status": "ok"}
    elif path == b"/ready":
        part = {"name": "daemon", "state": "loading", "detail": COMING_UP}
        body = {"ready": False, "parts": [part], "models": []}
    else:
        kind = "application/problem+json"
        body = {
            "type": "about:blank",
            "title": NotReadyError.title,
            "status": status,
            "detail": COMING_UP,
            "code": NotReadyError.code,
        }
    content = json.dumps(body).encode()
    again = "" if status == HTTPStatus.OK else f"Retry-After: {RETRY_AFTER_S}\r\n"
    return (
        f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        f"{again}Connection: close\r\n\r\n"
    ).encode() + content
