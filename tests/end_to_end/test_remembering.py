"""What is dropped into `memory/` of a running daemon is found again, or listed with the reason why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conversation import DROPPED, QUESTIONS, TURNS

if TYPE_CHECKING:
    from tests.end_to_end.running import Running


def test_a_dropped_conversation_is_read_whole(shared: Running) -> None:
    file = shared.files()[DROPPED]
    assert (file.state, file.format, file.turns) == ("indexed", "native", len(TURNS))
    with shared.client() as client:
        korean = client.conversation("weekend-ko")
    assert [(turn.id, turn.text) for turn in korean.turns] == [
        (turn["id"], turn["text"]) for turn in TURNS if turn["id"].startswith("k")
    ]


@pytest.mark.parametrize(("question", "turn"), QUESTIONS)
def test_a_question_finds_its_passage_among_the_first_three(
    shared: Running, question: str, turn: str
) -> None:
    assert turn in shared.found(question, k=3)


def test_a_file_dropped_while_it_runs_is_found_soon(shared: Running) -> None:
    transcript = (
        "You said:\nThe violin strings are in the drawer under the metronome.\n\nChatGPT said:\nGot it.\n"
    )
    shared.drop("day0422/music.txt", transcript)
    assert shared.wait_file("day0422/music.txt").state == "indexed"
    (best,) = shared.search("Where are the violin strings?", k=1)
    assert (best.path, best.day) == ("day0422/music.txt", "day0422")
    assert "under the metronome" in best.text


def test_files_that_say_nothing_are_listed_with_their_reasons_and_the_rest_goes_on(shared: Running) -> None:
    bad: dict[str, bytes] = {
        "day0423/empty.txt": b"",
        "day0423/picture.txt": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "day0423/binary.dat": b"\x00\x01\x02\x03" * 16,
        "day0423/garbled.txt": bytes(range(0x80, 0x100)) * 4,
        "day0423/settings.json": b'{"colour": "blue", "size": 4}',
        "day0423/torn.jsonl": b'{"role": "user", "text": "a"}\n{"role": "us\n{"role": "user", "text": "c"}\n',
        "elsewhere/stray.txt": "이 파일은 날짜 폴더에 없다.".encode(),
    }
    for path, data in bad.items():
        shared.drop(path, data)
    (shared.memory / "day0423" / "link.txt").symlink_to(shared.memory / DROPPED)
    shared.drop(
        "day0423/good.txt",
        "나의 말:\n파란 우산은 신발장 안쪽에 걸어 뒀어.\n\nChatGPT의 말:\n네, 기억할게요.\n",
    )
    assert shared.wait_file("day0423/good.txt").state == "indexed"
    listed = {path: shared.wait_file(path) for path in [*bad, "day0423/link.txt"]}
    assert {path: file.state for path, file in listed.items()} == {
        "day0423/empty.txt": "skipped",
        "day0423/picture.txt": "quarantined",
        "day0423/binary.dat": "quarantined",
        "day0423/garbled.txt": "quarantined",
        "day0423/settings.json": "quarantined",
        "day0423/torn.jsonl": "quarantined",
        "elsewhere/stray.txt": "skipped",
        "day0423/link.txt": "skipped",
    }
    assert all(file.reason for file in listed.values())
    assert listed["day0423/torn.jsonl"].line == 2
    assert "PNG" in str(listed["day0423/picture.txt"].reason)
    (best,) = shared.search("파란 우산 어디 있어?", k=1)
    assert best.path == "day0423/good.txt"


def test_a_deleted_file_is_forgotten(shared: Running) -> None:
    shared.drop("day0424/secret.md", "The fireworks permit is number 7731.\n")
    shared.wait_file("day0424/secret.md")
    assert "7731" in shared.search("fireworks permit", k=1)[0].text
    (shared.memory / "day0424" / "secret.md").unlink()
    shared.wait_until(lambda: "day0424/secret.md" not in shared.files(), "forgetting")
    assert all("7731" not in hit.text for hit in shared.search("fireworks permit", k=20))
