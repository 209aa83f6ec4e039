"""What differs between two versions, in a person's words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from memoryd.identity import DIGEST, FEELING, MEMORIES_HEADING
from memoryd.identity_diff import difference
from memoryd.ledger import IdentityRow
from memoryd.manifests import Manifests, head_of

if TYPE_CHECKING:
    from collections.abc import Sequence

MANIFESTS = {"echo_identity.txt": "나는 에코다.\n말을 아낀다.", "origin_id.txt": "jihun"}


def line(
    text: str, *, kind: str = "said", day: int = 10, speaker: str = "지훈", talk: str = ""
) -> dict[str, str]:
    """A line as the ledger keeps it."""
    told = f"- 2026-03-{day} {speaker}: {text} (day03{day}/a (1).txt)"
    if kind == "topics":
        told = f"- {text}: 대화 4번, 마지막 2026-03-{day} (day03{day}/a.txt)"
    return {
        "kind": kind,
        "text": told,
        "day": f"2026-03-{day}",
        "speaker": speaker,
        "passage": "p",
        "conversation_id": talk or f"c{day}",
    }


def version(
    number: int, lines: Sequence[dict[str, str]], texts: dict[str, str] | None = None, **made_of: Any
) -> IdentityRow:
    """A version of these lines."""
    manifests = Manifests(texts=MANIFESTS if texts is None else texts, missing=())
    text = f"{head_of(manifests)}\n{MEMORIES_HEADING}\n" + "\n".join(each["text"] for each in lines) + "\n"
    return IdentityRow(
        version=number,
        digest=str(number),
        created_at=datetime(2026, 3, 15, tzinfo=UTC),
        tokens=100,
        missing=(),
        text=text,
        made_of={"lines": list(lines), **made_of},
    )


CAT = line("두부는 회색 고양이야.")
SWIM = line("수영은 화요일 저녁에 한다.", day=11)


def test_a_version_differs_in_nothing_from_itself() -> None:
    same = version(1, [CAT, SWIM])
    found = difference(same, same)
    assert not any(
        [found.learned, found.no_longer_true, found.no_longer_told, found.manifests, found.settings]
    )


def test_what_is_new_was_learned_with_who_said_it_and_where() -> None:
    found = difference(version(1, [CAT]), version(2, [CAT, SWIM]))
    (learned,) = found.learned
    assert (found.before, found.now) == (1, 2)
    assert (learned.speaker, learned.text, learned.day) == (
        "지훈",
        "수영은 화요일 저녁에 한다.",
        "2026-03-11",
    )
    assert (learned.path, learned.conversation_id) == ("day0311/a (1).txt", "c11")


def test_a_file_that_was_moved_and_a_day_that_came_again_teach_nothing() -> None:
    moved = CAT | {"text": CAT["text"].replace("a (1).txt", "b.txt")}
    again = line("두부는 회색 고양이야.", day=14)
    for other in (moved, again):
        found = difference(version(1, [CAT]), version(2, [other]))
        assert (found.learned, found.no_longer_told) == ((), ())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (line("두부 몸무게는 4.2 킬로야."), line("두부 몸무게가 4.6 킬로로 늘었다.", day=12)),
        (
            line("수영 수업은 화요일 저녁에 간다.", kind="plan"),
            line("수영 수업은 목요일 저녁으로 옮겼어.", kind="change", day=12),
        ),
        (
            line("치과 예약을 금요일까지 잡을게.", kind="promise"),
            line("치과 예약 다 했어, 다음 주 월요일이야.", day=13),
        ),
        (
            line("We meet at the old mill.", kind="plan"),
            line("We moved the meet to the mill house.", kind="change", day=12),
        ),
    ],
)
def test_what_a_newer_line_says_otherwise_is_no_longer_true(old: dict[str, str], new: dict[str, str]) -> None:
    found = difference(version(1, [CAT, old]), version(2, [CAT, new]))
    (replaced,) = found.no_longer_true
    assert (replaced.before.day, replaced.now.day) == (old["day"], new["day"])
    assert (found.learned, found.no_longer_told) == ((), ())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # One word in common, or an amount of another thing.
        (CAT, line("두부 사료를 결국 바꿨다.", kind="change", day=12)),
        (line("수영은 3 번 갔다."), line("두부가 5 번 울었다.", day=12)),
        # What was asked to be kept, and what the origin laid down, no chat takes back.
        (
            line("두부 몸무게는 4.2 킬로야.", kind="kept"),
            line("두부 몸무게가 4.6 킬로로 늘었다.", day=12),
        ),
        # Said earlier, it can't know better.
        (
            line("두부 몸무게는 4.2 킬로야.", day=12),
            line("두부 몸무게가 4.6 킬로로 늘었다."),
        ),
    ],
)
def test_what_only_left_is_no_longer_told_and_not_called_untrue(
    old: dict[str, str], new: dict[str, str]
) -> None:
    found = difference(version(1, [old]), version(2, [new]))
    assert found.no_longer_true == ()
    assert len(found.no_longer_told) == len(found.learned) == 1


def test_topics_come_and_go_by_their_names() -> None:
    old = [line("수영", kind="topics"), line("두부", kind="topics")]
    new = [line("두부", kind="topics", day=14, speaker="수민"), line("치과", kind="topics")]
    found = difference(version(1, old), version(2, new))
    assert (found.topics_come, found.topics_gone) == (("치과",), ("수영",))
    assert (found.learned, found.no_longer_told) == ((), ())


def test_what_is_felt_is_neither_learned_nor_untrue() -> None:
    old, new = line("마음이 가볍다.", kind=FEELING), line("두부가 걱정된다.", kind=FEELING, day=12)
    found = difference(version(1, [old]), version(2, [new]))
    assert [each.text for each in found.feels] == ["두부가 걱정된다."]
    assert [each.text for each in found.no_longer_feels] == ["마음이 가볍다."]
    assert (found.learned, found.no_longer_told) == ((), ())


def test_a_changed_manifest_shows_its_lines() -> None:
    texts = MANIFESTS | {
        "echo_identity.txt": "나는 에코다.\n많이 웃는다.",
        "fillin_manifest.txt": "기억한다.",
    }
    digests = [{name: str(hash(text)) for name, text in each.items()} for each in (MANIFESTS, texts)]
    found = difference(
        version(1, [CAT], manifests=digests[0]), version(2, [CAT], texts=texts, manifests=digests[1])
    )
    assert [(each.name, each.gone, each.come) for each in found.manifests] == [
        ("echo_identity.txt", ("말을 아낀다.",), ("많이 웃는다.",)),
        ("fillin_manifest.txt", ("(manifest/fillin_manifest.txt is missing)",), ("기억한다.",)),
    ]


def test_settings_and_the_restored_version_are_told() -> None:
    found = difference(
        version(1, [CAT], settings={"budget": "500"}),
        version(2, [CAT], settings={"budget": "900"}, restores=1),
    )
    assert [(each.name, each.before, each.now) for each in found.settings] == [("budget", "500", "900")]
    assert found.restores == 1


def test_a_version_from_before_lines_were_kept_is_read_from_its_text() -> None:
    old = replace(version(1, [CAT, SWIM]), made_of={})
    found = difference(old, version(2, [CAT]))
    assert found.learned == ()
    assert [each.text for each in found.no_longer_told] == ["수영은 화요일 저녁에 한다."]


def test_a_day_summed_up_is_told_apart_from_what_was_learned() -> None:
    digest = {
        **CAT,
        "kind": DIGEST,
        "speaker": "llama",
        "text": "- 2026-03-10, llama (말 3번): 두부가 왔다. 좋았다.",
    }
    found = difference(version(1, [CAT]), version(2, [CAT, digest]))
    assert [(each.speaker, each.day, each.text) for each in found.summed_up] == [
        ("llama", "2026-03-10", "두부가 왔다. 좋았다.")
    ]
    assert not found.learned
    # The days move on: that one is summed up no longer is nothing to tell.
    assert difference(version(1, [CAT, digest]), version(2, [CAT])).no_longer_told == ()
