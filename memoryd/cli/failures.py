"""What a command says when it can't do its work: a sentence, an exit code, and with `--json` a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.errors import BadRequestError, MemorydError, NotRunningError
from memoryd_client import ClientError, ConnectFailedError, InvalidRequestError, Problem, ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator


def explain(error: MemorydError | ClientError) -> tuple[Problem, int]:
    """The problem document of an error, and its exit code from the tree in `memoryd.errors`."""
    match error:
        case ProblemError():
            return error.problem, exit_code(error.problem.code)
        case ConnectFailedError():
            ours: MemorydError = NotRunningError(
                f"memoryd is not running at {error.url}. Start it with `make run` (or `memoryd run`)."
            )
        case InvalidRequestError():
            ours = BadRequestError(str(error))
        case ClientError():
            ours = MemorydError(str(error))
        case _:
            ours = error
    document = Problem(title=ours.title, status=ours.status, detail=str(ours), code=ours.code)
    return document, ours.exit_code


def exit_code(code: str) -> int:
    """The exit code of a problem's stable code; an unknown code has that of the tree's base."""
    for kind in _tree(MemorydError):
        if kind.code == code:
            return kind.exit_code
    return MemorydError.exit_code


def _tree(kind: type[MemorydError]) -> Iterator[type[MemorydError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)
