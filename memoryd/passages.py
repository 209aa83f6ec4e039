"""Turns to passages: an exchange where it fits, cut at sentence ends where it doesn't.

    turns ──▶ exchanges (a speaker, the answers, until that speaker speaks again)
                 │ fits in max_tokens          │ too long
                 ▼                             ▼
              one passage            turns, a long one in pieces of whole sentences; each but the first under the
                                     words that opened the exchange

An answer that memoryd itself built from memories is a passage of its own (kind `reply`), apart from what the
person said, so that recall can tell what was said from what was repeated.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from memoryd.korean import sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from memoryd.ledger import TurnRow

# How much of the words that opened an exchange stands over its later pieces, in characters.
OPENING_CHARACTERS = 80


class Kind(StrEnum):
    """What a passage holds: what people said with what was answered, an assistant's words alone, or memoryd's own."""

    SAID = "said"
    ANSWER = "answer"
    REPLY = "reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A run of turns that is embedded and found as one.

    Attributes:
        id: a digest of place and content: the same file gives the same ids, always.
        first: index of the first turn that it covers.
        last: index of the last one.
        text: the words, each turn after its speaker's name.
        embedded: what the embedder reads: the words, under the exchange's opening where they are a later piece.
        time: of the first turn.
        citations: for a reply, the passages that it was built from.
    """

    id: str
    first: int
    last: int
    kind: Kind
    text: str
    embedded: str
    time: datetime
    citations: tuple[str, ...] | None = None

    @property
    def vector_key(self) -> bytes:
        """What the vector is kept under: a digest of the embedded text."""
        return hashlib.sha256(self.embedded.encode(errors="surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class _Line:
    """A sentence of a turn, or all of it; its length in tokens where that was counted."""

    turn: TurnRow
    text: str
    tokens: int = 0


def make_passages(
    path: str,
    conversation_id: str,
    turns: Sequence[TurnRow],
    *,
    count_tokens: Callable[[Sequence[str]], list[int]],
    max_tokens: int,
) -> list[Passage]:
    """Cuts a conversation into passages; every turn is covered, nothing is left out.

    Args:
        path: the file's path below `memory/`.
        count_tokens: lengths of texts in the embedder's tokens.
        max_tokens: the longest passage, with the opening and the speakers' names in it.
    """
    passages = []
    for exchange in exchanges(turns):
        if _fits(exchange, count_tokens, max_tokens):
            opening, pieces = "", [[_Line(turn, turn.text) for turn in exchange]]
        else:
            opening = _opening(exchange, count_tokens, max_tokens // 3)
            pieces = list(_pieces(exchange, opening, count_tokens, max_tokens))
        for piece_number, piece in enumerate(pieces):
            place = f"{path}\0{conversation_id}\0{exchange[0].index}\0{piece_number}"
            passages.append(_passage(place, piece, opening if piece_number else ""))
    return passages


def exchanges(turns: Sequence[TurnRow]) -> Iterator[list[TurnRow]]:
    """Groups turns: an exchange ends when the one who opened it speaks again after an answer."""
    group: list[TurnRow] = []
    for turn in turns:
        if not turn.text.strip():
            continue
        answered = bool(group) and any(other.speaker != group[0].speaker for other in group)
        opener_again = answered and turn.speaker == group[0].speaker
        if group and (opener_again or _is_reply(turn) or _is_reply(group[-1])):
            yield group
            group = []
        group.append(turn)
    if group:
        yield group


def _is_reply(turn: TurnRow) -> bool:
    """Whether memoryd itself answered this, from memories or from none."""
    return turn.citations is not None


def _opening(
    exchange: Sequence[TurnRow], count_tokens: Callable[[Sequence[str]], list[int]], max_tokens: int
) -> str:
    first = exchange[0]
    words = " ".join(first.text.split())
    opening = f"{first.speaker}: {words[:OPENING_CHARACTERS]}"
    while count_tokens([opening])[0] > max_tokens:
        opening = opening[: len(opening) // 2]
    return opening


def _fits(
    exchange: Sequence[TurnRow], count_tokens: Callable[[Sequence[str]], list[int]], max_tokens: int
) -> bool:
    """Whether an exchange is no longer than a passage may be. Most of chat is too short to be counted."""
    whole = [f"{turn.speaker}: {turn.text}" for turn in exchange]
    return sum(map(_most_tokens, whole)) <= max_tokens or sum(count_tokens(whole)) <= max_tokens


def _most_tokens(text: str) -> int:
    """No tokenizer makes more of a text: a token is a byte at least, after a normalisation that may write more."""
    normalised = unicodedata.normalize("NFKC", text)
    return max(len(each.encode(errors="surrogatepass")) for each in (text, normalised)) + 2


def _pieces(
    exchange: Sequence[TurnRow],
    opening: str,
    count_tokens: Callable[[Sequence[str]], list[int]],
    max_tokens: int,
) -> Iterator[list[_Line]]:
    """Whole turns together while they fit; a turn that is too long is cut, and no other stands with it.

    So what somebody asked is found by itself, and not beside the first words of a long answer.
    """
    names = list(dict.fromkeys(turn.speaker for turn in exchange))
    name_tokens = dict(zip(names, count_tokens([f"{name}:" for name in names]), strict=True))
    room = max_tokens - count_tokens([opening])[0]
    # Of a name as long as a passage no cut could make room for the words; such a one runs over.
    longest = max(room - max(name_tokens.values()), max_tokens // 3)
    piece: list[_Line] = []
    used = 0
    for turn in exchange:
        lines = list(_lines(turn, count_tokens, longest))
        named = name_tokens[turn.speaker]
        whole = named + sum(line.tokens for line in lines)
        if piece and used + whole > room:
            yield piece
            piece, used = [], 0
        used += named
        for line in lines:
            if piece and piece[-1].turn is turn and used + line.tokens > room:
                yield piece
                piece, used = [], named
            piece.append(line)
            used += line.tokens
        if whole > room:
            yield piece
            piece, used = [], 0
    if piece:
        yield piece


def _lines(
    turn: TurnRow, count_tokens: Callable[[Sequence[str]], list[int]], longest: int
) -> Iterator[_Line]:
    texts = sentences(turn.text)
    for text, tokens in zip(texts, count_tokens(texts), strict=True):
        if tokens <= longest:
            yield _Line(turn, text, tokens)
        else:
            yield from _cut(turn, text, count_tokens, longest)


def _cut(
    turn: TurnRow, text: str, count_tokens: Callable[[Sequence[str]], list[int]], max_tokens: int
) -> Iterator[_Line]:
    """Halves a sentence, at a space where there is one, until each part fits."""
    stack = [text]
    while stack:
        part = stack.pop()
        tokens = count_tokens([part])[0]
        if tokens <= max_tokens or len(part) < 2:
            yield _Line(turn, part, tokens)
            continue
        middle = len(part) // 2
        space = part.rfind(" ", 1, middle + 1)
        at = space if space > middle // 2 else middle
        stack += [part[at:], part[:at]]


def _passage(place: str, piece: Sequence[_Line], opening: str) -> Passage:
    first, last = piece[0].turn, piece[-1].turn
    text = _written(piece)
    embedded = f"{opening}\n{text}" if opening else text
    mark = f"{place}\0{first.time.isoformat()}\0{embedded}"
    return Passage(
        id="p_" + hashlib.sha256(mark.encode(errors="surrogatepass")).hexdigest()[:24],
        first=first.index,
        last=last.index,
        kind=_kind(piece),
        text=text,
        embedded=embedded,
        time=first.time,
        citations=first.citations,
    )


def _kind(piece: Sequence[_Line]) -> Kind:
    if _is_reply(piece[0].turn):
        return Kind.REPLY
    return Kind.SAID if any(line.turn.role == "user" for line in piece) else Kind.ANSWER


def _written(piece: Sequence[_Line]) -> str:
    """Lines as they were, the speaker's name where a turn begins."""
    parts: list[str] = []
    turn: TurnRow | None = None
    for line in piece:
        parts.append(line.text if line.turn is turn else f"{line.turn.speaker}: {line.text}")
        turn = line.turn
    return "\n".join(parts)
