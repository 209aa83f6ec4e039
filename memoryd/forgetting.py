"""What a person asks to be forgotten: it is found and proposed, and erased only once they confirm.

"잊어줘: 첼로 선생님" ──recall──▶ the nearest conversations that they may erase ──▶ `memoryd erase ID` (they confirm)

Nothing is erased here, and the request is not kept: it says what is to be forgotten.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.korean import hangul_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memoryd.recall import Hit
    from memoryd.users import User

FORGET = re.compile(r"(?:잊어\s?(?:줘|주세요|줄래)|forget)\s?[:：](?P<what>.*)", re.IGNORECASE | re.DOTALL)
# Quotes and markup that people put around it, and characters that nobody sees.
AROUND = " \t\r\n\u200b\u200c\u200d\u2060\ufeff\"'`*_“”‘’"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MOST_PROPOSED = 3
EXCERPT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A conversation that may be meant, by the passage that was found in it."""

    conversation_id: str
    day: str
    path: str
    text: str


def what_to_forget(text: str) -> str | None:
    """What is asked to be forgotten, "" where that is not said; None where the text asks something else."""
    found = FORGET.match(text.strip(AROUND))
    return found["what"].strip(AROUND) if found else None


def proposals(hits: Sequence[Hit], user: User) -> tuple[Proposal, ...]:
    """The conversations of the best hits that the user may erase: their own, and for the origin everybody's."""
    found: dict[str, Proposal] = {}
    for hit in hits:
        passage = hit.passage
        if user.is_origin or passage.owner == user.id:
            proposal = Proposal(
                conversation_id=passage.conversation_id,
                day=f"{passage.time:%Y-%m-%d}",
                path=passage.path,
                text=passage.text,
            )
            found.setdefault(passage.conversation_id, proposal)
    return tuple(found.values())[:MOST_PROPOSED]


def in_words(request: str, proposed: Sequence[Proposal]) -> str:
    """What the person is told, in the language of their request."""
    korean = hangul_share(request) > 0
    if not proposed:
        return (
            "그런 이야기를 찾지 못했어요. 아무것도 지우지 않았고, 이 부탁도 남기지 않았어요."
            if korean
            else "I found nothing of that. Nothing was erased, and this request is not kept."
        )
    lines = [
        f"{number}. {each.day} ({each.path}) {_excerpt(each.text)}\n   memoryd erase {_as_argument(each)}"
        for number, each in enumerate(proposed, 1)
    ]
    head, tail = (
        (
            "이 대화를 지울까요? 아직 아무것도 지우지 않았어요. 지우면 되돌릴 수 없어요.",
            "확인하려면 그 줄의 명령을 실행해 주세요. 이 부탁은 남기지 않았어요.",
        )
        if korean
        else (
            "Shall I erase one of these? Nothing is erased yet, and it can't be undone.",
            "To confirm, run its command. This request is not kept.",
        )
    )
    return "\n".join([head, *lines, tail])


def _as_argument(proposal: Proposal) -> str:
    """An id may be a file's name: for a shell it is one word, and no option.

    One with control characters is not shown as it is: it might end the line for a shell.
    """
    if CONTROL.search(proposal.conversation_id):
        return "(an id with control characters: see GET /api/files)"
    quoted = shlex.quote(proposal.conversation_id)
    return f"-- {quoted}" if proposal.conversation_id.startswith("-") else quoted


def _excerpt(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= EXCERPT else f"{flat[: EXCERPT - 1]}…"
