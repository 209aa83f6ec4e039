"""`/api/rebuild`: everything derived, made again. `/api/verify`: whether it is as the files say. The origin's both."""

from __future__ import annotations

import time

from fastapi import APIRouter

from memoryd.api.dependencies import DaemonOf, OriginOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd_client.models import DifferenceView, RebuildRequest, Rebuilt, Verified, VerifyRequest

MOST_DIFFERENCES = 1000

router = APIRouter()


@router.post("/api/rebuild")
def rebuild(daemon: DaemonOf, _origin: OriginOf, request: RebuildRequest | None = None) -> Rebuilt:
    """Reads every file again and fills a new generation of the index; recall goes on meanwhile, degraded."""
    generation = daemon.rebuild(embed=request is not None and request.embed)
    totals = daemon.ledger.files.totals()
    return Rebuilt(
        files=totals.files,
        passages=totals.passages,
        generation=generation,
    )


@router.post("/api/verify")
def verify(daemon: DaemonOf, _origin: OriginOf, request: VerifyRequest | None = None) -> Verified:
    """Compares everything derived with the files, and changes nothing; answers when it is through."""
    begun = time.perf_counter()
    report = daemon.memory.verifier.run(full=request is not None and request.full)
    shown = report.differences[:MOST_DIFFERENCES]
    return Verified(
        full=report.full,
        seconds=round(time.perf_counter() - begun, 3),
        files=report.files,
        refused=report.refused,
        turns=report.turns,
        passages=report.passages,
        words=report.words,
        vectors=report.vectors,
        index_ids=report.index_ids,
        index_vectors=report.index_vectors,
        waiting=report.waiting,
        differences=[DifferenceView.model_validate(each, from_attributes=True) for each in shown],
        more=len(report.differences) - len(shown),
    )
