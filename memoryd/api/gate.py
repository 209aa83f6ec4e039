"""The gate before every route: whose call it is, then its body, and no more of that than the daemon takes.

call ─▶ token? ─ no ─▶ 401      FastAPI would read the whole body first, a stranger's too
          └ yes ─▶ size? ─ too large ─▶ 413
                     └─▶ the route, with the user and the whole body
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from memoryd.api.problems import answer, problem_of
from memoryd.errors import MemorydError, TooLargeError, UnauthorizedError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from memoryd.daemon import Daemon

# What a load balancer or a supervisor asks, without a token.
OPEN = frozenset({"/health", "/ready"})


class Gate:
    """Middleware around the routes; leaves the user of the call in the request's state, on open routes too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses a call, or hands it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        daemon: Daemon = scope["app"].state.daemon
        headers = Headers(scope=scope)
        if scope["path"] in OPEN:
            # An open route reads no body, so nothing is read for it: a stranger's least of all.
            with suppress(UnauthorizedError):
                scope.setdefault("state", {})["user"] = daemon.users.of_token(_bearer(headers))
            await self._app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})["user"] = daemon.users.of_token(_bearer(headers))
            read = await _body(headers, receive, daemon.config.server.max_body_bytes)
        except MemorydError as error:
            await answer(problem_of(error, None))(scope, receive, send)
            return

        async def from_the_start() -> Message:
            return read.pop(0) if read else await receive()

        await self._app(scope, from_the_start, send)


async def _body(headers: Headers, receive: Receive, limit: int) -> list[Message]:
    """The messages that bring a body, to its end or to that of the connection.

    Raises:
        TooLargeError: it has, or says that it has, more bytes than the limit.
    """
    announced = headers.get("content-length", "")
    messages: list[Message] = []
    held, more = 0, True
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    while more:
        messages.append(await receive())
        held += len(messages[-1].get("body", b""))
        more = messages[-1].get("more_body", False)
        if held > limit:
            raise _too_large(limit)
    return messages


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"The call's body is larger than server.max_body_bytes ({limit}). Send a long conversation in several calls "
        "with the same id, or put its file into the memory folder."
    )


def _bearer(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
