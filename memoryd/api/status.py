"""`/api/status`: everything at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from memoryd import __version__
from memoryd.api.dependencies import DaemonOf, UserOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.api.views import mood_views, ready_view
from memoryd.errors import NotReadyError
from memoryd_client.models import Counts, MoodView, Status

if TYPE_CHECKING:
    from memoryd.daemon import Daemon
    from memoryd.users import User

router = APIRouter()


@router.get("/api/status")
def status(daemon: DaemonOf, user: UserOf) -> Status:
    """Parts, models, counts."""
    totals = daemon.ledger.files.totals()
    identity = daemon.loop.identity()
    return Status(
        version=__version__,
        user=user.id,
        uptime_s=round(daemon.clock.monotonic() - daemon.began, 1),
        identity_version=identity.version if identity else 0,
        embedder=_embedder(daemon),
        memory=str(daemon.config.paths.memory),
        state=str(daemon.config.paths.state),
        last_day=totals.last_time.date() if totals.last_time else None,
        counts=Counts(
            files_indexed=totals.indexed,
            files_skipped=totals.skipped,
            files_quarantined=totals.quarantined,
            conversations=totals.conversations,
            turns=totals.turns,
            passages=totals.passages,
            vectors=daemon.ledger.vectors.count(),
            embedded_texts=daemon.ledger.vectors.embedded_texts(),
            outbox=daemon.ledger.outbox.count(),
            waiting_files=_waiting(daemon),
        ),
        ready=ready_view(daemon),
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


def _waiting(daemon: Daemon) -> int:
    """Files yet to be read; before the first scan has begun, all of those that the ledger knows."""
    try:
        watcher = daemon.memory.watcher
    except NotReadyError:
        return max(1, daemon.ledger.files.totals().indexed)
    return watcher.waiting() if watcher.scanned else 1
