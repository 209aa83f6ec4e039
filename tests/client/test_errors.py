from __future__ import annotations

import pytest

from memoryd_client import (
    BadRequestError,
    BusyError,
    ClientError,
    NotFoundError,
    NotReadyError,
    Problem,
    ProblemError,
    TooSlowError,
    UnauthorizedError,
    _errors,
)
from memoryd_client._errors import problem_error


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthorizedError),
        (404, NotFoundError),
        (422, BadRequestError),
        (503, NotReadyError),
        (504, TooSlowError),
        (500, ProblemError),
        (418, ProblemError),
    ],
)
def test_a_problem_becomes_the_error_of_its_status(status: int, kind: type[ProblemError]) -> None:
    error = problem_error(Problem(title="t", status=status, detail="Words for people.", code="c"))

    assert type(error) is kind
    assert str(error) == "Words for people."


def test_a_full_queue_is_told_from_a_part_that_loads() -> None:
    busy = Problem(title="t", status=503, detail="32 wait.", code="busy")

    assert type(problem_error(busy, retry_after=8)) is BusyError
    assert problem_error(busy, retry_after=8).retry_after == 8


def test_every_error_stands_in_the_tree_that_the_docstring_draws() -> None:
    tree = [ClientError]
    for kind in tree:
        tree.extend(kind.__subclasses__())

    assert all(kind.__name__ in (_errors.__doc__ or "") for kind in tree)
