"""The conversations at hand: what was said in them, and the questions as a model read them, memories above.

question ─▶ as_read ── it fits ──▶ the prompt before, word for word, and more: its cells are in the KV cache
               └── too long ─▶ plain ─▶ the newest as they were said; the next prompts go on from there

Only here: memories that a question was read with are never written to disk or into the ledger.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llm import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memoryd.ledger import FoundPassage, Ledger
    from memoryd.users import User

# Past so many turns, all but the newest go at once: where the oldest went one by one, every prompt would begin
# anew, and nothing of it be found in the cache.
TURNS_KEPT = 40
TURNS_LEFT = 20
CONVERSATIONS_KEPT = 64
# For the same reason: where a conversation does not fit, its newest turns take this part of the room.
PART_FILLED = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A turn of a conversation.

    Attributes:
        read: the text as a model read it; "" where that is the text as it was said.
        shown: ids of the passages that stand in `read`.
    """

    role: str
    speaker: str
    text: str
    read: str = ""
    shown: frozenset[str] = frozenset()

    def message(self) -> Message:
        """The turn as a model reads it."""
        return Message(role=self.role, speaker=self.speaker, text=self.read or self.text)

    def plain(self) -> Said:
        """The turn as it was said, without memories."""
        return replace(self, read="", shown=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a prompt holds of its conversation.

    Attributes:
        said: its turns as they were said.
        shown: ids of the passages, and names of other parts, that were read with them.
        left_out: how many of the conversation's turns at hand stand before it, for want of room.
    """

    messages: tuple[Message, ...]
    said: frozenset[str]
    shown: frozenset[str]
    left_out: int = 0

    def holds(self, passage: FoundPassage) -> bool:
        """Whether the passage stands in it already."""
        return passage.id in self.shown or all(turn.text in self.said for turn in passage.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begin:
    """Where the prompts of a model begin: the first turn in them, and the first as it was read. Counted from 0."""

    first: int = 0
    read: int = 0


@dataclass(slots=True)
class _Conversation:
    """Turns at hand, how many went before them, and where each model's prompts begin."""

    turns: list[Said] = field(default_factory=list)
    gone: int = 0
    begins: dict[str, _Begin] = field(default_factory=dict)


class AtHand:
    """The newest turns of the newest conversations; safe for threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._conversations: OrderedDict[tuple[str, str], _Conversation] = OrderedDict()
        self._forgotten = 0

    def as_read(self, user: User, conversation_id: str, model: str) -> History:
        """The conversation as this model was last sent it, and what was said since as it was read."""
        self._bring(user, conversation_id)
        with self._lock:
            conversation = self._get(user, conversation_id)
            begin = conversation.begins.get(model, _Begin())
            numbered = list(enumerate(conversation.turns, start=conversation.gone))
        shown = [
            turn if number >= begin.read else turn.plain()
            for number, turn in numbered
            if number >= begin.first
        ]
        return _history(shown, before=begin.first)

    def plain(
        self,
        user: User,
        conversation_id: str,
        model: str,
        *,
        room: int,
        count_tokens: Callable[[str], int],
    ) -> History:
        """The newest turns as they were said, beginning with a user's; the model's next prompts go on from there.

        Args:
            room: for them, in tokens.
        """
        self._bring(user, conversation_id)
        with self._lock:
            conversation = self._get(user, conversation_id)
            turns, gone = [turn.plain() for turn in conversation.turns], conversation.gone
        costs = [cost(turn.message(), count_tokens) for turn in turns]
        if sum(costs) > room:
            fitting = _newest(costs, int(room * PART_FILLED))
            turns = turns[len(turns) - fitting :]
            gone += len(costs) - fitting
        with self._lock:
            conversation.begins[model] = _Begin(first=gone, read=gone + len(turns))
        return _history(turns, before=gone)

    def add(self, user: User, conversation_id: str, turns: Sequence[Said]) -> None:
        """Adds turns that were just written, before the ledger has read them."""
        self._bring(user, conversation_id)
        with self._lock:
            conversation = self._get(user, conversation_id)
            conversation.turns += turns
            if len(conversation.turns) > TURNS_KEPT:
                conversation.gone += len(conversation.turns) - TURNS_LEFT
                del conversation.turns[:-TURNS_LEFT]

    def forget(self, conversation_id: str | None = None) -> None:
        """Drops a conversation, whoever's it is, and the memories in all others: they may quote it.

        Without an id only the memories: some of them may be another's now.
        """
        with self._lock:
            self._forgotten += 1
            for key in [key for key in self._conversations if key[1] == conversation_id]:
                del self._conversations[key]
            for conversation in self._conversations.values():
                conversation.turns[:] = [turn.plain() for turn in conversation.turns]

    def _bring(self, user: User, conversation_id: str) -> None:
        """Reads a conversation from the ledger after a restart; without the lock, since the ledger may have to wait."""
        key = (user.id, conversation_id)
        while True:
            with self._lock:
                forgotten = self._forgotten
                if key in self._conversations:
                    return
            # Not the origin's wider view: another's conversation of the same id is no part of this one.
            stored = self._ledger.files.conversation(conversation_id, user.own)
            turns = stored.turns[-TURNS_LEFT:] if stored else ()
            read = _Conversation(
                [
                    Said(role=turn.role, speaker=turn.speaker, text=turn.text)
                    for turn in turns
                    if turn.role in {"user", "assistant"}
                ]
            )
            with self._lock:
                if self._forgotten == forgotten:  # else what was read may have been erased meanwhile
                    self._conversations.setdefault(key, read)
                    return

    def _get(self, user: User, conversation_id: str) -> _Conversation:
        """The conversation itself, which counts as used now. The lock must be held."""
        key = (user.id, conversation_id)
        conversation = self._conversations.setdefault(key, _Conversation())
        self._conversations.move_to_end(key)
        while len(self._conversations) > CONVERSATIONS_KEPT:
            self._conversations.popitem(last=False)
        return conversation


def cost(message: Message, count_tokens: Callable[[str], int]) -> int:
    """What a message takes of a prompt, in tokens."""
    return count_tokens(f"{message.speaker}: {message.text}\n")


def _history(turns: Sequence[Said], *, before: int) -> History:
    """Of these turns those from a user's on.

    Args:
        before: how many stand before them.
    """
    kept = list(turns)
    while kept and kept[0].role != "user":
        kept.pop(0)
    return History(
        messages=tuple(turn.message() for turn in kept),
        said=frozenset(turn.text for turn in kept),
        shown=frozenset().union(*(turn.shown for turn in kept)),
        left_out=before + len(turns) - len(kept),
    )


def _newest(costs: Sequence[int], room: int) -> int:
    """How many of the last fit."""
    count = 0
    for each in reversed(costs):
        room -= each
        if room < 0:
            break
        count += 1
    return count
