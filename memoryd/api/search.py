"""`POST /api/search`: passages, best first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from memoryd.api.dependencies import DaemonOf, UserOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.api.views import citations, degraded, search_timings, unread_files
from memoryd.recall import Filter
from memoryd_client.models import SearchAnswer, SearchRequest

if TYPE_CHECKING:
    from datetime import datetime

router = APIRouter()


@router.post("/api/search")
def search(request: SearchRequest, daemon: DaemonOf, user: UserOf) -> SearchAnswer:
    """Finds what was said; filters only by what the caller names."""
    unread = unread_files(daemon, user)
    found = daemon.memory.recall.search(
        request.query,
        owners=user.narrowed(request.of),
        k=request.k,
        only=Filter(since=_aware(request.since), until=_aware(request.until), speaker=request.speaker),
        now=_aware(request.now),
    )
    return SearchAnswer(
        degraded=degraded(found.degraded, user),
        unread_files=unread,
        hits=citations(found.hits, explain=request.explain),
        dates=list(found.dates),
        timings=search_timings(found.timings),
    )


def _aware(moment: datetime | None) -> datetime | None:
    """A time without a zone is in the machine's."""
    return moment.astimezone() if moment is not None and moment.tzinfo is None else moment
