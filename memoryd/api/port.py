"""`memoryd run`: the port first. It answers while the app, which takes far longer to import, comes in behind it.

configuration ─▶ lock, users ─▶ port ─▶ a doorkeeper answers ∥ the app is imported ─▶ the app has the port
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from memoryd.config import load_config
from memoryd.errors import ConfigError, NotReadyError
from memoryd.state_lock import lock_state
from memoryd.users import Users

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# How long the doorkeeper waits for the rest of a request, and how soon it sees that it is relieved.
REQUEST_S = 2.0
RELIEVED_S = 0.01
# What it reads of a body before it answers: a connection that closes on unread bytes may lose the answer.
BODY_BYTES = 2**20
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
    # uvicorn stops at SIGTERM and then sends it to itself again; to have been told to stop is no failure.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    with lock_state(config.paths.state) as lock:
        # Who finds the port open finds the token made.
        users = Users(config.paths.manifest, config.paths.state)
        with _listen(config.server.host, config.server.port) as listener:
            with _doorkeeper(listener):
                from memoryd.api.server import create_app, serve
                from memoryd.daemon import Daemon

                app = create_app(Daemon(config, lock=lock, users=users))
            return serve(app, listener)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"server.host and server.port: {host}:{port} can't be listened on: {error.strerror}. "
            "Stop what uses it, or set MEMORYD_SERVER__PORT to another port."
        ) from error


@contextmanager
def _doorkeeper(listener: socket.socket) -> Iterator[None]:
    """Answers at a listening socket while the block runs; who comes in between waits for whoever has it next."""
    doorkeeper = _Doorkeeper(listener)
    thread = threading.Thread(
        target=doorkeeper.serve_forever, args=(RELIEVED_S,), name="doorkeeper", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        doorkeeper.shutdown()
        thread.join()


class _Doorkeeper(ThreadingHTTPServer):
    """Every request on a thread of its own, so that one that says nothing holds up no other."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), _Answers, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who left before the answer is not worth a traceback."""


class _Answers(BaseHTTPRequestHandler):
    """`/health`: alive. All else: not yet, in the words that the app has for it."""

    timeout = REQUEST_S

    def do_GET(self) -> None:
        """Says how it is."""
        path = self.path.partition("?")[0]
        if path == "/health":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif path == "/ready":
            part = {"name": "daemon", "state": "loading", "detail": COMING_UP}
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"ready": False, "parts": [part], "models": []})
        else:
            self.not_yet()

    def not_yet(self) -> None:
        """A problem document (RFC 9457), as the app's are."""
        length = self.headers.get("Content-Length", "")
        self.rfile.read(min(int(length), BODY_BYTES) if length.isdecimal() else 0)
        status = HTTPStatus(NotReadyError.status)
        problem = {
            "type": "about:blank",
            "title": NotReadyError.title,
            "status": status,
            "detail": COMING_UP,
            "code": NotReadyError.code,
        }
        self._answer(status, problem, kind="application/problem+json")

    do_POST = do_DELETE = not_yet  # noqa: N815  (http.server's names)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's name)
        """Requests are not logged, here as in the app."""

    def _answer(self, status: HTTPStatus, body: dict[str, Any], *, kind: str = "application/json") -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(content)
