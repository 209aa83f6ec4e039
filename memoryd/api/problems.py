"""Errors as RFC 9457 problem documents with a stable `code`."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from memoryd.errors import (
    BusyError,
    ConfigError,
    EmbedderError,
    IndexUnavailableError,
    MemorydError,
    NotReadyError,
    ReplayError,
    StoreError,
)
from memoryd_client.models import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

    from memoryd.users import User

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# What loads takes a moment more; a model that is busy says itself when to come back.
RETRY_AFTER_S = 2.0
BROKEN = Problem(
    title="memoryd failed",
    status=HTTPStatus.INTERNAL_SERVER_ERROR,
    detail="Something in memoryd is broken; its log names it. Nothing that was saved is lost.",
    code="internal",
)


# Their sentences may name anybody's files, or count what everybody has.
TELLING = (ConfigError, StoreError, IndexUnavailableError, EmbedderError, ReplayError)
UNTOLD = "memoryd can't do this now. Try again in a moment; the origin sees why, in its log and status."


def problem_of(error: MemorydError, user: User | None) -> Problem:
    """An error of the tree as a problem document; a member is told less of what concerns everybody's memory."""
    telling = isinstance(error, TELLING) or type(error) is NotReadyError
    detail = UNTOLD if telling and user is not None and not user.is_origin else str(error)
    return Problem(title=error.title, status=error.status, detail=detail, code=error.code)


def add_problem_handlers(app: FastAPI) -> None:
    """Makes every error that leaves a route a problem document."""
    app.add_exception_handler(MemorydError, _on_memoryd_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)


def answer(problem: Problem, *, retry_after_s: float = RETRY_AFTER_S) -> JSONResponse:
    """A problem document as a response; with 503 goes when to try again, in whole seconds, rounded up."""
    headers: dict[str, str] = {}
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        problem.model_dump(), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers
    )


async def _on_memoryd_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, MemorydError):
        raise error
    after = error.retry_after_s if isinstance(error, BusyError) else RETRY_AFTER_S
    return answer(problem_of(error, getattr(request.state, "user", None)), retry_after_s=after)


async def _on_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    return answer(
        Problem(
            title="The request is not well-formed",
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
            detail=f"{where}: {str(first['msg']).removeprefix('Value error, ')}.",
            code="invalid_request",
        )
    )


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    detail = f"{request.method} {request.url.path}: {status.description or status.phrase}."
    return answer(Problem(title=status.phrase, status=status, detail=detail, code=status.name.lower()))


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer(BROKEN)
