"""What every route needs: the daemon behind the app, and the user whose token the call carries."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from memoryd.daemon import Daemon
from memoryd.users import User

# What a member is told that only the origin may do.
WHAT = {
    ("POST", "/api/replay"): "replay now",
    ("POST", "/api/identity/{version}/restore"): "restore an identity",
    ("POST", "/api/rebuild"): "rebuild",
    ("POST", "/api/verify"): "verify",
    ("GET", "/api/users"): "list the users",
    ("POST", "/api/users"): "add a user",
    ("DELETE", "/api/users/{user_id}"): "remove a user",
    ("POST", "/api/users/{user_id}/rotate"): "give a user another token",
}


async def the_daemon(request: Request) -> Daemon:
    """The daemon that this app serves.

    Asynchronous, like `the_user`, so that no call waits for a thread before it begins.
    """
    daemon: Daemon = request.app.state.daemon
    return daemon


async def the_user(request: Request) -> User:
    """The user whose token the gate has seen."""
    user: User = request.state.user
    return user


async def the_origin(request: Request) -> User:
    """The user whose token the gate has seen, who is the origin.

    Raises:
        ForbiddenError: it is a member.
    """
    user: User = request.state.user
    user.must_be_origin(WHAT.get((request.method, request.scope["route"].path), "do this"))
    return user


async def maybe_a_user(request: Request) -> User | None:
    """The user of a call to an open route, where it brought a token."""
    return getattr(request.state, "user", None)


DaemonOf = Annotated[Daemon, Depends(the_daemon)]
UserOf = Annotated[User, Depends(the_user)]
MaybeUserOf = Annotated[User | None, Depends(maybe_a_user)]
OriginOf = Annotated[User, Depends(the_origin)]
