"""A conversation is erased and no byte of state holds it, while one that shares its wording stays as it was."""

from __future__ import annotations

import gzip
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from memoryd_client import ClientError, NewTurn, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.running import Running

TALK = "day0315/talk.jsonl"
MORE = "day0316/more.jsonl"
BESIDE = "day0317/beside.jsonl"
SHARED = "우리 가족은 매년 여름마다 강릉 바닷가에서 일주일을 보내고 돌아와."
SECRET = (
    "지하실 금고의 비밀번호는 할아버지가 태어난 해와 내 학번을 이어 붙인 것이고, 아무에게도 말하지 않았어.",
    "The adoption papers are hidden behind the blue wardrobe in Marguerite's attic, under the floorboards.",
    "그 서류에는 외삼촌 권태산의 서명이 들어 있어서 절대로 버리면 안 된다고 했어.",
)
KEPT = "텃밭에 심은 방울토마토는 사흘에 한 번씩만 물을 주기로 했어."


def turn(conversation: str, number: int, text: str, role: str = "user") -> dict[str, str]:
    return {
        "id": f"{conversation}-{number}",
        "conversation": conversation,
        "time": f"2026-03-15T21:{number:02d}:00+09:00",
        "role": role,
        "speaker": "지훈" if role == "user" else "에코",
        "text": text,
    }


def exchange(conversation: str, number: int, text: str) -> list[dict[str, str]]:
    return [turn(conversation, number, text), turn(conversation, number + 1, "그렇군요.", "assistant")]


def stored(state: Path, path: str) -> list[tuple[Any, ...]]:
    """The passages of a file with their vectors, as the ledger has them."""
    with closing(sqlite3.connect(f"file:{state}/ledger.sqlite3?mode=ro", uri=True)) as ledger:
        return ledger.execute(
            """SELECT p.passage_id, p.text, v.vector FROM passages p JOIN files f ON p.file = f.id
               JOIN conversations c ON p.conversation = c.id
               JOIN vectors v ON v.key = p.vector_key
               WHERE f.path = ? AND c.conversation_id != 'secret' ORDER BY p.passage_id""",
            (path,),
        ).fetchall()


def holding(state: Path, text: str) -> list[str]:
    """The files of the state folder that hold a text in any spelling; slow and simple, unlike the search it checks."""
    spellings = [
        text.encode(),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        json.dumps(text)[1:-1].encode(),
    ]
    found = []
    for file in state.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if data.startswith(b"\x1f\x8b"):
                data += gzip.decompress(data)
            if any(spelling in data for spelling in spellings):
                found.append(file.relative_to(state).as_posix())
    return found


@pytest.fixture
def told(searching: Running) -> Running:
    """A secret over two files, one of them shared with another conversation, and a third file that shares wording."""
    searching.drop(
        TALK,
        [
            *exchange("secret", 0, SECRET[0]),
            *exchange("garden", 2, KEPT),
            *exchange("secret", 4, SECRET[1]),
            *exchange("secret", 6, SHARED),
        ],
    )
    searching.drop(MORE, exchange("secret", 8, SECRET[2]))
    searching.drop(BESIDE, [*exchange("beside", 0, SHARED), *exchange("beside", 2, "튜브는 두 개면 충분해.")])
    searching.start_ready()
    return searching


def test_no_byte_of_state_holds_an_erased_conversation_and_the_others_are_untouched(told: Running) -> None:
    logs = told.state / "logs"
    (logs / "memoryd.log.1.gz").write_bytes(gzip.compress(f"before\nWARNING {SECRET[0]}\nafter\n".encode()))
    with told.client() as client:
        client.replay()
        before = client.identity()
        assert SECRET[0] in before.text
        kept = {path: stored(told.state, path) for path in (TALK, BESIDE)}
        assert all(holding(told.state, text) for text in SECRET)

        erased = client.erase_conversation("secret")

        assert {file.path: file.action for file in erased.files} == {TALK: "rewritten", MORE: "removed"}
        assert erased.identities
        assert erased.turns == 8
        # The one that quotes it, and the one that names the file that is gone.
        assert erased.log_lines == 2
        proof = erased.proof
        assert proof
        assert (proof.found, proof.unread, proof.words_left) == ([], [], 0)
        assert (proof.shared >= 1, proof.elsewhere) == (True, ["beside"])
        assert proof.fragments > 10
        assert proof.words > 10
        assert proof.bytes > 100_000
        with pytest.raises(NotFoundError):
            client.conversation("secret")
        assert erased.identity_version > before.version
        assert SECRET[0] not in client.identity(before.version).text
        assert "erased" in client.identity(before.version).text
    assert [holding(told.state, text) for text in SECRET] == [[], [], []]
    assert gzip.decompress((logs / "memoryd.log.1.gz").read_bytes()) == b"before\nafter\n"

    told.wait_read()
    assert {path: stored(told.state, path) for path in kept} == kept
    assert not any(holding(told.state, text) for text in SECRET)
    assert [folder.name for folder in (told.state / "chroma").glob("g*")] == [f"g{erased.generation:04d}"]
    assert told.search(SHARED, k=1)[0].path == BESIDE
    assert told.search("방울토마토 물은 얼마나 자주 주지?", k=1)[0].conversation_id == "garden"
    assert all(hit.conversation_id != "secret" for hit in told.search(SECRET[1], k=20))
    assert not (told.memory / MORE).exists()
    lines = (told.memory / TALK).read_text("utf-8").splitlines()
    assert [json.loads(line)["conversation"] for line in lines] == ["garden", "garden"]

    assert told.stop() == 0
    told.start_ready()
    assert not any(holding(told.state, text) for text in SECRET)
    assert all(hit.conversation_id != "secret" for hit in told.search(SECRET[1], k=20))


@pytest.mark.parametrize("state", ["begun", "cut"])
def test_an_erasure_that_is_killed_is_finished_at_the_next_start(told: Running, state: str) -> None:
    with ThreadPoolExecutor() as pool, told.client() as client:
        answer = pool.submit(client.erase_conversation, "secret")
        with closing(sqlite3.connect(f"file:{told.state}/ledger.sqlite3?mode=ro", uri=True)) as ledger:
            while not answer.done():
                states = [row[0] for row in ledger.execute("SELECT state FROM erasures")]
                if states and (state == "begun" or states != ["begun"]):
                    break
        told.kill()
        assert isinstance(answer.exception(), ClientError)
    told.start_ready()
    assert not any(holding(told.state, text) for text in SECRET)
    assert not (told.memory / MORE).exists()
    lines = (told.memory / TALK).read_text("utf-8").splitlines()
    assert [json.loads(line)["conversation"] for line in lines] == ["garden", "garden"]
    with told.client() as client, pytest.raises(NotFoundError):
        client.conversation("secret")
    assert told.search(SHARED, k=1)[0].path == BESIDE
    assert SECRET[0] not in told.identity().text


def test_an_erased_conversation_of_our_own_stays_away_and_can_begin_again(told: Running) -> None:
    with told.client() as client:
        saved = client.add_conversation([NewTurn(text=SECRET[1] + " Really.")], id="own-talk-1234")
        told.wait_read()
        client.erase_conversation("own-talk-1234")
        assert not (told.memory / saved.path).exists()
        told.wait_read()
        assert saved.path not in told.files()
        client.add_conversation([NewTurn(text="Something else altogether.")], id="own-talk-1234")
        told.wait_read()
        assert [each.text for each in client.conversation("own-talk-1234").turns] == [
            "Something else altogether."
        ]


def test_the_command_asks_first_and_prints_the_report(told: Running) -> None:
    refused = told.command("erase", "secret")
    assert refused.returncode == 1
    assert "8 turns" in refused.stderr
    with told.client() as client:
        assert len(client.conversation("secret").turns) == 8
    done = told.command("erase", "secret", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing was found." in done.stdout
    assert f"{MORE}: removed" in done.stdout
