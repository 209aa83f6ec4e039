"""What every route needs: the daemon behind the app, and the user whose token the call carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from memoryd.daemon import Daemon
from memoryd.users import User

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


def the_daemon(request: Request) -> Daemon:
    """The daemon that this app serves."""
    daemon: Daemon = request.app.state.daemon
    return daemon


def the_user(request: Request) -> User:
    """The user of the bearer token.

    Raises:
        UnauthorizedError: no token, or nobody's.
    """
    return the_daemon(request).users.of_token(_bearer(request))


def _bearer(request: HTTPConnection) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


DaemonOf = Annotated[Daemon, Depends(the_daemon)]
UserOf = Annotated[User, Depends(the_user)]
