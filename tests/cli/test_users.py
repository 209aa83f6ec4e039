from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from memoryd_client import Problem, RemovedUser, UserList, UserToken, UserView

if TYPE_CHECKING:
    from memoryd_client.testing import FakeDaemon
    from tests.cli.conftest import Memoryd

SINCE = datetime(2026, 3, 15, tzinfo=UTC)


def test_add_prints_the_token_by_itself_and_what_to_type_next(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("POST /api/users", UserToken(id="민지", role="member", token="tok3n", files=2), status=201)

    result = memoryd("users", "add", "민지")

    assert result.exit_code == 0
    assert daemon.requests[0].body == {"name": "민지", "returning": False}
    assert result.stdout.splitlines() == [
        "민지 is a user now.",
        "2 files in folders of that name were shared; they are 민지's alone now.",
        "The token, which is shown this once:",
        "",
        "tok3n",
        "",
        "On 민지's machine:",
        f"  export MEMORYD_URL={daemon.url} MEMORYD_TOKEN=tok3n",
        '  memoryd ask "…"',
        "Their own conversations lie under memory/dayXXXX/민지/.",
    ]


def test_who_comes_again_is_said_to_be_the_same(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    made = UserToken(id="minji", role="member", token="tok3n", files=0)
    daemon.answer("POST /api/users", made, status=201)
    result = memoryd("users", "add", "minji", "--returning", "--json")
    assert daemon.requests[0].body == {"name": "minji", "returning": True}
    assert json.loads(result.stdout)["token"] == "tok3n"


def test_the_seventh_is_told_why(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    problem = Problem(title="t", status=409, detail="There are 6 users already.", code="conflict")
    daemon.problem("POST /api/users", problem)
    result = memoryd("users", "add", "seventh")
    assert (result.exit_code, result.stderr) == (7, "There are 6 users already.\n")


def test_list_shows_who_is_there_and_whose_folders_stay_theirs(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    users = [
        UserView(id="hana", role="origin", since=None),
        UserView(id="민지", role="member", since=SINCE),
        UserView(id="jun", role="former", since=None),
    ]
    daemon.answer("GET /api/users", UserList(users=users, free=4))
    lines = memoryd("users", "list").stdout.splitlines()
    assert [line.split() for line in lines[1:3]] == [["hana", "origin"], ["민지", "member", "2026-03-15"]]
    assert "their folders stay theirs" in lines[3]
    assert lines[4] == "4 more may be added: memoryd users add NAME"


def test_remove_says_what_becomes_of_the_files(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("DELETE /api/users/%EB%AF%BC%EC%A7%80", RemovedUser(id="민지", files=3))
    result = memoryd("users", "remove", "민지")
    assert "no user any more" in result.stdout
    assert "3 files stay under memory/dayXXXX/민지/" in result.stdout


def test_rotate_prints_the_new_token(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    made = UserToken(id="hana", role="origin", token="n3w", files=0)
    daemon.answer("POST /api/users/hana/rotate", made)
    result = memoryd("users", "rotate", "hana")
    assert "\nn3w\n" in result.stdout
    assert "state/origin.token" in result.stdout


def test_a_member_is_told_that_it_is_the_origins(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    problem = Problem(title="t", status=403, detail="Only the origin may list the users.", code="forbidden")
    daemon.problem("GET /api/users", problem)
    result = memoryd("users", "list")
    assert (result.exit_code, result.stderr) == (5, "Only the origin may list the users.\n")


def test_a_search_and_a_question_may_be_narrowed(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    memoryd("search", "비밀", "--of", "민지", "--of", "shared")
    memoryd("ask", "비밀은?", "--of", "민지")
    assert [request.body["of"] for request in daemon.requests] == [["민지", "shared"], ["민지"]]
