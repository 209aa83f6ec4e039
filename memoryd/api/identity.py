"""The identity in force, its versions, and the replay that makes them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query

from memoryd.api.dependencies import DaemonOf, OriginOf, UserOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.api.views import identity_view, replay_view
from memoryd.errors import MemorydError, NotFoundError, NotReadyError
from memoryd.ledger.files import ERASED_LINE
from memoryd_client.identity_models import (
    IdentityDiff,
    IdentityList,
    IdentitySummary,
    IdentityView,
    ReplayList,
    ReplayRequest,
    ReplayView,
    Restored,
)

if TYPE_CHECKING:
    from memoryd.daemon import Daemon
    from memoryd.ledger import IdentityRow

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


@router.get("/api/identities")
def identities(daemon: DaemonOf, _origin: OriginOf) -> IdentityList:
    """Every version, newest first."""
    rows = daemon.ledger.identities.all()
    return IdentityList(
        identities=[IdentitySummary.model_validate(row, from_attributes=True) for row in rows]
    )


# Before the route that takes a number.
@router.get("/api/identity/diff")
def identity_diff(
    daemon: DaemonOf,
    _origin: OriginOf,
    before: Annotated[int | None, Query(alias="from", ge=0, le=2**63 - 1)] = None,
    now: Annotated[int | None, Query(alias="to", ge=0, le=2**63 - 1)] = None,
) -> IdentityDiff:
    """What makes one version (the newest) another than one before it (the last one before)."""
    # Brings numpy in, which the port does not wait for.
    from memoryd.identity_diff import difference

    newer = _version(daemon, now) if now is not None else daemon.loop.identity()
    if newer is None:
        raise NotReadyError("The first replay has not ended yet; try again in a moment.")
    if before is None:
        before = daemon.ledger.identities.before(newer.version)
    if before is None:
        raise NotFoundError(f"Identity {newer.version} is the first; there is none before it.")
    return IdentityDiff.model_validate(difference(_version(daemon, before), newer), from_attributes=True)


@router.get("/api/identity/{version}")
def identity_version(version: Version, daemon: DaemonOf, user: UserOf) -> IdentityView:
    """One version; its text never changes. An earlier one may tell what is a member's own now: it is the origin's."""
    latest = daemon.loop.identity()
    if latest is None or version != latest.version:
        user.must_be_origin("read an identity that is not in force")
    return identity_view(_version(daemon, version), daemon)


@router.post("/api/identity/{version}/restore")
def restore(version: Version, daemon: DaemonOf, _origin: OriginOf) -> Restored:
    """Has what an earlier version told be in force again, as a new version."""
    # Without its embedder the digest would be of other inputs than the next replay's.
    _ = daemon.memory
    erased = _version(daemon, version).text.count(ERASED_LINE)
    row = daemon.loop.restore(version)
    note = (
        f"Identity {row.version} tells what identity {version} told. A replay of unchanged memories leaves it in "
        "force; the next new memory, or a changed manifest, makes a new identity."
    )
    if erased:
        note += f" {erased} lines that an erasure took out of it stay out."
    return Restored(identity=identity_view(row, daemon), note=note)


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

    # Before the replay's own moment: who waits for it looks for one that began no earlier than this.
    asked_at = daemon.clock.now()
    threading.Thread(target=in_background, name="replay", daemon=True).start()
    return ReplayView(
        state="running",
        trigger="request",
        started_at=asked_at,
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


def _version(daemon: Daemon, version: int) -> IdentityRow:
    row = daemon.ledger.identities.get(version)
    if row is None:
        latest = daemon.loop.identity()
        raise NotFoundError(
            f"There is no identity {version}; the newest is {latest.version if latest else 0}."
        )
    return row
