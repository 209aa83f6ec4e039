"""Every error that the client raises, in one tree.

ClientError
├── InvalidRequestError       nothing was sent: an argument, the address or the token can't be right
├── ConnectFailedError        nothing answers at the address
├── ConnectionLostError       the daemon fell silent, or left, before its answer was whole
├── UnexpectedAnswerError     what answers there does not speak memoryd's language
└── ProblemError              the daemon said no, and why: `.problem`
    ├── UnauthorizedError     401    no token, or a wrong one
    ├── ForbiddenError        403    another's to do: the origin's, mostly
    ├── NotFoundError         404    no such conversation, identity version, model
    ├── ConflictError         409    it is taken, or there is no room for another
    ├── BadRequestError       422    the request can't mean anything
    ├── NotReadyError         503    a part is still loading: `.retry_after`
    │   └── BusyError         503    too many questions wait already: `.retry_after`
    └── TooSlowError          504    the answer was not done by the question's deadline
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memoryd_client.models import Problem


class ClientError(Exception):
    """Base of the tree; the message is a sentence for people."""


class InvalidRequestError(ClientError, ValueError):
    """An argument, the address or the token can't be right; nothing was sent."""


class ConnectFailedError(ClientError):
    """Nothing answers at the address.

    Attributes:
        url: the address that was tried.
    """

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(f"Nothing answers at {url}: {cause}")
        self.url = url


class ConnectionLostError(ClientError):
    """The daemon fell silent, or left, before its answer was whole."""


class UnexpectedAnswerError(ClientError):
    """What answers there does not speak memoryd's language; perhaps another program has the port."""


class ProblemError(ClientError):
    """The daemon answered with a problem document.

    Attributes:
        problem: the document; its `code` is stable, its `detail` names the thing and the remedy.
        retry_after: seconds after which to try again, where the daemon said so.
    """

    def __init__(self, problem: Problem, *, retry_after: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after = retry_after


class UnauthorizedError(ProblemError):
    """No token, or a wrong one."""


class ForbiddenError(ProblemError):
    """The token's user may not do this."""


class ConflictError(ProblemError):
    """What is asked for can't stand beside what there is: a name that is taken, a seventh user."""


class NotFoundError(ProblemError):
    """No such conversation, identity version, model or file."""


class BadRequestError(ProblemError):
    """The request is well-formed and can't mean anything."""


class NotReadyError(ProblemError):
    """A part that the request needs is still loading."""


class BusyError(NotReadyError):
    """As many questions wait for the model as may."""


class TooSlowError(ProblemError):
    """The answer was not done by the question's deadline; what was said until then is kept."""


_BY_CODE = {"busy": BusyError}
_BY_STATUS = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: BadRequestError,
    503: NotReadyError,
    504: TooSlowError,
}


def problem_error(problem: Problem, *, retry_after: float | None = None) -> ProblemError:
    """The error of the tree that fits the document's code, or else its status."""
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(problem.status, ProblemError)
    return kind(problem, retry_after=retry_after)
