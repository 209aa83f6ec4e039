"""`/api/users`: who there is, who comes and who goes. The origin's alone."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, status

from memoryd.api.dependencies import DaemonOf, OriginOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.users import MOST_USERS
from memoryd_client.models import NewUser, RemovedUser, UserList, UserToken, UserView

router = APIRouter()


@router.get("/api/users")
def users(daemon: DaemonOf, _origin: OriginOf) -> UserList:
    """The users, and those who were users and whose folders are still theirs."""
    known = daemon.users
    members = known.members
    return UserList(
        users=[
            UserView(id=known.origin.id, role="origin", since=None),
            *[UserView(id=each.id, role="member", since=each.since) for each in members],
            *[UserView(id=each, role="former", since=None) for each in known.former],
        ],
        free=MOST_USERS - 1 - len(members),
    )


@router.post("/api/users", status_code=status.HTTP_201_CREATED)
def add_user(request: NewUser, daemon: DaemonOf, _origin: OriginOf) -> UserToken:
    """Makes a member; the token in the answer is kept nowhere and never shown again."""
    added = daemon.people.add(request.name, returning=request.returning)
    return UserToken(id=added.user.id, role="member", token=added.token, files=len(added.files))


@router.delete("/api/users/{user_id}")
def remove_user(user_id: str, daemon: DaemonOf, _origin: OriginOf) -> RemovedUser:
    """Takes a member's token away; their files stay where they are, for the origin alone to see."""
    user = daemon.users.remove(user_id)
    return RemovedUser(id=user, files=daemon.ledger.files.totals((user,)).files)


@router.post("/api/users/{user_id}/rotate")
def rotate_token(user_id: str, daemon: DaemonOf, _origin: OriginOf) -> UserToken:
    """Another token for a user; the old one is nobody's from now on."""
    user, token = daemon.users.rotate(user_id)
    role: Literal["origin", "member"] = "origin" if user == daemon.users.origin.id else "member"
    return UserToken(id=user, role=role, token=token, files=0)
