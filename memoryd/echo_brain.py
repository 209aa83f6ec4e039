"""Answers a question as the being: identity, the conversation, recalled passages, then the model.

question ─▶ recall ─▶ [identity][conversation][own part][memories][mood][question] ─▶ model ─▶ answer
                                                                                     └─▶ journal ─▶ memory/ ─▶ watcher
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llm import (
    BadGrammarError,
    DeadlineError,
    Finish,
    GenerateRequest,
    Message,
    ModelError,
    ModelNotReadyError,
    PromptTooLongError,
    QueueFullError,
    Sampling,
    State,
    Usage,
)
from memoryd.at_hand import AtHand, Said
from memoryd.errors import (
    BadRequestError,
    BusyError,
    MemorydError,
    ModelFailedError,
    NoModelError,
    NotFoundError,
    TooSlowError,
)
from memoryd.forgetting import in_words as proposal_in_words
from memoryd.forgetting import proposals, what_to_forget
from memoryd.journal import Utterance, new_conversation_id
from memoryd.mood_words import in_words as mood_in_words
from memoryd.prompt import Beside, Room, make_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from llm import Generator, Piece
    from memoryd.clock import Clock
    from memoryd.forgetting import Proposal
    from memoryd.journal import Journal
    from memoryd.ledger import IdentityRow, Ledger
    from memoryd.mood import Moods
    from memoryd.mood_words import Mood
    from memoryd.own_part import OwnParts
    from memoryd.prompt import Prompt, PromptReport
    from memoryd.quotes import Quotes
    from memoryd.recall import Hit
    from memoryd.recall.recall import Recall
    from memoryd.users import User

log = logging.getLogger(__name__)

BUNDLED = "bundled"
NOTHING_USED = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0)
BUILT_IN_NOTE = (
    "This is the built-in model: it only quotes the nearest memory. For real answers put a GGUF model "
    '(Q4_K_M) in place and name it in config.toml: [models.llama] path, and llm.default = "llama".'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """First event: the memories that the answer is built from."""

    hits: tuple[Hit, ...]
    degraded: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """A bit of the answer, as it is computed."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A bit of what a thinking model thinks before it answers; it is told and never kept."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Last event: the whole answer with how it was made, and whether it was kept. Times in milliseconds.

    Attributes:
        thought: None where the model did not think.
        finish: why the answer ended.
        report: how its prompt's room was split, where that was asked for.
        proposed: the conversations that a request to forget may mean.
    """

    text: str
    thought: str | None
    finish: Finish | None
    saved: bool
    model: str
    conversation_id: str
    identity_version: int
    degraded: str | None
    note: str | None
    hits: tuple[Hit, ...]
    usage: Usage
    recall_ms: float
    first_token_ms: float
    total_ms: float
    report: PromptReport | None = None
    proposed: tuple[Proposal, ...] = ()


Event = Recalled | Token | Thought | Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked, by whom, in which conversation.

    Attributes:
        owners: whose memories are recalled, of those that the user sees; None for all of them.
        deadline_s: seconds until the answer must be done.
        explain: whether the answer brings its prompt's report.
        cancelled: set by anybody, at any time, when nobody waits for the answer any more.
    """

    user: User
    text: str
    model: str | None = None
    conversation_id: str | None = None
    owners: tuple[str, ...] | None = None
    max_tokens: int | None = None
    deadline_s: float | None = None
    explain: bool = False
    cancelled: threading.Event | None = None

    @property
    def seen(self) -> tuple[str, ...]:
        """Whose memories are recalled."""
        return self.user.owners if self.owners is None else self.owners


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainSettings:
    """Budgets in tokens, and who answers."""

    name: str
    default_model: str
    passages: int
    memory_tokens: int
    max_tokens: int
    temperature: float


@dataclass(slots=True)
class _Told:
    """What came from the model so far."""

    said: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    finish: Finish | None = None
    usage: Usage = NOTHING_USED

    def hear(self, piece: Piece) -> Iterator[Event]:
        """Takes a piece in, and tells it on."""
        if piece.thought:
            self.thoughts.append(piece.thought)
            yield Thought(piece.thought)
        if piece.text:
            self.said.append(piece.text)
            yield Token(piece.text)
        self.finish = piece.finish or self.finish
        self.usage = piece.usage or self.usage

    @property
    def text(self) -> str:
        """The answer."""
        return "".join(self.said).strip()


class EchoBrain:
    """Puts the parts of an answer together.

    Args:
        generators: by name.
        identity: the newest.
        saved: told of each file that an exchange was written to.
        moods: how the words of the last hours read.
    """

    def __init__(
        self,
        *,
        recall: Recall,
        quotes: Quotes,
        ledger: Ledger,
        identity: Callable[[], IdentityRow | None],
        generators: Mapping[str, Generator],
        journal: Journal,
        saved: Callable[[str], None],
        clock: Clock,
        settings: BrainSettings,
        own_parts: OwnParts,
        moods: Moods,
    ) -> None:
        self._recall = recall
        self._quotes = quotes
        self._ledger = ledger
        self._identity = identity
        self._generators = generators
        self._journal = journal
        self._saved = saved
        self._clock = clock
        self._settings = settings
        self._moods = moods
        self._at_hand = AtHand(ledger)
        self._own_parts = own_parts

    def ask(self, question: Question) -> Iterator[Event]:
        """Streams the answer: what was recalled, the tokens, the whole.

        Closing the iterator, or `cancelled`, stops the model; the question and what was answered so far are kept.

        Raises:
            NotFoundError: no such model.
            NoModelError: no model is ready, or not the one named.
            BadRequestError: the question is too long for the model.
            BusyError: too many questions wait for the model.
            TooSlowError: the question's deadline is over.
        """
        begun = time.perf_counter()
        if (what := what_to_forget(question.text)) is not None:
            yield from self._propose(question, what, begun)
            return
        asked_at, erasures = self._clock.now(), self._journal.erasures
        generator, note = self._generator(question.model)
        conversation_id = question.conversation_id or new_conversation_id()
        cancelled = question.cancelled or threading.Event()
        found = self._recall.memories(
            question.text,
            owners=question.seen,
            count=self._settings.passages,
            now=asked_at,
        )
        identity, moods = self._held(generator), self._moods.of(question.user, question.seen)
        told, prompt, first_token_ms, refused, saved = _Told(), None, 0.0, False, False
        try:
            with _speaking_plainly():
                prompt = self._prompt(
                    question, conversation_id, generator, identity=identity, hits=found.hits, moods=moods
                )
                request = self._request(question, conversation_id, generator, prompt)
                # A refusal comes before the first event: it can be a plain problem document then.
                pieces = generator.generate(
                    replace(request, deadline_s=_left(question, begun), cancelled=cancelled)
                )
                yield Recalled(hits=prompt.hits, degraded=found.degraded)
                for piece in pieces:
                    first_token_ms = first_token_ms or (time.perf_counter() - begun) * 1000
                    yield from told.hear(piece)
        except (BadRequestError, BusyError):
            refused = not told.said
            raise
        finally:
            if told.finish is None:
                # Also where no piece was asked for yet: the model must not go on for nobody.
                cancelled.set()
            # Also when the client went away or the model failed: what was said is never lost. A question that was
            # refused is not kept: it will be asked again.
            if not refused:
                saved = self._keep(
                    question,
                    conversation_id=conversation_id,
                    asked_at=asked_at,
                    erasures=erasures,
                    text=told.text,
                    prompt=prompt,
                    identity=identity,
                    mood=next((mood.emotion for mood in moods if mood.being), None),
                )
        yield Answer(
            text=told.text,
            thought="".join(told.thoughts).strip() or None,
            finish=told.finish,
            saved=saved,
            model=generator.name,
            conversation_id=conversation_id,
            identity_version=identity.version if identity else 0,
            degraded=found.degraded,
            note=note,
            hits=prompt.hits,
            usage=told.usage,
            recall_ms=found.timings.total,
            first_token_ms=first_token_ms,
            total_ms=(time.perf_counter() - begun) * 1000,
            report=prompt.report,
        )

    def _propose(self, question: Question, what: str, begun: float) -> Iterator[Event]:
        """Answers a request to forget with what may be meant; nothing is erased, and nothing of it is kept."""
        user = question.user
        # Only what they may erase is sought: what is shared would crowd a member's own out.
        owners = question.seen if user.is_origin else tuple({user.id} & set(question.seen))
        found = self._recall.memories(
            what or question.text, owners=owners, count=self._settings.passages, now=self._clock.now()
        )
        proposed = proposals(found.hits, user) if what else ()
        meant = {each.conversation_id for each in proposed}
        hits = tuple(hit for hit in found.hits if hit.passage.conversation_id in meant)
        yield Recalled(hits=hits, degraded=found.degraded)
        text = proposal_in_words(question.text, proposed)
        yield Token(text)
        identity, total_ms = self._identity(), (time.perf_counter() - begun) * 1000
        yield Answer(
            text=text,
            thought=None,
            finish=Finish.STOP,
            saved=False,
            model="memoryd",
            conversation_id=question.conversation_id or new_conversation_id(),
            identity_version=identity.version if identity else 0,
            degraded=found.degraded,
            note=None,
            hits=hits,
            usage=NOTHING_USED,
            recall_ms=found.timings.total,
            first_token_ms=total_ms,
            total_ms=total_ms,
            proposed=proposed,
        )

    def _generator(self, name: str | None) -> tuple[Generator, str | None]:
        """The model to answer with, and a sentence about it where the user should know something."""
        if name is not None and name not in self._generators:
            known = ", ".join(self._generators) or "none"
            raise NotFoundError(f'There is no model "{name}". The configuration has: {known}.')
        wanted = name or self._settings.default_model
        order = [wanted] if name else list(dict.fromkeys([wanted, BUNDLED, *self._generators]))
        for each in order:
            generator = self._generators.get(each)
            if generator is not None and generator.status().state is State.READY:
                return generator, self._note(generator, wanted)
        if name and any(each.status().state is State.READY for each in self._generators.values()):
            raise NoModelError(
                f'The model "{name}" does not answer: {_state(self._generators[name])}. '
                "Leave the model out to have another one answer."
            )
        states = "; ".join(_state(self._generators[each]) for each in order if each in self._generators)
        raise NoModelError(
            f"No language model is ready to answer: {states or 'llm.enabled is false'}. Try again soon."
        )

    def _held(self, generator: Generator) -> IdentityRow | None:
        """The identity that the model holds: while it computes the next one, nobody waits for that."""
        newest, held = self._identity(), generator.status().identity
        if newest is None or held is None or held == newest.version:
            return newest
        return self._ledger.identities.get(held) or newest

    def _note(self, generator: Generator, wanted: str) -> str | None:
        notes = []
        if generator.name != wanted:
            why = _state(self._generators[wanted]) if wanted in self._generators else "it is not configured"
            notes.append(f'"{wanted}" does not answer ({why}).')
        if generator.quotes:
            notes.append(BUILT_IN_NOTE)
        return " ".join(notes) or None

    def _prompt(
        self,
        question: Question,
        conversation_id: str,
        generator: Generator,
        *,
        identity: IdentityRow | None,
        hits: Sequence[Hit],
        moods: Sequence[Mood],
    ) -> Prompt:
        text = identity.text if identity else ""
        return make_prompt(
            generator,
            identity=Message(role="system", speaker=self._settings.name, text=text),
            at_hand=self._at_hand,
            user=question.user,
            conversation_id=conversation_id,
            question=question.text,
            hits=hits,
            room=Room(memories=self._settings.memory_tokens, answer=self._longest(question)),
            beside=Beside(
                own=self._own_parts.of(question.user) if question.user.id in question.seen else "",
                mood=mood_in_words(moods, question.user.id),
            ),
            explain=question.explain,
        )

    def _request(
        self, question: Question, conversation_id: str, generator: Generator, prompt: Prompt
    ) -> GenerateRequest:
        return GenerateRequest(
            messages=prompt.messages,
            max_tokens=self._longest(question),
            sampling=Sampling(temperature=self._settings.temperature),
            choices=self._quotes.choices(question.text, prompt.hits) if generator.quotes else (),
            user=question.user.id,
            conversation=f"{question.user.id}/{conversation_id}",
        )

    def _longest(self, question: Question) -> int:
        return question.max_tokens or self._settings.max_tokens

    def heard(self, user: User, conversation_id: str, turns: Sequence[Utterance]) -> None:
        """Adds turns that were just written to the conversation at hand, before the ledger has read them."""
        said = [Said(role=turn.role, speaker=turn.speaker, text=turn.text) for turn in turns]
        self._at_hand.add(user, conversation_id, said)

    def forget(self, conversation_id: str | None = None) -> None:
        """Drops a conversation from those at hand, whoever's it is, and what the others may quote of it.

        Without an id, only what they quote.
        """
        self._own_parts.forget()
        self._at_hand.forget(conversation_id)

    def _keep(
        self,
        question: Question,
        *,
        conversation_id: str,
        asked_at: datetime,
        erasures: int,
        text: str,
        prompt: Prompt | None,
        identity: IdentityRow | None,
        mood: str | None,
    ) -> bool:
        """Writes the exchange to disk and makes it known; an answer carries what it was built from.

        An answer that was begun before an erasure may quote what is gone: it is not kept, and in the erased
        conversation the question isn't either. Says whether all of it was kept.
        """
        turns = [Utterance(role="user", speaker=question.user.id, text=question.text, time=asked_at)]
        if text:
            turns.append(
                Utterance(
                    role="assistant",
                    speaker=self._settings.name,
                    text=text,
                    time=self._clock.now(),
                    citations=tuple(each for hit in prompt.hits for each in hit.covers) if prompt else (),
                    identity_version=identity.version if identity else None,
                    mood=mood,
                )
            )
        with self._journal.held():
            user = question.user
            erased = self._journal.erased_since(erasures, user.owners)
            gone = any(each.id == conversation_id and each.owners & frozenset(user.own) for each in erased)
            kept = [] if gone else turns[:1] if erased else turns
            if not kept:
                return False
            path = self._journal.append(question.user.id, conversation_id, kept)
            said = [Said(role=turn.role, speaker=turn.speaker, text=turn.text) for turn in kept]
            if prompt and not erased:
                # The next prompt of this conversation repeats this one word for word: its cells are in the cache.
                said[0] = prompt.asked
            try:
                self._at_hand.add(question.user, conversation_id, said)
            except MemorydError:
                # The turns are on disk: that the ledger can't be read now is no reason to call them lost.
                log.exception("conversation %s is on disk and can't be kept at hand", conversation_id)
        self._saved(path)
        return kept == turns


def _left(question: Question, begun: float) -> float | None:
    """The seconds that recall has left of the question's time."""
    if question.deadline_s is None:
        return None
    left = question.deadline_s - (time.perf_counter() - begun)
    if left <= 0:
        raise TooSlowError(
            f"The {question.deadline_s:g} s of the question (deadline_s) were over before a model could begin. "
            "The question is kept; go on with its conversation, with more time."
        )
    return left


@contextmanager
def _speaking_plainly() -> Iterator[None]:
    """The models' errors as memoryd's, which name a remedy and a status."""
    try:
        yield
    except ModelNotReadyError as error:
        raise NoModelError(str(error)) from error
    except PromptTooLongError as error:
        raise BadRequestError(
            f"{error} Ask in fewer words or for a shorter answer, or raise llm.context_tokens."
        ) from error
    except QueueFullError as error:
        raise BusyError(str(error), retry_after_s=error.retry_after_s) from error
    except DeadlineError as error:
        raise TooSlowError(f"{error} The question is kept, with what was said until then.") from error
    except BadGrammarError as error:
        raise BadRequestError(str(error)) from error
    except ModelError as error:
        raise ModelFailedError(str(error)) from error


def _state(generator: Generator) -> str:
    status = generator.status()
    return f"{status.name} is {status.state}" + (f" ({status.detail})" if status.detail else "")
