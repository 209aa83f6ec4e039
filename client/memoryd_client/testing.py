"""A daemon of scripted answers on a real loopback port, for testing programs that use the client.

with FakeDaemon() as daemon:
    daemon.answer("GET /health", {"status": "ok"})
    assert Client(daemon.url).health()
assert daemon.requests[0].path == "/health"
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel

from memoryd_client.models import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

JSON = "application/json"
PROBLEM = "application/problem+json"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it arrived; `body` is its parsed JSON, or None."""

    method: str
    path: str
    query: str
    token: str
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scripted:
    status: int
    headers: dict[str, str]
    chunks: Iterable[bytes]


class FakeDaemon:
    """Answers each `METHOD /path` as it was told to, and 404 otherwise; a context manager.

    Attributes:
        url: its address.
        requests: what arrived so far.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self._script: dict[str, _Scripted] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="fake-daemon"
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, call: str, body: BaseModel | dict[str, Any], *, status: int = 200) -> None:
        """Scripts a JSON answer to `call`, for example `GET /api/status`."""
        self.raw(call, [_encoded(body)], content_type=JSON, status=status)

    def problem(self, call: str, problem: Problem, *, retry_after: int | None = None) -> None:
        """Scripts a problem document, with its own status."""
        self.raw(
            call,
            [_encoded(problem)],
            content_type=PROBLEM,
            status=problem.status,
            headers={} if retry_after is None else {"Retry-After": str(retry_after)},
        )

    def stream(self, call: str, events: Iterable[tuple[str, BaseModel | dict[str, Any]]]) -> None:
        """Scripts an event stream of (name, data); each event is sent when the iterable yields it."""
        frames = (b"event: %s\ndata: %s\n\n" % (name.encode(), _encoded(data)) for name, data in events)
        self.raw(call, frames, content_type=EVENTS)

    def raw(
        self,
        call: str,
        chunks: Iterable[bytes],
        *,
        content_type: str,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Scripts any bytes."""
        named = {"Content-Type": content_type, **(headers or {})}
        self._script[call] = _Scripted(status=status, headers=named, chunks=chunks)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                daemon.requests.append(
                    Received(
                        method=self.command,
                        path=parts.path,
                        query=parts.query,
                        token=self.headers.get("Authorization", "").removeprefix("Bearer "),
                        body=json.loads(body) if body else None,
                    )
                )
                scripted = daemon._script.get(f"{self.command} {parts.path}", _unknown(parts.path))
                self.send_response(scripted.status)
                for name, value in scripted.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(ConnectionError):  # the client left; that is what some tests are about
                    for chunk in scripted.chunks:
                        self.wfile.write(chunk)
                        self.wfile.flush()

            do_GET = do_POST = do_DELETE = handle_any  # noqa: N815  (http.server's names)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's name)
                """Says nothing; what arrived is in `requests`."""

        return Handler


def _encoded(body: BaseModel | dict[str, Any]) -> bytes:
    if isinstance(body, BaseModel):
        return body.model_dump_json().encode()
    return json.dumps(body, ensure_ascii=False).encode()


def _unknown(path: str) -> _Scripted:
    problem = Problem(
        title="Not found", status=404, detail=f"Nothing is scripted for {path}.", code="not_found"
    )
    return _Scripted(status=404, headers={"Content-Type": PROBLEM}, chunks=[_encoded(problem)])
