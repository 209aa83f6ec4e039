"""The conversations at hand: a model's next prompt begins with the one before, as long as that is possible."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd.at_hand import CONVERSATIONS_KEPT, TURNS_KEPT, TURNS_LEFT, AtHand, Said
from memoryd.users import User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm import Message
    from memoryd.ledger import Ledger

JIHUN = User(id="jihun")


class Empty:
    """A ledger without conversations; `asked` are those that were looked for."""

    def __init__(self) -> None:
        self.files = self
        self.asked: list[str] = []

    def conversation(self, conversation_id: str, owners: Sequence[str]) -> object:  # noqa: ARG002  (the ledger's)
        self.asked.append(conversation_id)
        return None


@pytest.fixture
def ledger() -> Empty:
    return Empty()


@pytest.fixture
def at_hand(ledger: Empty) -> AtHand:
    return AtHand(cast("Ledger", ledger))


def _words(text: str) -> int:
    return len(text.split())


def _exchange(number: int, *, memories: int = 3) -> list[Said]:
    """A question of three words, with its speaker, and a reply of three; more where it was read with memories."""
    read = " ".join(["기억"] * memories)
    question = Said(
        role="user",
        speaker="jihun",
        text=f"{number}번째 질문",
        read=f"{read} {number}번째 질문" if memories else "",
        shown=frozenset({f"p{number}"} if memories else ()),
    )
    return [question, Said(role="assistant", speaker="에코", text=f"{number}번째 대답")]


def _texts(messages: tuple[Message, ...]) -> list[str]:
    return [message.text for message in messages]


def test_turns_come_back_as_they_were_read_with_what_was_shown(at_hand: AtHand) -> None:
    at_hand.add(JIHUN, "c1", _exchange(0) + _exchange(1, memories=0))
    history = at_hand.as_read(JIHUN, "c1", "llama")
    assert _texts(history.messages) == ["기억 기억 기억 0번째 질문", "0번째 대답", "1번째 질문", "1번째 대답"]
    assert history.shown == {"p0"}
    assert history.said == {"0번째 질문", "0번째 대답", "1번째 질문", "1번째 대답"}


def test_a_history_begins_with_a_users_turn(at_hand: AtHand) -> None:
    at_hand.add(JIHUN, "c1", _exchange(0)[1:] + _exchange(1))
    assert at_hand.as_read(JIHUN, "c1", "llama").messages[0].role == "user"
    plain = at_hand.plain(JIHUN, "c1", "llama", room=1000, count_tokens=_words)
    assert _texts(plain.messages) == ["1번째 질문", "1번째 대답"]


def test_where_all_fits_as_it_was_said_nothing_is_left_out(at_hand: AtHand) -> None:
    at_hand.add(JIHUN, "c1", [*_exchange(0), *_exchange(1)])
    plain = at_hand.plain(JIHUN, "c1", "llama", room=12, count_tokens=_words)
    assert _texts(plain.messages) == ["0번째 질문", "0번째 대답", "1번째 질문", "1번째 대답"]
    assert plain.shown == frozenset()


def test_where_it_does_not_fit_some_room_is_left_for_the_next_turns(at_hand: AtHand) -> None:
    at_hand.add(JIHUN, "c1", [turn for number in range(4) for turn in _exchange(number)])
    plain = at_hand.plain(JIHUN, "c1", "llama", room=20, count_tokens=_words)
    assert _texts(plain.messages)[0] == "2번째 질문"
    at_hand.add(JIHUN, "c1", _exchange(4))
    again = at_hand.as_read(JIHUN, "c1", "llama")
    assert again.messages[: len(plain.messages)] == plain.messages
    assert _texts(again.messages)[len(plain.messages) :] == ["기억 기억 기억 4번째 질문", "4번째 대답"]


def test_each_model_goes_on_from_its_own_prompts(at_hand: AtHand) -> None:
    at_hand.add(JIHUN, "c1", _exchange(0))
    at_hand.plain(JIHUN, "c1", "small", room=100, count_tokens=_words)
    assert at_hand.as_read(JIHUN, "c1", "small").shown == frozenset()
    assert at_hand.as_read(JIHUN, "c1", "large").shown == {"p0"}


def test_past_the_limit_all_but_the_newest_turns_go_at_once(at_hand: AtHand) -> None:
    for number in range(TURNS_KEPT // 2):
        at_hand.add(JIHUN, "c1", _exchange(number))
    assert len(at_hand.as_read(JIHUN, "c1", "llama").messages) == TURNS_KEPT
    at_hand.plain(JIHUN, "c1", "small", room=10_000, count_tokens=_words)
    at_hand.add(JIHUN, "c1", _exchange(100))
    history = at_hand.as_read(JIHUN, "c1", "llama")
    assert len(history.messages) == TURNS_LEFT
    small = at_hand.as_read(JIHUN, "c1", "small")
    assert small.shown == {"p100"}
    assert len(small.messages) == TURNS_LEFT


def test_what_is_forgotten_is_gone_from_the_others_memories_too(at_hand: AtHand, ledger: Empty) -> None:
    for name in ("c1", "c2"):
        at_hand.add(JIHUN, name, _exchange(0))
    at_hand.forget("c1")
    assert at_hand.as_read(JIHUN, "c1", "llama").messages == ()
    assert ledger.asked.count("c1") == 2
    other = at_hand.as_read(JIHUN, "c2", "llama")
    assert (_texts(other.messages), other.shown) == (["0번째 질문", "0번째 대답"], frozenset())


def test_what_is_erased_while_the_ledger_is_asked_for_it_is_asked_for_again() -> None:
    class Slow(Empty):
        """A ledger in whose first answer the erased turn still stands."""

        def conversation(self, conversation_id: str, owners: Sequence[str]) -> SimpleNamespace | None:
            super().conversation(conversation_id, owners)
            if len(self.asked) > 1:
                return None
            slow.forget(conversation_id)  # waits for nothing: the lock is not held over the ledger
            turn = SimpleNamespace(role="user", speaker="jihun", text="비밀")
            return SimpleNamespace(owners=set(), turns=(turn,))

    ledger = Slow()
    slow = AtHand(cast("Ledger", ledger))
    assert slow.as_read(JIHUN, "c1", "llama").messages == ()
    assert ledger.asked == ["c1", "c1"]


def test_the_conversation_that_was_longest_unused_goes_first(at_hand: AtHand, ledger: Empty) -> None:
    for number in range(CONVERSATIONS_KEPT + 1):
        at_hand.add(JIHUN, f"c{number}", _exchange(0))
        at_hand.as_read(JIHUN, "c0", "llama")
    assert ledger.asked.count("c0") == 1
    at_hand.as_read(JIHUN, "c1", "llama")
    assert ledger.asked.count("c1") == 2


@given(
    memories=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    room=st.integers(12, 120),
)
def test_a_prompt_never_has_more_than_its_room_and_mostly_begins_with_the_one_before(
    memories: list[int], room: int
) -> None:
    """As a brain asks: as it was read where that fits, else as it was said, and on from there."""
    at_hand = AtHand(cast("Ledger", Empty()))
    before: tuple[Message, ...] = ()
    for number, shown in enumerate(memories):
        history = at_hand.as_read(JIHUN, "c1", "llama")
        cost = sum(_words(f"{each.speaker}: {each.text}") for each in history.messages)
        if cost > room:
            history = at_hand.plain(JIHUN, "c1", "llama", room=room, count_tokens=_words)
            cost = sum(_words(f"{each.speaker}: {each.text}") for each in history.messages)
        elif number < TURNS_KEPT // 2:
            assert history.messages[: len(before)] == before
        assert cost <= room
        before = history.messages
        at_hand.add(JIHUN, "c1", _exchange(number, memories=shown))
