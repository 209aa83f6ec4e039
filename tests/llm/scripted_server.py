"""An OpenAI-compatible server that does as a test tells it, on loopback."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Act = Callable[["Connection"], None]

MODELS = "/v1/models"
CHAT = "/v1/chat/completions"


class Connection(BaseHTTPRequestHandler):
    """One connection: reads the question, then acts."""

    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_GET(self) -> None:
        self.server.act(self, None)

    def do_POST(self) -> None:
        self.server.act(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Says nothing."""


class ScriptedServer(ThreadingHTTPServer):
    """Acts one act of a path's script a question, the last one again and again; keeps what it was asked.

    Attributes:
        asked: path, body and headers of each question.
        left: set once a client has gone away from `hang`.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Connection)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.scripts: dict[str, list[Act]] = {MODELS: [reply(cards("small"))]}
        self.asked: list[tuple[str, Any, Mapping[str, str]]] = []
        self.left = threading.Event()
        self.hanging = threading.Event()
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="scripted")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.hang_up()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """Ends every connection, as a server that stops does."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def act(self, connection: Connection, body: Any) -> None:
        self.asked.append((connection.path, body, dict(connection.headers)))
        script = self.scripts.get(connection.path, [reply({"detail": "Not Found"}, 404)])
        with contextlib.suppress(ConnectionError):
            (script.pop(0) if len(script) > 1 else script[0])(connection)

    def bodies(self, path: str = CHAT) -> list[Any]:
        return [body for asked, body, _ in self.asked if asked == path]


def cards(*names: str, **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, **more} for name in names]}


def reply(document: Any, status: int = 200, /, **headers: str) -> Act:
    """A whole JSON answer; headers as `Retry_After="3"`."""

    def act(connection: Connection) -> None:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        connection.send_response(status)
        connection.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            connection.send_header(name.replace("_", "-"), value)
        connection.end_headers()
        connection.wfile.write(data)

    return act


def chunk(text: str | None = None, *, finish: str | None = None, **delta: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}]}


def usage(prompt: int, completion: int, **details: int) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details}
    return {"choices": [], "usage": counts}


def stream(*events: Any, done: bool = True) -> Act:
    """A streamed answer, whole; without `done` it is cut in the middle."""

    def act(connection: Connection) -> None:
        _begin(connection)
        for event in events:
            _send(connection, event)
        if done:
            _send(connection, "[DONE]")
            connection.wfile.write(b"0\r\n\r\n")
        connection.close_connection = True

    return act


def hang(*events: Any, begun: bool = True) -> Act:
    """Some of an answer, then silence until the client goes away."""

    def act(connection: Connection) -> None:
        server = connection.server
        try:
            if begun:
                _begin(connection)
            for event in events:
                _send(connection, event)
            server.hanging.set()
            gone = connection.connection.recv(1) == b""
        except ConnectionError:  # it may go away between two events
            gone = True
        if gone:
            server.left.set()
        connection.close_connection = True

    return act


def endless(data: bytes, *, status: int = 200, pause_s: float = 0) -> Act:
    """The same bytes again and again, until the client goes away."""

    def act(connection: Connection) -> None:
        connection.send_response(status)
        connection.send_header("Content-Type", "text/event-stream")
        connection.end_headers()
        connection.close_connection = True
        while True:
            connection.wfile.write(data)
            time.sleep(pause_s)

    return act


def _begin(connection: Connection) -> None:
    connection.send_response(200)
    connection.send_header("Content-Type", "text/event-stream")
    connection.send_header("Transfer-Encoding", "chunked")
    connection.end_headers()


def _send(connection: Connection, event: Any) -> None:
    text = event if isinstance(event, str) else json.dumps(event)
    data = f"data: {text}\n\n".encode()
    connection.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
    connection.wfile.flush()
