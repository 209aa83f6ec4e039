"""What every route needs: the daemon behind the app, and the user whose token the call carries."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from memoryd.daemon import Daemon
from memoryd.users import User


def the_daemon(request: Request) -> Daemon:
    """The daemon that this app serves."""
    daemon: Daemon = request.app.state.daemon
    return daemon


def the_user(request: Request) -> User:
    """The user whose token the gate has seen."""
    user: User = request.state.user
    return user


DaemonOf = Annotated[Daemon, Depends(the_daemon)]
UserOf = Annotated[User, Depends(the_user)]
