"""What every route needs: the daemon behind the app, and the user whose token the call carries."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from memoryd.daemon import Daemon
from memoryd.users import User


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


DaemonOf = Annotated[Daemon, Depends(the_daemon)]
UserOf = Annotated[User, Depends(the_user)]
