"""`POST /api/ask`: an answer with its memories, whole or as server-sent events.

event: recall {degraded, citations}   event: token {text}   …   event: done {the whole answer}
                                                                event: error {problem}
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from memoryd.api.dependencies import DaemonOf, UserOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.api.problems import BROKEN, problem_of
from memoryd.api.views import citations
from memoryd.echo_brain import Answer, Question, Recalled, Token
from memoryd.errors import MemorydError
from memoryd_client.models import AskAnswer, AskRequest, Problem, Timings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from starlette.types import Receive, Scope, Send

    from memoryd.echo_brain import Event

log = logging.getLogger(__name__)
router = APIRouter()


@router.post("/api/ask", response_model=AskAnswer)
def ask(request: AskRequest, daemon: DaemonOf, user: UserOf) -> AskAnswer | StreamingResponse:
    """Answers a question; the exchange is on disk before the answer is given."""
    events = daemon.memory.brain.ask(
        Question(
            user=user,
            text=request.question,
            model=request.model,
            conversation_id=request.conversation_id,
            max_tokens=request.max_tokens,
        )
    )
    if not request.stream:
        return next(_answer(event) for event in events if isinstance(event, Answer))
    # The first event comes before the response does, so that an error before it is a plain problem document.
    first = next(events)
    return _EventStream(_stream(first, events))


class _EventStream(StreamingResponse):
    """Server-sent events. A client that goes away stops the model at once, not when Python collects the stream."""

    def __init__(self, events: Generator[str, None, None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.shield(asyncio.to_thread(self._events.close))


def _stream(first: Event, rest: Iterator[Event]) -> Generator[str, None, None]:
    yield _server_sent(first)
    try:
        for event in rest:
            yield _server_sent(event)
    except MemorydError as error:
        yield _error(problem_of(error))
    except Exception:  # the request's boundary: a stream that has begun can only say so in itself
        log.exception("an answer broke off")
        yield _error(BROKEN)
    finally:
        # A client that goes away closes this generator; closing the next one stops the model.
        rest.close()  # type: ignore[attr-defined]


def _error(problem: Problem) -> str:
    return f"event: error\ndata: {problem.model_dump_json()}\n\n"


def _server_sent(event: Event) -> str:
    if isinstance(event, Token):
        name, data = "token", json.dumps({"text": event.text}, ensure_ascii=False)
    elif isinstance(event, Recalled):
        found = [each.model_dump(mode="json") for each in citations(event.hits)]
        name, data = (
            "recall",
            json.dumps({"degraded": event.degraded, "citations": found}, ensure_ascii=False),
        )
    else:
        name, data = "done", _answer(event).model_dump_json()
    return f"event: {name}\ndata: {data}\n\n"


def _answer(event: Answer) -> AskAnswer:
    return AskAnswer(
        answer=event.text,
        model=event.model,
        conversation_id=event.conversation_id,
        identity_version=event.identity_version,
        degraded=event.degraded,
        note=event.note,
        saved=event.saved,
        citations=citations(event.hits),
        timings=Timings(
            recall_ms=round(event.recall_ms, 1),
            first_token_ms=round(event.first_token_ms, 1),
            total_ms=round(event.total_ms, 1),
            prompt_tokens=event.usage.prompt_tokens,
            cached_tokens=event.usage.cached_tokens,
            completion_tokens=event.usage.completion_tokens,
        ),
    )
