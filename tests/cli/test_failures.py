from __future__ import annotations

import pytest

from memoryd import errors
from memoryd.cli.failures import exit_code, explain
from memoryd_client import (
    ClientError,
    ConnectFailedError,
    ConnectionLostError,
    InvalidRequestError,
    NotReadyError,
    Problem,
)


def every_error() -> list[type[errors.MemorydError]]:
    tree = [errors.MemorydError]
    for kind in tree:
        tree.extend(kind.__subclasses__())
    return tree


@pytest.mark.parametrize("kind", every_error())
def test_an_error_of_the_tree_has_its_exit_code_here_and_over_http(kind: type[errors.MemorydError]) -> None:
    problem, code = explain(kind("Words for people."))

    assert (problem.code, problem.status, problem.detail) == (kind.code, kind.status, "Words for people.")
    assert code == exit_code(kind.code) == kind.exit_code


def test_a_problem_keeps_its_document_and_gets_the_exit_code_of_its_code() -> None:
    problem = Problem(title="t", status=503, detail="Chroma is gone.", code="index_unavailable")

    assert explain(NotReadyError(problem)) == (problem, errors.IndexUnavailableError.exit_code)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectFailedError("http://x:1", "refused"), "not_running"),
        (InvalidRequestError("question: too short."), "bad_request"),
        (ConnectionLostError("It broke."), "internal"),
    ],
)
def test_the_client_s_own_errors_take_their_place_in_the_tree(error: ClientError, code: str) -> None:
    problem, found = explain(error)

    assert (problem.code, found) == (code, exit_code(code))


def test_a_code_from_a_newer_daemon_is_a_plain_failure() -> None:
    assert exit_code("from_the_future") == 1
