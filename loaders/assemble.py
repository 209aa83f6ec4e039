"""Utterances as a loader finds them, numbered into a conversation."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from loaders.base import Conversation, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Final

    from loaders.base import Role, Source

_LONE_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


class Utterance(NamedTuple):
    """A turn before it has a place; what the file does not say is None. A tuple: a megabyte can hold 60,000 of them."""

    role: Role
    text: str
    id: str | None = None
    speaker: str | None = None
    time: datetime | None = None
    citations: tuple[str, ...] | None = None


def assemble(
    conversation_id: str,
    utterances: Iterable[Utterance],
    *,
    title: str = "",
    remarks: tuple[str, ...] = (),
) -> Conversation:
    """Number the utterances in order; blank ones are left out, and the second of one id gets a number after it.

    Half a surrogate pair, which JSON can hold and UTF-8 can't, becomes U+FFFD.
    """
    conversation_id = _storable(conversation_id)
    said = (one for one in utterances if one.text and not one.text.isspace())
    taken: Counter[str] = Counter()
    turns = tuple(
        Turn(
            id=_free(_storable(one.id) if one.id else f"{conversation_id}:{index + 1}", taken),
            index=index,
            role=one.role,
            speaker=_storable(one.speaker or one.role.value),
            text=_storable(one.text),
            time=one.time,
            citations=None if one.citations is None else tuple(map(_storable, one.citations)),
        )
        for index, one in enumerate(said)
    )
    return Conversation(id=conversation_id, turns=turns, title=_storable(title), remarks=remarks)


def own_id(source: Source) -> str:
    """The id of a conversation that has none: the file's name with its folders, so that no two are alike."""
    return source.name or "conversation"


def without_blank_edges(lines: list[str]) -> str:
    """The lines as one text, blank lines at both ends left out and nothing else changed."""
    start, end = 0, len(lines)
    while start < end and (not lines[start] or lines[start].isspace()):
        start += 1
    while end > start and (not lines[end - 1] or lines[end - 1].isspace()):
        end -= 1
    return "\n".join(lines[start:end])


def _free(wanted: str, taken: Counter[str]) -> str:
    """The id, or the first of `id#2`, `id#3` and so on that no turn has; `taken` counts how often each was wanted."""
    own = wanted
    while own in taken:
        taken[wanted] += 1
        own = f"{wanted}#{taken[wanted]}"
    taken[own] = 1
    return own


def _storable(text: str) -> str:
    return text if text.isascii() else _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
