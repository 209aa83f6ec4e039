"""What the cache keeps, for whom, and what goes when room is short."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from llm.base import Finish, PromptTooLongError
from llm.batch import Batch
from llm.engine.cache import Cache, Lane
from tests.llm.engine.fake_context import (
    END,
    IDENTITY,
    FakeAnswer,
    FakeContext,
    alone,
    logits_after,
    make_batcher,
    make_job,
    make_pin,
    numbers,
    outcome,
    run,
)

if TYPE_CHECKING:
    from llm.engine.job import Job
    from llm.engine.pins import Pin


class Desk:
    """A cache, with the computing that the batcher would do."""

    def __init__(self, cells: int = 200, sequences: int = 8) -> None:
        self.context = FakeContext(cells=cells, sequences=sequences)
        self.cache = Cache(self.context)

    def compute(self, sequence: int, tokens: list[int], position: int) -> None:
        batch = Batch(500)
        batch.add(tokens, position, sequence, wanted=False)
        assert self.context.decode(batch)

    def pin(self, tokens: list[int], version: int = 1, *, idle: bool = True) -> Pin:
        self.cache.want(make_pin(tokens, version))
        pin = self.cache.begin_next(idle=idle)
        assert pin is not None
        self.compute(pin.sequence, tokens, 0)
        pin.computed = len(tokens)
        assert self.cache.adopt_next() is pin
        return pin

    def answer(self, prompt: list[int], count: int = 5, *, conversation: str = "") -> Lane:
        """Opens, and computes all of it."""
        lane = self.cache.open(make_job(prompt, count, conversation=conversation))
        assert lane is not None
        self.compute(lane.sequence, prompt[lane.length :], lane.length)
        lane.length = len(prompt)
        lane.said = alone(prompt, count)
        if said := lane.said[:-1]:
            self.compute(lane.sequence, said, lane.length)
        lane.length += len(lane.said) - 1
        assert self.context.tokens(lane.sequence) == lane.tokens().tolist()
        self.check()
        return lane

    def turn(self, prompt: list[int], count: int = 5, *, conversation: str) -> Lane:
        lane = self.answer(prompt, count, conversation=conversation)
        self.cache.close(lane, keep=True)
        self.check()
        return lane

    def check(self) -> None:
        assert self.context.used <= self.cache.cells.used <= self.context.cells
        assert self.cache.stray() == 0


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_answer_s_cells_are_free_when_it_is_over(desk: Desk) -> None:
    lane = desk.answer(numbers(2, 20))
    assert desk.cache.cells.used == 25
    desk.cache.close(lane, keep=True)  # no conversation: nothing to keep it for
    assert desk.cache.cells.used == desk.context.used == 0


def test_a_prompt_begins_with_the_identity_s_cells(desk: Desk) -> None:
    desk.pin(IDENTITY)
    lane = desk.answer([*IDENTITY, *numbers(2, 20)])
    assert lane.cached == lane.base_length == 30
    assert desk.cache.cells.used == 30 + 20 + 5
    desk.cache.close(lane, keep=False)
    assert desk.cache.cells.used == desk.context.used == desk.cache.pinned == 30


def test_a_prompt_that_only_begins_like_the_identity_shares_that_much(desk: Desk) -> None:
    desk.pin(IDENTITY)
    lane = desk.answer([*IDENTITY[:12], *numbers(2, 20)])
    assert lane.cached == 12
    assert desk.cache.cells.used == 30 + 20 + 5


def test_the_last_token_of_a_prompt_is_always_computed_for_its_logits(desk: Desk) -> None:
    desk.pin(IDENTITY)
    assert desk.answer(IDENTITY).cached == 29
    prompt = numbers(2, 20)
    desk.turn(prompt, conversation="하나")
    assert desk.answer(prompt, conversation="하나").cached == 19


def test_a_conversation_goes_on_where_it_was_left(desk: Desk) -> None:
    desk.pin(IDENTITY)
    first = desk.turn([*IDENTITY, *numbers(2, 20)], conversation="하나")
    assert desk.cache.kept == 1
    known = first.tokens().tolist()
    second = desk.answer([*known, *numbers(3, 10)], conversation="하나")
    assert second.cached == len(known)
    assert second.base_length == 30
    assert second.sequence == first.sequence
    assert desk.cache.kept == 0
    assert desk.cache.cells.used == 30 + (len(known) - 30 + 10 + 5)


def test_a_conversation_is_cut_back_to_what_the_prompt_shares_with_it(desk: Desk) -> None:
    desk.pin(IDENTITY)
    desk.turn([*IDENTITY, *numbers(2, 20)], conversation="하나")
    prompt = [*IDENTITY, *numbers(2, 20)[:15], *numbers(3, 30)]
    assert desk.answer(prompt, conversation="하나").cached == 45


def test_a_conversation_that_shares_less_than_the_identity_begins_with_the_identity(desk: Desk) -> None:
    desk.turn([*IDENTITY[:10], *numbers(2, 20)], conversation="하나")
    desk.pin(IDENTITY)
    lane = desk.answer([*IDENTITY, *numbers(3, 20)], conversation="하나")
    assert lane.cached == 30
    desk.cache.close(lane, keep=True)
    assert desk.cache.kept == 1


def test_a_conversation_whose_window_lacks_something_begins_with_the_identity(desk: Desk) -> None:
    desk.pin(IDENTITY)
    first = desk.turn([*IDENTITY, *numbers(2, 20)], conversation="하나")
    desk.context.lost.add(first.sequence)
    lane = desk.answer([*first.tokens().tolist(), *numbers(3, 10)], conversation="하나")
    assert lane.cached == 30
    desk.cache.close(lane, keep=True)
    assert desk.cache.kept == 1


def test_an_identity_whose_window_lacks_something_is_not_begun_with(desk: Desk) -> None:
    desk.context.lost.add(desk.pin(IDENTITY).sequence)
    assert desk.answer([*IDENTITY[:20], *numbers(2, 20)]).cached == 0


def test_a_conversation_is_not_cut_back_behind_what_it_shares_with_the_identity(desk: Desk) -> None:
    pin = desk.pin(IDENTITY)
    desk.turn([*IDENTITY[:20], *numbers(2, 20)], conversation="하나")
    desk.context.lost.add(pin.sequence)
    lane = desk.answer([*IDENTITY[:10], *numbers(3, 20)], conversation="하나")
    assert lane.cached == 0
    assert desk.cache.cells.of(lane.job) == 35


def test_another_s_conversation_is_not_gone_on_with(desk: Desk) -> None:
    prompt = numbers(2, 20)
    desk.turn(prompt, conversation="하나")
    assert desk.answer(prompt, conversation="둘").cached == 0
    assert desk.answer(prompt).cached == 0


def test_two_answers_in_one_conversation_leave_the_later_one(desk: Desk) -> None:
    first = desk.answer(numbers(2, 20), conversation="하나")
    second = desk.answer(numbers(3, 25), conversation="하나")
    desk.cache.close(first, keep=True)
    desk.cache.close(second, keep=True)
    desk.check()
    assert desk.cache.kept == 1
    assert desk.answer(numbers(3, 25), conversation="하나").cached == 24


def test_the_conversation_used_least_recently_goes_first(desk: Desk) -> None:
    prompts = {name: numbers(number, 50) for number, name in enumerate("가나다")}
    for name in "가나다":
        desk.turn(prompts[name], conversation=name)
    desk.turn(prompts["가"], conversation="가")  # used again: now 나 is the oldest
    desk.cache.close(desk.answer(numbers(9, 60)), keep=False)
    assert desk.cache.kept == 2
    assert desk.answer(prompts["나"], 1).cached == 0
    assert desk.answer(prompts["가"], 1, conversation="가").cached == 49


def test_a_request_without_room_leaves_all_as_it_was(desk: Desk) -> None:
    lane = desk.answer(numbers(2, 150))
    assert desk.cache.open(make_job(numbers(3, 60), 5)) is None
    assert desk.cache.cells.used == 155
    desk.cache.close(lane, keep=False)
    assert desk.cache.open(make_job(numbers(3, 60), 5)) is not None


def test_no_conversation_goes_for_a_request_that_has_no_room_even_then(desk: Desk) -> None:
    desk.turn(numbers(2, 20), conversation="하나")
    lane = desk.answer(numbers(3, 100))
    assert desk.cache.open(make_job(numbers(4, 100), 5)) is None
    assert desk.cache.kept == 1
    desk.cache.close(lane, keep=False)
    assert desk.cache.open(make_job(numbers(4, 100), 5)) is not None
    assert desk.cache.kept == 1


def test_a_conversation_without_room_is_kept_until_there_is_room(desk: Desk) -> None:
    known = desk.turn(numbers(2, 60), conversation="하나").tokens().tolist()
    lane = desk.answer(numbers(3, 100))
    prompt = [*known, *numbers(4, 60)]
    assert desk.cache.open(make_job(prompt, 5, conversation="하나")) is None
    desk.check()
    assert desk.cache.kept == 1
    desk.cache.close(lane, keep=False)
    assert desk.answer(prompt, conversation="하나").cached == len(known)


def test_a_conversation_older_than_the_identity_does_not_keep_a_request_out(desk: Desk) -> None:
    """Its own copy of the identity's tokens and the identity are more than the cache has; sharing, it fits."""
    first = desk.turn([*IDENTITY, *numbers(2, 70)], conversation="하나")
    desk.pin(IDENTITY)
    prompt = [*first.tokens().tolist(), *numbers(3, 70)]
    assert len(prompt) + 5 <= desk.cache.most(np.array(prompt, np.int32))
    assert desk.answer(prompt, conversation="하나").cached == 30


def test_without_free_sequences_a_kept_conversation_goes() -> None:
    desk = Desk(sequences=2)
    desk.turn(numbers(2, 10), conversation="하나")
    desk.turn(numbers(3, 10), conversation="둘")
    first = desk.answer(numbers(4, 10))
    assert desk.cache.kept == 1
    desk.answer(numbers(5, 10))
    assert desk.cache.kept == 0
    assert desk.cache.open(make_job(numbers(6, 10))) is None
    assert desk.cache.cells.used == 30
    desk.cache.close(first, keep=True)
    assert desk.cache.open(make_job(numbers(6, 10))) is not None


def test_an_identity_is_freed_with_its_last_answer(desk: Desk) -> None:
    old = desk.pin(IDENTITY)
    one = desk.answer([*IDENTITY, *numbers(2, 20)], conversation="하나")
    two = desk.answer([*IDENTITY[:20], *numbers(3, 20)])
    desk.pin(numbers(7, 25), 2)
    assert old.retired
    assert desk.cache.pinned == 55
    desk.check()
    desk.cache.close(one, keep=True)
    assert desk.cache.pinned == 55
    desk.cache.close(two, keep=True)
    assert desk.cache.pinned == desk.cache.cells.used == desk.context.used == 25
    assert desk.cache.kept == 0  # it began with what is no more


def test_conversations_on_an_identity_go_with_it_and_others_stay(desk: Desk) -> None:
    desk.turn(numbers(2, 20), conversation="ohne")
    desk.pin(IDENTITY)
    desk.turn([*IDENTITY, *numbers(3, 20)], conversation="mit")
    desk.pin(numbers(7, 25), 2)
    assert desk.cache.kept == 1
    assert desk.answer(numbers(2, 20), conversation="ohne").cached == 19


def test_the_same_identity_under_another_version_costs_nothing(desk: Desk) -> None:
    pin = desk.pin(IDENTITY)
    desk.cache.want(make_pin(IDENTITY, 2))
    assert desk.cache.next_pin is None
    assert desk.cache.pin is pin
    assert pin.version == 2


def test_wanting_what_is_being_computed_does_not_begin_again(desk: Desk) -> None:
    desk.cache.want(make_pin(IDENTITY, 1))
    pin = desk.cache.begin_next(idle=True)
    assert pin is not None
    desk.compute(pin.sequence, IDENTITY[:10], 0)
    pin.computed = 10
    desk.cache.want(make_pin(IDENTITY, 2))
    assert desk.cache.next_pin is pin
    assert (pin.version, pin.computed) == (2, 10)


def test_another_identity_replaces_the_one_that_is_being_computed(desk: Desk) -> None:
    desk.cache.want(make_pin(IDENTITY, 1))
    pin = desk.cache.begin_next(idle=True)
    assert pin is not None
    desk.compute(pin.sequence, IDENTITY[:10], 0)
    desk.cache.want(make_pin(numbers(7, 40), 2))
    desk.check()
    assert desk.cache.cells.used == desk.context.used == 0
    desk.cache.want(make_pin(numbers(7, 40), 3))
    assert desk.cache.next_waits


def test_going_back_to_the_identity_in_force_gives_up_the_next(desk: Desk) -> None:
    desk.pin(IDENTITY)
    desk.cache.want(make_pin(numbers(7, 40), 2))
    assert desk.cache.begin_next(idle=True) is not None
    desk.cache.want(make_pin(IDENTITY, 3))
    assert desk.cache.next_pin is None
    assert desk.cache.cells.used == 30


def test_an_identity_takes_the_room_of_kept_conversations() -> None:
    desk = Desk(cells=100)
    desk.turn(numbers(2, 80), conversation="하나")
    desk.cache.want(make_pin(IDENTITY))
    assert desk.cache.begin_next(idle=False) is not None
    assert desk.cache.kept == 0


def test_no_conversation_goes_for_an_identity_that_has_no_room_even_then() -> None:
    desk = Desk(cells=300)
    desk.turn(numbers(2, 40), conversation="하나")
    lane = desk.answer(numbers(3, 200))
    desk.cache.want(make_pin(numbers(4, 120)))
    assert desk.cache.begin_next(idle=False) is None
    assert desk.cache.kept == 1
    desk.cache.close(lane, keep=False)
    assert desk.cache.begin_next(idle=True) is not None
    assert desk.cache.kept == 1


def test_the_old_identity_goes_first_only_where_both_do_not_fit_and_nobody_is_answered() -> None:
    desk = Desk(cells=100)
    desk.pin(numbers(2, 60))
    desk.cache.want(make_pin(numbers(3, 60), 2))
    assert desk.cache.begin_next(idle=False) is None
    assert desk.cache.pinned == 60
    assert desk.cache.next_waits
    assert desk.cache.begin_next(idle=True) is not None
    assert desk.cache.pin is None
    assert desk.cache.cells.used == 60


def test_an_identity_waits_for_a_sequence() -> None:
    desk = Desk(sequences=1)
    lane = desk.answer(numbers(2, 10))
    desk.cache.want(make_pin(IDENTITY))
    assert desk.cache.begin_next(idle=False) is None
    assert desk.cache.cells.used == 15
    desk.cache.close(lane, keep=False)
    assert desk.cache.begin_next(idle=True) is not None


def test_an_identity_from_disk_is_used_whole_or_not_at_all() -> None:
    desk = Desk()
    desk.pin(IDENTITY)
    assert desk.cache.pin is not None
    desk.cache.pin.restored = True  # of a sliding window, the cells in its middle are not there
    assert desk.answer([*IDENTITY[:20], *numbers(2, 10)]).cached == 0
    desk.turn([*IDENTITY, *numbers(3, 20)], conversation="하나")
    assert desk.answer([*IDENTITY, *numbers(3, 10), *numbers(4, 5)], conversation="하나").cached == 40
    desk.turn([*IDENTITY, *numbers(3, 20)], conversation="둘")
    assert desk.answer([*IDENTITY[:25], *numbers(5, 10)], conversation="둘").cached == 0


def test_the_most_that_a_request_can_get_counts_identities_that_it_does_not_share(desk: Desk) -> None:
    desk.pin(IDENTITY)
    desk.cache.want(make_pin([*IDENTITY, 1, 2], 2))
    assert desk.cache.most(np.array([*IDENTITY, 7, 8], np.int32)) == 200
    assert desk.cache.begin_next(idle=True) is not None
    assert desk.cache.most(np.array([*IDENTITY, 7, 8], np.int32)) == 200 - 32
    assert desk.cache.most(np.array([7, 8], np.int32)) == 200 - 62


def test_wiping_leaves_nothing(desk: Desk) -> None:
    desk.pin(IDENTITY)
    desk.turn([*IDENTITY, *numbers(2, 20)], conversation="하나")
    desk.cache.want(make_pin(numbers(7, 40), 2))
    desk.cache.begin_next(idle=True)
    desk.cache.wipe()
    assert desk.context.cleared == 1
    assert desk.context.used == desk.cache.cells.used == desk.cache.pinned == desk.cache.kept == 0
    assert desk.cache.pin is None
    assert desk.cache.next_pin is None
    desk.pin(IDENTITY)
    assert desk.answer([*IDENTITY, *numbers(2, 20)]).cached == 30


def test_a_lent_sequence_is_emptied_when_it_comes_back(desk: Desk) -> None:
    sequence = desk.cache.spare()
    assert sequence is not None
    desk.compute(sequence, [1, 2], 0)
    assert desk.cache.stray() == 0
    desk.cache.give_back(sequence)
    assert desk.cache.stray() == 0
    assert desk.context.used == 0


IDENTITIES = (
    numbers(1, 30),
    [*numbers(1, 20), *numbers(2, 15)],
    [*numbers(1, 30), *numbers(3, 8)],
    numbers(4, 60),
)


class AtRandom(RuleBasedStateMachine):
    """Requests, identities and people who change their minds, in any order, in a cache that is too small."""

    @initialize(cells=st.sampled_from([70, 110, 160, 400]), parallel=st.integers(1, 4))
    def start(self, cells: int, parallel: int) -> None:
        self.context = FakeContext(cells=cells, sequences=parallel + 5)
        self.batcher = make_batcher(self.context, parallel=parallel, waiting=6, size=32)
        self.jobs: list[Job] = []
        self.told: dict[str, list[int]] = {}
        self.version = 0
        self.wipes = 0
        self.wiped = 0

    @rule(
        identity=st.sampled_from([*IDENTITIES, [], [END]]),
        length=st.integers(1, 30),
        seed=st.integers(0, 5),
        count=st.integers(1, 8),
        user=st.sampled_from("기나"),
        conversation=st.sampled_from(["", "가", "나", "다"]),
        goes_on=st.booleans(),
    )
    def ask(
        self,
        identity: list[int],
        length: int,
        seed: int,
        count: int,
        user: str,
        conversation: str,
        goes_on: bool,
    ) -> None:
        begins = self.told.get(conversation, identity) if goes_on else identity
        job = make_job([*begins, *numbers(seed, length)], count, user=user, conversation=conversation)
        if self.batcher.submit(job):
            self.jobs.append(job)
            if conversation:
                self.told[conversation] = [*job.prompt.tolist(), *alone(job.prompt, count)][:90]

    @rule(tokens=st.sampled_from(IDENTITIES))
    def pin(self, tokens: list[int]) -> None:
        self.version += 1
        self.batcher.pin(make_pin(tokens, self.version))

    @rule(steps=st.integers(1, 6))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            if not self.batcher.step():
                assert not self.batcher.queue

    @rule(which=st.integers(0, 9))
    def give_up(self, which: int) -> None:
        for job in self.jobs[-1 - which : len(self.jobs) - which]:
            job.abandoned = True

    @rule(which=st.integers(0, 9))
    def be_late(self, which: int) -> None:
        for job in self.jobs[-1 - which : len(self.jobs) - which]:
            job.deadline = 0.0

    @rule()
    def wipe(self) -> None:
        self.wipes += 1
        self.batcher.wipe(self.hear)

    def hear(self) -> None:
        self.wiped += 1

    @rule()
    def no_room_once(self) -> None:
        if not self.batcher.cache.next_waits:
            self.context.no_room = 1

    @invariant()
    def cells_are_accounted_for(self) -> None:
        if hasattr(self, "batcher"):
            assert self.context.used <= self.batcher.cache.cells.used <= self.context.cells
            assert self.batcher.cache.stray() == 0

    def teardown(self) -> None:
        if not hasattr(self, "batcher"):
            return
        run(self.batcher)
        self.cells_are_accounted_for()
        assert self.wiped == self.wipes
        for job in self.jobs:
            self.check(job)
        cache = self.batcher.cache
        assert cache.next_pin is None
        while cache.make_room():
            pass
        identity = len(cache.pin.tokens) if cache.pin else 0
        assert self.context.used == cache.cells.used == cache.pinned == identity
        if cache.pin:
            assert self.context.tokens(cache.pin.sequence) == cache.pin.tokens.tolist()
            assert cache.pin.users == 0

    @staticmethod
    def check(job: Job) -> None:
        come = outcome(job)
        answer = cast("FakeAnswer", job.answer)
        assert come.over
        expected = alone(job.prompt, answer.max_tokens)
        if come.error is not None:
            late = job.deadline is not None
            assert late or isinstance(come.error, PromptTooLongError) or "ran out of cells" in str(come.error)
        elif come.finish is not Finish.CANCELLED:
            assert come.said == expected
        assert come.said == expected[: len(come.said)]


TestAtRandom = AtRandom.TestCase
TestAtRandom.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_the_fake_tells_a_mix_up() -> None:
    assert logits_after([1, 2]).argmax() != logits_after([2, 1]).argmax()
