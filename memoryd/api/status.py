"""`/api/status`: everything at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from memoryd import __version__
from memoryd.api.dependencies import DaemonOf, UserOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.api.views import mood_views, ready_view, seen
from memoryd.errors import NotReadyError
from memoryd_client.models import Counts, MoodView, Status

if TYPE_CHECKING:
    from memoryd.daemon import Daemon
    from memoryd.users import User

router = APIRouter()


@router.get("/api/status")
def status(daemon: DaemonOf, user: UserOf) -> Status:
    """Parts, models, counts: of all that there is for the origin, of what they may see for a member."""
    owners = None if user.is_origin else user.owners
    totals = daemon.ledger.files.totals(owners)
    identity = daemon.loop.identity()
    return Status(
        version=__version__,
        user=user.id,
        uptime_s=round(daemon.clock.monotonic() - daemon.began, 1),
        identity_version=identity.version if identity else 0,
        embedder=_embedder(daemon),
        memory=str(daemon.config.paths.memory) if user.is_origin else "",
        state=str(daemon.config.paths.state) if user.is_origin else "",
        last_day=totals.last_time.date() if totals.last_time else None,
        counts=Counts(
            files_indexed=totals.indexed,
            files_skipped=totals.skipped,
            files_quarantined=totals.quarantined,
            conversations=totals.conversations,
            turns=totals.turns,
            passages=totals.passages,
            vectors=(vectors := daemon.ledger.vectors.count(owners)),
            embedded_texts=daemon.ledger.vectors.embedded_texts() if user.is_origin else vectors,
            outbox=daemon.ledger.outbox.count(owners),
            waiting_files=_waiting(daemon, user),
        ),
        ready=ready_view(daemon, user),
        moods=_moods(daemon, user),
    )


def _embedder(daemon: Daemon) -> str:
    try:
        return daemon.memory.embedder.id
    except NotReadyError:
        return ""


def _moods(daemon: Daemon, user: User) -> list[MoodView]:
    """From what this user may see; none while the memory is being opened."""
    try:
        return mood_views(daemon.memory.moods.of(user))
    except NotReadyError:
        return []


def _waiting(daemon: Daemon, user: User) -> int:
    """Files that the user may see and that are yet to be read; before the first scan, all that the ledger knows."""
    try:
        watcher = daemon.memory.watcher
    except NotReadyError:
        return max(1, daemon.ledger.files.totals(user.owners).indexed)
    if not watcher.scanned:
        return 1
    return seen(daemon, user, watcher.pending())
