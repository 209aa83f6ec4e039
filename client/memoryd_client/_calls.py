"""Every call of the HTTP interface, described once; the two clients only carry it out.

ask(…) ──▶ Call ──request()──▶ httpx.Request ──(a client sends it)──▶ httpx.Response ──answer()──▶ AskAnswer
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from memoryd_client import identity_models as i
from memoryd_client import models as m
from memoryd_client._errors import (
    ConnectFailedError,
    ConnectionLostError,
    InvalidRequestError,
    ProblemError,
    UnexpectedAnswerError,
    problem_error,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

CONNECT_SECONDS = 5.0
PROBLEM = "application/problem+json"

Shape = TypeVar("Shape", bound=m.Wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Shape]):
    """One call: what is sent, and the shape of what comes back.

    Attributes:
        accepts: statuses besides 2xx that come with the shape too.
        patient: the daemon may work for a long time before it answers, so silence is no fault.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    shape: type[Shape]
    body: m.Wire | None = None
    params: dict[str, str] = field(default_factory=dict)
    accepts: frozenset[int] = frozenset()
    patient: bool = False


class Health(m.Wire):
    """`GET /health`."""

    status: Literal["ok"]


def ask(
    question: str,
    *,
    model: str | None,
    conversation_id: str | None,
    of: list[str] | None,
    max_tokens: int | None,
    deadline_s: float | None,
    explain: bool,
    stream: bool,
) -> Call[m.AskAnswer]:
    """`POST /api/ask`."""
    body = _checked(
        m.AskRequest,
        question=question,
        model=model,
        conversation_id=conversation_id,
        of=of,
        max_tokens=max_tokens,
        deadline_s=deadline_s,
        explain=explain,
        stream=stream,
    )
    return Call(method="POST", path="/api/ask", shape=m.AskAnswer, body=body)


def search(
    query: str,
    *,
    k: int,
    since: datetime | None,
    until: datetime | None,
    speaker: str | None,
    of: list[str] | None,
    now: datetime | None,
    explain: bool,
) -> Call[m.SearchAnswer]:
    """`POST /api/search`."""
    body = _checked(
        m.SearchRequest,
        query=query,
        k=k,
        since=since,
        until=until,
        speaker=speaker,
        of=of,
        now=now,
        explain=explain,
    )
    return Call(method="POST", path="/api/search", shape=m.SearchAnswer, body=body)


def add_conversation(turns: Iterable[m.NewTurn], *, conversation_id: str | None) -> Call[m.SavedConversation]:
    """`POST /api/conversations`."""
    body = _checked(m.NewConversation, id=conversation_id, turns=list(turns))
    return Call(method="POST", path="/api/conversations", shape=m.SavedConversation, body=body)


def conversation(conversation_id: str) -> Call[m.ConversationView]:
    """`GET /api/conversations/{id}`."""
    return Call(method="GET", path=_conversation_path(conversation_id), shape=m.ConversationView)


def erase_conversation(conversation_id: str) -> Call[m.Erased]:
    """`DELETE /api/conversations/{id}`."""
    return Call(method="DELETE", path=_conversation_path(conversation_id), shape=m.Erased, patient=True)


def identity(version: int | None) -> Call[i.IdentityView]:
    """`GET /api/identity[/{version}]`."""
    path = "/api/identity" if version is None else f"/api/identity/{version}"
    return Call(method="GET", path=path, shape=i.IdentityView)


def identities() -> Call[i.IdentityList]:
    """`GET /api/identities`."""
    return Call(method="GET", path="/api/identities", shape=i.IdentityList)


def identity_diff(before: int | None, now: int | None) -> Call[i.IdentityDiff]:
    """`GET /api/identity/diff?from=&to=`."""
    params = {name: str(each) for name, each in (("from", before), ("to", now)) if each is not None}
    return Call(method="GET", path="/api/identity/diff", shape=i.IdentityDiff, params=params)


def restore_identity(version: int) -> Call[i.Restored]:
    """`POST /api/identity/{version}/restore`."""
    return Call(method="POST", path=f"/api/identity/{version}/restore", shape=i.Restored, patient=True)


def replay(*, wait: bool) -> Call[i.ReplayView]:
    """`POST /api/replay`."""
    body = i.ReplayRequest(wait=wait)
    return Call(method="POST", path="/api/replay", shape=i.ReplayView, body=body, patient=wait)


def replays() -> Call[i.ReplayList]:
    """`GET /api/replays`."""
    return Call(method="GET", path="/api/replays", shape=i.ReplayList)


def files(state: str | None) -> Call[m.FileList]:
    """`GET /api/files?state=`."""
    params = {} if state is None else {"state": state}
    return Call(method="GET", path="/api/files", shape=m.FileList, params=params)


def users() -> Call[m.UserList]:
    """`GET /api/users`."""
    return Call(method="GET", path="/api/users", shape=m.UserList)


def add_user(name: str, *, returning: bool) -> Call[m.UserToken]:
    """`POST /api/users`."""
    body = _checked(m.NewUser, name=name, returning=returning)
    return Call(method="POST", path="/api/users", shape=m.UserToken, body=body, patient=True)


def remove_user(user: str) -> Call[m.RemovedUser]:
    """`DELETE /api/users/{id}`."""
    return Call(method="DELETE", path=f"/api/users/{quote(user, safe='')}", shape=m.RemovedUser)


def rotate_token(user: str) -> Call[m.UserToken]:
    """`POST /api/users/{id}/rotate`."""
    return Call(method="POST", path=f"/api/users/{quote(user, safe='')}/rotate", shape=m.UserToken)


def rebuild(*, embed: bool) -> Call[m.Rebuilt]:
    """`POST /api/rebuild`."""
    body = m.RebuildRequest(embed=embed)
    return Call(method="POST", path="/api/rebuild", shape=m.Rebuilt, body=body, patient=True)


def verify(*, full: bool) -> Call[m.Verified]:
    """`POST /api/verify`."""
    body = m.VerifyRequest(full=full)
    return Call(method="POST", path="/api/verify", shape=m.Verified, body=body, patient=True)


def status() -> Call[m.Status]:
    """`GET /api/status`."""
    return Call(method="GET", path="/api/status", shape=m.Status)


def ready() -> Call[m.Ready]:
    """`GET /ready`."""
    return Call(method="GET", path="/ready", shape=m.Ready, accepts=frozenset({503}))


def health() -> Call[Health]:
    """`GET /health`."""
    return Call(method="GET", path="/health", shape=Health)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What both clients are built from."""

    base_url: httpx.URL
    headers: dict[str, str]
    timeout: httpx.Timeout


def settings(base_url: str, token: str | None, timeout: float | None) -> Settings:
    """Checks the address and the token, which `MEMORYD_TOKEN` stands in for.

    Raises:
        InvalidRequestError: the address is not one, or the token can't stand in a header.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise InvalidRequestError(f"{base_url!r} is not an address: {error}.") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidRequestError(f"{base_url!r} is not an address; write http://host:port.")
    token = os.environ.get("MEMORYD_TOKEN", "") if token is None else token
    if not (token.isascii() and token.isprintable()):
        raise InvalidRequestError("The token has characters that no token has; copy it again.")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Settings(base_url=url, headers=headers, timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS))


def request(client: httpx.Client | httpx.AsyncClient, call: Call[Any]) -> httpx.Request:
    """The request that carries out the call."""
    timeout = httpx.Timeout(None, connect=CONNECT_SECONDS) if call.patient else client.timeout
    if call.body is None:
        return client.build_request(call.method, call.path, params=call.params, timeout=timeout)
    return client.build_request(
        call.method,
        call.path,
        params=call.params,
        timeout=timeout,
        content=call.body.model_dump_json(exclude_none=True),
        headers={"Content-Type": "application/json"},
    )


def answer(call: Call[Shape], response: httpx.Response) -> Shape:
    """What the daemon answered, in the call's shape; the response's body has been read.

    Raises:
        ProblemError: the daemon said no.
        UnexpectedAnswerError: the answer has no shape that memoryd gives.
    """
    if not response.is_success and (response.status_code not in call.accepts or _is_problem(response)):
        raise failure(response)
    try:
        return call.shape.model_validate_json(response.content)
    except ValidationError as error:
        raise _unexpected(response) from error


def failure(response: httpx.Response) -> ProblemError | UnexpectedAnswerError:
    """The error that a response other than 2xx stands for; its body has been read."""
    if not _is_problem(response):
        return _unexpected(response)
    try:
        problem = m.Problem.model_validate_json(response.content)
    except ValidationError:
        return _unexpected(response)
    after = response.headers.get("Retry-After", "")
    return problem_error(problem, retry_after=float(after) if after.isdecimal() else None)


@contextmanager
def translated(base_url: httpx.URL) -> Iterator[None]:
    """Turns httpx's errors into the client's own."""
    url = str(base_url).rstrip("/")
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise ConnectFailedError(url, str(error) or "no answer in time") from error
    except httpx.TimeoutException as error:
        raise ConnectionLostError(f"{url} fell silent; look at its log, or allow more time.") from error
    except httpx.RequestError as error:
        raise ConnectionLostError(f"The connection to {url} broke: {error}") from error


def _conversation_path(conversation_id: str) -> str:
    return f"/api/conversations/{quote(conversation_id, safe='')}"


def _is_problem(response: httpx.Response) -> bool:
    return str(response.headers.get("Content-Type", "")).startswith(PROBLEM)


def _unexpected(response: httpx.Response) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(
        f"{response.request.method} {response.request.url} answered {response.status_code} and nothing that "
        f"memoryd would say; is it another program's port? It said: {response.text[:200]!r}"
    )


def _checked(shape: type[Shape], **fields: object) -> Shape:
    try:
        return shape.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidRequestError(f"{name}: {first['msg']}.") from error
