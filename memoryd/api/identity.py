"""The identity in force, its versions, and the replay that makes them."""

from __future__ import annotations

import logging
import threading
from typing import Annotated

from fastapi import APIRouter, Path

from memoryd.api.dependencies import DaemonOf, OriginOf, UserOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.api.views import identity_view, replay_view
from memoryd.errors import MemorydError, NotFoundError, NotReadyError
from memoryd_client.models import IdentityView, ReplayList, ReplayRequest, ReplayView

log = logging.getLogger(__name__)
router = APIRouter()
Version = Annotated[int, Path(ge=0, le=2**63 - 1)]


@router.get("/api/identity")
def identity(daemon: DaemonOf, _user: UserOf) -> IdentityView:
    """The identity in force."""
    latest = daemon.loop.identity()
    if latest is None:
        raise NotReadyError("The first replay has not ended yet; try again in a moment.")
    return identity_view(latest, daemon)


@router.get("/api/identity/{version}")
def identity_version(
    version: Annotated[int, Path(ge=0, le=2**63 - 1)], daemon: DaemonOf, _user: UserOf
) -> IdentityView:
    """One version; its text never changes."""
    row = daemon.ledger.identities.get(version)
    if row is None:
        latest = daemon.loop.identity()
        raise NotFoundError(
            f"There is no identity {version}; the newest is {latest.version if latest else 0}."
        )
    return identity_view(row, daemon)


@router.post("/api/replay")
def replay(daemon: DaemonOf, origin: OriginOf, request: ReplayRequest | None = None) -> ReplayView:
    """Replays now. Without `wait` it answers at once with the replay that has begun."""
    loop = daemon.loop
    if request is None or request.wait:
        return replay_view(loop.replay("request"), origin)

    if (under_way := loop.running()) is not None:
        return replay_view(under_way, origin)

    def in_background() -> None:
        try:
            loop.replay("request")
        except MemorydError:
            log.exception("the replay that was asked for failed")

    threading.Thread(target=in_background, name="replay", daemon=True).start()
    return ReplayView(
        state="running",
        trigger="request",
        started_at=daemon.clock.now(),
        seconds=0.0,
        turns=0,
        kept=0,
        changed=False,
        identity_version=None,
        digest=None,
    )


@router.get("/api/replays")
def replays(daemon: DaemonOf, user: UserOf) -> ReplayList:
    """The last replays, newest first, with the one under way."""
    rows = daemon.ledger.identities.replays()
    running = daemon.loop.running()
    return ReplayList(replays=[replay_view(row, user) for row in ([running] if running else []) + rows])
