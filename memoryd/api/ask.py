"""`POST /api/ask`: an answer with its memories, whole or as server-sent events.

event: recall {degraded, citations}   event: thought {text} …   event: token {text} …   event: done {the whole answer}
                                                                                        event: error {problem}

A client that goes away, streaming or not, stops the model at once; what was said until then is kept.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from memoryd.api.asking import Asking
from memoryd.api.dependencies import DaemonOf, UserOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.api.problems import BROKEN, problem_of
from memoryd.api.views import citations, degraded, unread_files
from memoryd.echo_brain import Answer, Question, Recalled, Thought, Token
from memoryd.errors import MemorydError
from memoryd_client.models import AskAnswer, AskRequest, Explanation, ForgetProposal, Problem, Timings
from memoryd_client.models import PromptReport as PromptReportView

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from memoryd.echo_brain import Event
    from memoryd.prompt import PromptReport
    from memoryd.users import User

log = logging.getLogger(__name__)
router = APIRouter()


@router.post("/api/ask", response_model=AskAnswer)
async def ask(
    request: AskRequest, daemon: DaemonOf, user: UserOf, call: Request
) -> AskAnswer | StreamingResponse:
    """Answers a question; the exchange is on disk before the answer is given."""
    # Before it is answered: the exchange itself becomes a file.
    unread = await run_in_threadpool(unread_files, daemon, user)
    question = Question(
        user=user,
        text=request.question,
        model=request.model,
        conversation_id=request.conversation_id,
        owners=user.narrowed(request.of),
        max_tokens=request.max_tokens,
        deadline_s=request.deadline_s,
        explain=request.explain,
        cancelled=(cancelled := threading.Event()),
    )
    asking = Asking(
        lambda: daemon.memory.brain.ask(question),
        cancelled=cancelled,
        receive=call.receive,
        threads=call.app.state.ask_threads,
    )
    streaming = False
    try:
        if request.stream:
            # The first event comes before the response does, so that an error before it is a plain problem document.
            response = _EventStream(asking, await anext(asking), user, unread)
            streaming = True
            return response
        (answer,) = [event async for event in asking if isinstance(event, Answer)]
        return _answer(answer, user, unread)
    finally:
        if not streaming:
            await asking.end()


class _EventStream(StreamingResponse):
    """Server-sent events, each sent when it comes."""

    def __init__(self, asking: Asking, first: Event, user: User, unread: int) -> None:
        super().__init__(
            _stream(first, asking, user, unread),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache"},
        )
        self._asking = asking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (the base's)
        try:
            with suppress(OSError):  # how some servers say that the client is gone
                await self.stream_response(send)
        finally:
            await self._asking.end()


async def _stream(first: Event, rest: Asking, user: User, unread: int) -> AsyncIterator[str]:
    yield _server_sent(first, user, unread)
    try:
        async for event in rest:
            yield _server_sent(event, user, unread)
    except MemorydError as error:
        yield _error(problem_of(error, user))
    except Exception:  # the request's boundary: a stream that has begun can only say so in itself
        log.exception("an answer broke off")
        yield _error(BROKEN)


def _error(problem: Problem) -> str:
    return f"event: error\ndata: {problem.model_dump_json()}\n\n"


def _server_sent(event: Event, user: User, unread: int) -> str:
    if isinstance(event, Token | Thought):
        name = "token" if isinstance(event, Token) else "thought"
        data = json.dumps({"text": event.text}, ensure_ascii=False)
    elif isinstance(event, Recalled):
        found = [each.model_dump(mode="json") for each in citations(event.hits)]
        name, data = (
            "recall",
            json.dumps({"degraded": degraded(event.degraded, user), "citations": found}, ensure_ascii=False),
        )
    else:
        name, data = "done", _answer(event, user, unread).model_dump_json()
    return f"event: {name}\ndata: {data}\n\n"


def _answer(event: Answer, user: User, unread: int) -> AskAnswer:
    return AskAnswer(
        answer=event.text,
        thought=event.thought,
        finish=event.finish.value if event.finish else None,
        model=event.model,
        conversation_id=event.conversation_id,
        identity_version=event.identity_version,
        degraded=degraded(event.degraded, user),
        unread_files=unread,
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
        proposed=[ForgetProposal.model_validate(each, from_attributes=True) for each in event.proposed],
        explain=_explanation(event.report),
    )


def _explanation(report: PromptReport | None) -> Explanation | None:
    if report is None:
        return None
    return Explanation(prompt_report=PromptReportView.model_validate(report, from_attributes=True))
