"""Users over HTTP: the origin's alone, and a token is shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.memoryd.api.stand_in import StandIn


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_user_comes_speaks_and_goes(client: TestClient, daemon: StandIn) -> None:
    made = client.post("/api/users", json={"name": "민지"})
    assert made.status_code == 201
    token = made.json()["token"]
    assert (made.json()["id"], made.json()["role"], made.json()["files"]) == ("민지", "member", 0)
    saved = client.post("/api/conversations", json={"turns": [{"text": "안녕"}]}, headers=bearer(token))
    assert saved.json()["path"].split("/")[1] == "민지"
    listed = client.get("/api/users").json()
    assert [(user["id"], user["role"]) for user in listed["users"]] == [
        ("origin", "origin"),
        ("민지", "member"),
    ]
    assert listed["free"] == 4
    assert token not in client.get("/api/users").text
    assert client.delete("/api/users/민지").json() == {"id": "민지", "files": 1}
    assert client.get("/api/status", headers=bearer(token)).status_code == 401
    assert client.get("/api/users").json()["users"][1]["role"] == "former"


def test_the_seventh_is_409_with_the_reason(client: TestClient) -> None:
    for number in range(5):
        assert client.post("/api/users", json={"name": f"user{number}"}).status_code == 201
    response = client.post("/api/users", json={"name": "seventh"})
    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert "6 users already" in response.json()["detail"]


def test_a_rotated_token_works_and_the_one_before_does_not(client: TestClient, daemon: StandIn) -> None:
    before = daemon.member("minji")
    after = client.post("/api/users/minji/rotate").json()
    assert (after["id"], after["role"]) == ("minji", "member")
    assert client.get("/api/status", headers=bearer(before)).status_code == 401
    assert client.get("/api/status", headers=bearer(after["token"])).json()["user"] == "minji"
    anew = client.post("/api/users/origin/rotate").json()
    assert anew["role"] == "origin"
    assert client.get("/api/users").status_code == 401
    assert client.get("/api/users", headers=bearer(anew["token"])).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("GET", "/api/users", "list the users"),
        ("POST", "/api/users", "add a user"),
        ("DELETE", "/api/users/jun", "remove a user"),
        ("POST", "/api/users/jun/rotate", "give a user another token"),
        ("POST", "/api/replay", "replay now"),
        ("POST", "/api/rebuild", "rebuild"),
        ("POST", "/api/verify", "verify"),
    ],
)
def test_a_member_is_told_what_only_the_origin_may_do(
    client: TestClient, daemon: StandIn, method: str, path: str, what: str
) -> None:
    response = client.request(method, path, headers=bearer(daemon.member("minji")))
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert f"Only the origin may {what}:" in response.json()["detail"]


def test_a_member_erases_their_own_part_of_a_conversation_and_no_other(
    client: TestClient, daemon: StandIn
) -> None:
    """Two people have a conversation of one id."""
    tokens = {name: bearer(daemon.member(name)) for name in ("minji", "jun")}
    for name, headers in tokens.items():
        body = {"id": "diary", "turns": [{"text": f"{name}의 비밀 일기장은 다락에 있어."}]}
        client.post("/api/conversations", json=body, headers=headers)
    erased = client.delete("/api/conversations/diary", headers=tokens["minji"]).json()
    assert [file["path"].split("/")[1] for file in erased["files"]] == ["minji"]
    assert (erased["turns"], erased["proof"], erased["vectors"], erased["copies"]) == (1, None, None, [])
    assert client.get("/api/conversations/diary", headers=tokens["minji"]).status_code == 404
    left = client.get("/api/conversations/diary", headers=tokens["jun"]).json()
    assert [turn["text"] for turn in left["turns"]] == ["jun의 비밀 일기장은 다락에 있어."]


def test_what_lies_in_the_way_is_told_to_the_origin_alone(client: TestClient, daemon: StandIn) -> None:
    member = bearer(daemon.member("minji"))
    daemon.loading = "day0315/jun/secret.txt can't be read"
    for headers, told in ((member, False), ({}, True)):
        response = client.post("/api/search", json={"query": "?"}, headers=headers)
        assert response.status_code == 503
        assert ("secret" in response.text) is told
    daemon.loading = None
    daemon.degraded = "the vector index is being made anew (17 of 40 passages)"
    for headers, told in ((member, False), ({}, True)):
        degraded = client.post("/api/search", json={"query": "?"}, headers=headers).json()["degraded"]
        assert ("17 of 40" in degraded) is told
