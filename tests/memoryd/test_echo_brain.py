from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from llm import (
    BadGrammarError,
    DeadlineError,
    Finish,
    GenerateRequest,
    Identity,
    Message,
    ModelError,
    Piece,
    PromptTooLongError,
    QueueFullError,
    Sampling,
    State,
)
from memoryd.at_hand import TURNS_LEFT
from memoryd.echo_brain import (
    BUILT_IN_NOTE,
    Answer,
    BrainSettings,
    EchoBrain,
    Question,
    Recalled,
    Thought,
    Token,
)
from memoryd.errors import (
    BadRequestError,
    BusyError,
    MemorydError,
    ModelFailedError,
    NoModelError,
    NotFoundError,
    TooSlowError,
)
from memoryd.journal import Journal
from memoryd.ledger import IdentityRow
from memoryd.mood import Moods
from memoryd.own_part import OwnParts
from memoryd.prompt import MEMORIES_HEADING, QUESTION_HEADING
from memoryd.quotes import Quotes
from memoryd.testing import FakeClock, FakeGenerator
from memoryd.users import User
from tests.memoryd.parts import WORDS, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memoryd.echo_brain import Event

WHERE = "두부는 어디에서 자?"
CAT = "두부는 지붕 위에서 잠을 자는 회색 고양이야."
IDENTITY = IdentityRow(
    version=7, digest="d", created_at=FakeClock().now(), tokens=4, missing=(), text="나는 에코다.\n"
)


class Being:
    """A brain over a home, with the generators of a test."""

    def __init__(
        self, home: Home, *generators: FakeGenerator, default: str = "llama", identity: bool = True
    ) -> None:
        self.home = home
        self.clock = FakeClock()
        self.saved: list[str] = []
        self.brain = EchoBrain(
            recall=home.recall,
            quotes=Quotes(embedder=home.embedder, words=WORDS),
            ledger=home.ledger,
            identity=lambda: IDENTITY if identity else None,
            generators={each.name: each for each in generators},
            journal=Journal(home.root),
            saved=self._save,
            clock=self.clock,
            own_parts=OwnParts(home.ledger, embedder="fake", budget=200),
            settings=BrainSettings(
                name="에코",
                default_model=default,
                passages=5,
                memory_tokens=200,
                max_tokens=100,
                temperature=0.0,
            ),
            moods=Moods(ledger=home.ledger, embedder=home.embedder, clock=self.clock, being="에코"),
        )

    def ask(self, text: str, *, model: str | None = None, conversation_id: str | None = "c1") -> list[Event]:
        question = Question(user=User(id="jihun"), text=text, model=model, conversation_id=conversation_id)
        return list(self.brain.ask(question))

    def written(self) -> list[dict[str, object]]:
        """Every line on disk that the brain wrote."""
        files = sorted(self.home.root.glob("day*/jihun/*.jsonl"))
        return [json.loads(each) for file in files for each in file.read_text("utf-8").splitlines()]

    def _save(self, path: str) -> None:
        self.saved.append(path)
        self.home.read(path)
        self.clock.pass_seconds(60)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, max_tokens=200)
    home.remember("day0310/cat.jsonl", line(CAT, speaker="지훈"))
    yield home
    home.ledger.close()


@pytest.fixture
def llama() -> FakeGenerator:
    return FakeGenerator("llama", answer="지붕 위에서 자.")


def _system(generator: FakeGenerator) -> str:
    first = generator.requests[-1].messages[0]
    assert first.role == "system"
    return first.text


def _read(question: str, *memories: str) -> str:
    """A question as the model reads it."""
    above = [f"[2026-03-10 · day0310/cat.jsonl]\n지훈: {each}" for each in memories]
    return "\n\n".join([MEMORIES_HEADING, *above, f"{QUESTION_HEADING}\n{question}"])


# An answer.


def test_an_answer_comes_as_recalled_then_tokens_then_the_whole(home: Home, llama: FakeGenerator) -> None:
    recalled, *tokens, answer = Being(home, llama).ask(WHERE)
    assert isinstance(recalled, Recalled)
    assert [CAT in hit.passage.text for hit in recalled.hits] == [True]
    assert all(isinstance(each, Token) for each in tokens)
    assert "".join(each.text for each in tokens if isinstance(each, Token)) == "지붕 위에서 자."
    assert isinstance(answer, Answer)
    assert (answer.text, answer.model, answer.conversation_id) == ("지붕 위에서 자.", "llama", "c1")
    assert (answer.identity_version, answer.degraded, answer.note) == (7, None, None)
    assert answer.hits == recalled.hits
    assert answer.usage.completion_tokens == 3
    assert 0 < answer.first_token_ms <= answer.total_ms


def test_the_prompt_is_the_identity_then_the_memories_with_the_question(
    home: Home, llama: FakeGenerator
) -> None:
    Being(home, llama).ask(WHERE)
    (request,) = llama.requests
    assert request.messages == (
        Message(role="system", speaker="에코", text=IDENTITY.text),
        Message(role="user", speaker="jihun", text=_read(WHERE, CAT)),
    )
    assert (request.max_tokens, request.sampling, request.choices) == (100, Sampling(temperature=0.0), ())
    assert (request.user, request.conversation, request.deadline_s) == ("jihun", "jihun/c1", None)


def test_the_identity_that_the_model_holds_serves_until_it_holds_the_next(
    home: Home, llama: FakeGenerator
) -> None:
    before = home.ledger.identities.add(
        digest="b", text="나는 메아리였다.\n", tokens=4, missing=(), created_at=FakeClock().now()
    )
    being = Being(home, llama)
    llama.pin(Identity(version=before.version, text=before.text))
    *_, answer = being.ask(WHERE)
    assert isinstance(answer, Answer)
    assert (answer.identity_version, _system(llama)) == (before.version, before.text)
    llama.pin(Identity(version=IDENTITY.version, text=IDENTITY.text))
    *_, answer = being.ask(WHERE)
    assert isinstance(answer, Answer)
    assert (answer.identity_version, _system(llama)) == (IDENTITY.version, IDENTITY.text)


def test_an_identity_that_nobody_knows_any_more_serves_nobody(home: Home, llama: FakeGenerator) -> None:
    llama.pin(Identity(version=99, text="?"))
    Being(home, llama).ask(WHERE)
    assert _system(llama) == IDENTITY.text


def test_a_being_without_identity_and_memories_still_answers(home: Home, llama: FakeGenerator) -> None:
    (home.root / "day0310/cat.jsonl").unlink()
    home.read("day0310/cat.jsonl")
    answer = Being(home, llama, identity=False).ask("안녕")[-1]
    assert isinstance(answer, Answer)
    assert (answer.identity_version, answer.hits) == (0, ())
    assert _system(llama) == ""


def test_a_question_may_set_its_longest_answer(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    list(being.brain.ask(Question(user=User(id="jihun"), text="안녕", max_tokens=7)))
    assert llama.requests[-1].max_tokens == 7


def test_a_broken_index_is_told_with_the_answer(home: Home, llama: FakeGenerator) -> None:
    home.index.broken = True
    recalled, *_, answer = Being(home, llama).ask(WHERE)
    assert isinstance(recalled, Recalled)
    assert isinstance(answer, Answer)
    assert recalled.degraded
    assert recalled.degraded == answer.degraded


def test_a_quoting_model_is_given_sentences_to_choose_from(home: Home) -> None:
    bundled = FakeGenerator("bundled", quotes=True)
    answer = Being(home, bundled, default="bundled").ask(WHERE)[-1]
    assert isinstance(answer, Answer)
    assert bundled.requests[-1].choices == (CAT,)
    assert (answer.text, answer.note) == (CAT, BUILT_IN_NOTE)


# The conversation.


def _history(generator: FakeGenerator) -> list[tuple[str, str, str]]:
    return [(each.role, each.speaker, each.text) for each in generator.requests[-1].messages[1:]]


EXPECTED_HISTORY = [
    ("user", "jihun", _read(WHERE, CAT)),
    ("assistant", "에코", "지붕 위에서 자."),
    ("user", "jihun", "왜?"),
]


def _forget_the_cat(being: Being) -> None:
    being.home.ledger.files.remove("day0310/cat.jsonl")


def test_a_conversation_goes_on_from_the_prompt_before_word_for_word(
    home: Home, llama: FakeGenerator
) -> None:
    """What the model has read is in its cache, and only what is new has to be computed."""
    being = Being(home, llama)
    being.ask(WHERE)
    _forget_the_cat(being)
    being.ask("왜?")
    assert _history(llama) == EXPECTED_HISTORY
    first, second = llama.requests
    assert second.messages[: len(first.messages)] == first.messages


def test_a_conversation_goes_on_after_a_restart_as_it_was_said(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    being.ask(WHERE)
    _forget_the_cat(being)
    Being(home, llama).ask("왜?")
    assert _history(llama) == [("user", "jihun", WHERE), *EXPECTED_HISTORY[1:]]


def test_memories_that_were_read_are_never_written(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    for _ in range(3):
        being.ask(WHERE)
    assert {record["text"] for record in being.written()} == {WHERE, "지붕 위에서 자."}
    assert MEMORIES_HEADING not in " ".join(home.said())


def test_another_conversation_begins_empty(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    being.ask(WHERE)
    being.ask("왜?", conversation_id="c2")
    assert _history(llama) == [("user", "jihun", _read("왜?", CAT))]


def test_a_question_without_a_conversation_begins_one(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    answers = [being.ask("안녕", conversation_id=None)[-1] for _ in range(2)]
    names = {answer.conversation_id for answer in answers if isinstance(answer, Answer)}
    assert len(names) == 2
    assert {record["conversation"] for record in being.written()} == names


def test_nobody_goes_on_with_anothers_conversation(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    being.ask(WHERE)
    list(being.brain.ask(Question(user=User(id="sumin"), text="왜?", conversation_id="c1")))
    assert _history(llama) == [("user", "sumin", _read("왜?", CAT))]


def test_the_newest_turns_that_fit_are_kept_from_a_question_on(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    for number in range(12):
        being.ask(f"{number}번째 질문")
    assert len(_history(llama)) == 11 * 2 + 1
    llama.context_tokens = 100 + 64 + len(IDENTITY.text.split()) + 80
    being.ask("마지막 질문")
    history = _history(llama)
    assert 1 < len(history) < TURNS_LEFT
    assert history[0][0] == "user"


# What is written.


def test_an_exchange_is_written_once_with_what_it_was_built_from(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    recalled, *_ = being.ask(WHERE)
    assert isinstance(recalled, Recalled)
    question, answer = being.written()
    assert [question[key] for key in ("role", "speaker", "text", "conversation")] == [
        "user",
        "jihun",
        WHERE,
        "c1",
    ]
    assert "citations" not in question
    assert [answer[key] for key in ("role", "speaker", "text")] == ["assistant", "에코", "지붕 위에서 자."]
    assert answer["citations"] == [hit.passage.id for hit in recalled.hits]
    assert answer["identity_version"] == 7
    (path,) = being.saved
    assert path == f"day{FakeClock().now():%m%d}/jihun/{FakeClock().now():%Y-%m-%d}_c1.jsonl"


@pytest.mark.parametrize(
    ("erased", "kept"),
    [("elsewhere", [WHERE]), ("c1", []), (None, [WHERE, "지붕 위에서 자."])],
)
def test_an_answer_that_was_begun_before_an_erasure_is_not_kept(
    home: Home, llama: FakeGenerator, erased: str | None, kept: list[str]
) -> None:
    being = Being(home, llama)
    events = being.brain.ask(Question(user=User(id="jihun"), text=WHERE, conversation_id="c1"))
    next(events)
    if erased:
        being.brain._journal.note_erased(erased, ["jihun"])
    answer = list(events)[-1]
    assert isinstance(answer, Answer)
    assert answer.text == "지붕 위에서 자."
    assert answer.saved is (erased is None)
    assert [record["text"] for record in being.written()] == kept


def test_a_conversation_that_is_forgotten_is_not_at_hand(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    being.ask(WHERE)
    home.ledger.files.remove(being.saved[0])
    _forget_the_cat(being)
    being.brain.forget("c1")
    being.ask("그럼 낮에는?")
    assert [message.text for message in llama.requests[-1].messages[1:]] == ["그럼 낮에는?"]


def test_after_an_erasure_no_conversation_shows_what_it_was_read_with(
    home: Home, llama: FakeGenerator
) -> None:
    being = Being(home, llama)
    being.ask(WHERE)
    _forget_the_cat(being)
    being.brain.forget("cat")
    being.ask("왜?")
    assert _history(llama) == [("user", "jihun", WHERE), *EXPECTED_HISTORY[1:]]


def test_an_answer_is_not_recalled_beside_its_sources(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    being.ask(WHERE)
    recalled, *_ = being.ask(WHERE, conversation_id="c2")
    assert isinstance(recalled, Recalled)
    assert [hit.passage.path for hit in recalled.hits] == ["day0310/cat.jsonl"]


def test_closing_early_stops_the_model_and_keeps_what_was_said(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    events = being.brain.ask(Question(user=User(id="jihun"), text=WHERE))
    assert [type(next(events)) for _ in range(3)] == [Recalled, Token, Token]
    events.close()  # type: ignore[attr-defined]
    assert llama.closed_early
    assert [record["text"] for record in being.written()] == [WHERE, "지붕 위에서"]
    assert len(being.saved) == 1


def test_closing_before_the_first_token_keeps_the_question(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    events = being.brain.ask(Question(user=User(id="jihun"), text=WHERE))
    next(events)
    events.close()  # type: ignore[attr-defined]
    (request,) = llama.requests
    assert request.cancelled is not None
    assert request.cancelled.is_set()
    assert [record["text"] for record in being.written()] == [WHERE]


def test_what_a_model_said_before_it_failed_is_kept(home: Home) -> None:
    class Failing(FakeGenerator):
        def _pieces(self, _request: GenerateRequest) -> Iterator[Piece]:
            yield Piece(text="지붕")
            raise ModelError("llama ran out of memory")

    being = Being(home, Failing("llama", answer="지붕 위에서 자."))
    with pytest.raises(ModelFailedError, match="out of memory"):
        being.ask(WHERE)
    assert [record["text"] for record in being.written()] == [WHERE, "지붕"]


def test_a_question_too_long_for_the_model_is_told_what_to_do(home: Home) -> None:
    class Short(FakeGenerator):
        def generate(self, request: GenerateRequest) -> Iterator[Piece]:
            raise PromptTooLongError(f"The prompt and {request.max_tokens} tokens exceed the context.")

    being = Being(home, Short("llama"))
    with pytest.raises(BadRequestError, match=r"100 tokens.*Ask in fewer words"):
        being.ask(WHERE)
    # It will be put in other words; kept, it would stand in the history once for each try.
    assert being.written() == []


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (QueueFullError("llama: 32 wait.", retry_after_s=7.5), BusyError),
        (BadGrammarError("root: no such rule."), BadRequestError),
    ],
)
def test_a_question_that_a_model_refuses_is_refused_before_anything_comes_and_not_kept(
    home: Home, raised: ModelError, expected: type[MemorydError]
) -> None:
    class Refusing(FakeGenerator):
        def generate(self, _request: GenerateRequest) -> Iterator[Piece]:
            raise raised

    being = Being(home, Refusing("llama"))
    with pytest.raises(expected) as told:
        next(being.brain.ask(Question(user=User(id="jihun"), text=WHERE)))
    assert str(raised) in str(told.value)
    assert getattr(told.value, "retry_after_s", 7.5) == 7.5
    assert being.written() == []


def test_what_was_said_until_the_deadline_is_kept(home: Home) -> None:
    class Slow(FakeGenerator):
        def _pieces(self, _request: GenerateRequest) -> Iterator[Piece]:
            yield Piece(text="지붕")
            raise DeadlineError("llama had 3 s.")

    slow = Slow("llama")
    being = Being(home, slow)
    with pytest.raises(TooSlowError, match=r"llama had 3 s\. .*is kept"):
        list(being.brain.ask(Question(user=User(id="jihun"), text=WHERE, deadline_s=3.0)))
    assert [record["text"] for record in being.written()] == [WHERE, "지붕"]
    given = slow.requests[0].deadline_s
    assert given is not None
    assert 0 < given < 3.0


def test_a_deadline_that_recall_has_used_up_asks_no_model(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    with pytest.raises(TooSlowError, match="deadline_s"):
        list(being.brain.ask(Question(user=User(id="jihun"), text=WHERE, deadline_s=1e-6)))
    assert llama.requests == []
    assert [record["text"] for record in being.written()] == [WHERE]


def test_a_question_that_is_cancelled_ends_and_keeps_what_was_said(home: Home, llama: FakeGenerator) -> None:
    being, cancelled = Being(home, llama), threading.Event()
    events = being.brain.ask(Question(user=User(id="jihun"), text=WHERE, cancelled=cancelled))
    assert [type(next(events)) for _ in range(2)] == [Recalled, Token]
    cancelled.set()
    (answer,) = events
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish, answer.saved) == ("지붕", Finish.CANCELLED, True)
    assert [record["text"] for record in being.written()] == [WHERE, "지붕"]


def test_an_answer_says_why_it_ended(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama)
    *_, whole = being.ask(WHERE)
    *_, cut = being.brain.ask(Question(user=User(id="jihun"), text=WHERE, max_tokens=2))
    assert isinstance(whole, Answer)
    assert isinstance(cut, Answer)
    assert (whole.finish, cut.finish, cut.text) == (Finish.STOP, Finish.LENGTH, "지붕 위에서")
    request = llama.requests[0]
    assert request.cancelled is not None
    assert not request.cancelled.is_set()


def test_a_thought_is_told_apart_and_never_kept(home: Home) -> None:
    thinking = FakeGenerator("llama", answer="지붕 위에서 자.", thought="고양이는 높은 곳을 좋아하지…")
    being = Being(home, thinking)
    recalled, thought, *tokens, answer = being.ask(WHERE)
    assert isinstance(recalled, Recalled)
    assert thought == Thought(thinking.thought)
    assert {type(each) for each in tokens} == {Token}
    assert isinstance(answer, Answer)
    assert (answer.thought, answer.text) == (thinking.thought, "지붕 위에서 자.")
    assert [record["text"] for record in being.written()] == [WHERE, "지붕 위에서 자."]
    being.ask("왜?")
    assert all(thinking.thought not in text for _, _, text in _history(thinking))


# Who answers.


def _nothing_is_written(being: Being) -> bool:
    return being.written() == [] and being.saved == []


def test_a_model_that_nobody_knows_is_not_found(home: Home, llama: FakeGenerator) -> None:
    being = Being(home, llama, FakeGenerator("bundled"))
    with pytest.raises(NotFoundError, match=r'"gpt".*llama, bundled'):
        being.ask("안녕", model="gpt")
    assert _nothing_is_written(being)


def test_a_named_model_answers_even_where_another_is_the_default(home: Home, llama: FakeGenerator) -> None:
    other = FakeGenerator("mixtral", answer="나는 믹스트랄.")
    answer = Being(home, llama, other).ask("안녕", model="mixtral")[-1]
    assert isinstance(answer, Answer)
    assert (answer.model, answer.note, llama.requests) == ("mixtral", None, [])


def test_no_other_model_stands_in_for_a_named_one(home: Home, llama: FakeGenerator) -> None:
    mixtral = FakeGenerator("mixtral")
    mixtral.state = State.LOADING
    being = Being(home, llama, mixtral)
    with pytest.raises(NoModelError, match="mixtral is loading"):
        being.ask("안녕", model="mixtral")
    assert _nothing_is_written(being)


def test_where_no_model_is_ready_the_state_of_each_is_told(home: Home, llama: FakeGenerator) -> None:
    bundled = FakeGenerator("bundled")
    llama.state, bundled.state = State.ABSENT, State.FAILED
    being = Being(home, llama, bundled)
    with pytest.raises(NoModelError) as told:
        being.ask("안녕")
    assert "llama is absent" in str(told.value)
    assert "bundled is failed" in str(told.value)
    assert _nothing_is_written(being)


def test_a_being_without_models_says_that_they_are_switched_off(home: Home) -> None:
    with pytest.raises(MemorydError, match=r"llm\.enabled is false"):
        Being(home).ask("안녕")


def test_the_bundled_model_stands_in_for_the_default_and_says_so(home: Home, llama: FakeGenerator) -> None:
    llama.state = State.LOADING
    bundled = FakeGenerator("bundled", quotes=True)
    answer = Being(home, llama, FakeGenerator("mixtral"), bundled).ask(WHERE)[-1]
    assert isinstance(answer, Answer)
    assert answer.model == "bundled"
    assert '"llama" does not answer (llama is loading).' in (answer.note or "")
    assert BUILT_IN_NOTE in (answer.note or "")


def test_a_default_that_is_not_configured_is_named(home: Home) -> None:
    answer = Being(home, FakeGenerator("mixtral"), default="llama").ask("안녕")[-1]
    assert isinstance(answer, Answer)
    assert answer.note == '"llama" does not answer (it is not configured).'
