"""`/health`: alive. `/ready`: what is still missing. Neither needs a token, neither waits."""

from __future__ import annotations

from fastapi import APIRouter, Response, status

from memoryd.api.dependencies import DaemonOf, MaybeUserOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.api.views import ready_view
from memoryd_client.models import Ready  # noqa: TC001

router = APIRouter()


@router.get("/health")
async def health() -> dict[str, str]:
    """200 as soon as the port is open."""
    return {"status": "ok"}


@router.get("/ready")
def ready(daemon: DaemonOf, user: MaybeUserOf, response: Response) -> Ready:
    """200 when a question can be answered, else 503; the same body either way. The origin hears why."""
    view = ready_view(daemon, user)
    response.status_code = status.HTTP_200_OK if view.ready else status.HTTP_503_SERVICE_UNAVAILABLE
    return view
