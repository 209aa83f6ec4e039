from __future__ import annotations

import pytest

from memoryd_client import (
    BadRequestError,
    ClientError,
    NotFoundError,
    NotReadyError,
    Problem,
    ProblemError,
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
        (500, ProblemError),
        (418, ProblemError),
    ],
)
def test_a_problem_becomes_the_error_of_its_status(status: int, kind: type[ProblemError]) -> None:
    error = problem_error(Problem(title="t", status=status, detail="Words for people.", code="c"))

    assert type(error) is kind
    assert str(error) == "Words for people."


def test_every_error_stands_in_the_tree_that_the_docstring_draws() -> None:
    tree = [ClientError]
    for kind in tree:
        tree.extend(kind.__subclasses__())

    assert all(kind.__name__ in (_errors.__doc__ or "") for kind in tree)
