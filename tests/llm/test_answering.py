"""The resident model's answers: free, within a grammar, chosen, thought, several at once, ended early."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from llm import (
    BadGrammarError,
    DeadlineError,
    Finish,
    GenerateRequest,
    Message,
    ModelError,
    ModelNotReadyError,
    Piece,
    PromptTooLongError,
    QueueFullError,
    Sampling,
    State,
    Usage,
)
from llm.deepseek_runner import DEEPSEEK
from llm.family import Family
from llm.llama_runner import LLAMA
from tests.llm.asking import LONG, Steps, agree, ask, inner, request, text
from tests.llm.tiny_gguf import QWEN2, write_tiny
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from llm import TokenLogprob
    from llm.resident import ResidentModel
    from tests.llm.conftest import Opener

NASTY = (
    'He said "go" and left.',
    "back\\slash \\n \\x41",
    "first line\nsecond line",
    "😀 오리진 👩‍👩‍👧",
    "오리진만 진화를 명령할 수 있다.",
    "오리진",
    " leading and trailing ",
    "<end_of_turn> | ::= root",
    "nul\0 and \u2028 and \ud800",
    "한" * 200,
)


# -- answers


def test_the_answer_streams_in_whole_characters(model: ResidentModel) -> None:
    pieces = list(model.generate(request("오늘 날씨가 어때?", max_tokens=24)))
    assert len(pieces) > 3
    assert not any("\ufffd" in piece.text for piece in pieces)
    assert any("가" <= char <= "힣" for piece in pieces for char in piece.text)
    assert [piece.usage is None for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert [piece.finish is None for piece in pieces] == [True] * (len(pieces) - 1) + [False]


def test_the_usage_counts_tokens(small: ResidentModel) -> None:
    wanted = request("누구니?", max_tokens=7)
    *_, last = small.generate(wanted)
    assert last.finish is Finish.LENGTH
    prompt = len(inner(small).prompter(wanted).tokens)
    assert last.usage == Usage(prompt_tokens=prompt, cached_tokens=0, completion_tokens=7)


def test_an_answer_of_no_tokens_is_refused(small: ResidentModel) -> None:
    with pytest.raises(ModelError, match="max_tokens is 0; ask for 1 or more"):
        small.generate(request(max_tokens=0))


def test_the_same_request_has_the_same_answer(small: ResidentModel) -> None:
    assert ask(small, request()) == ask(small, request())
    freely = request(sampling=Sampling(temperature=0.9, top_p=0.9, seed=7))
    assert ask(small, freely) == ask(small, freely)
    assert ask(small, freely) != ask(small, replace(freely, sampling=Sampling(temperature=0.9, seed=8)))


def test_a_stop_text_of_the_request_ends_the_answer(small: ResidentModel) -> None:
    whole, _ = ask(small, request(max_tokens=30))
    stop = whole[len(whole) // 2 :][:2]
    cut, usage = ask(small, request(max_tokens=30, stop=(stop,)))
    assert cut == whole[: whole.index(stop)].rstrip()
    assert usage.completion_tokens < 30


def test_a_prompt_that_is_too_long_is_refused_with_its_numbers(model: ResidentModel) -> None:
    words = (
        r"^The prompt has \d+ tokens and the answer needs room for 12 \(max_tokens\); "
        r"the model bundled has a context of 512 tokens, \d+ too few\.$"
    )
    with pytest.raises(PromptTooLongError, match=words):
        model.generate(request("말 " * 600))
    with pytest.raises(PromptTooLongError):
        model.generate(request(max_tokens=512))


def test_log_probabilities_come_with_their_tokens(small: ResidentModel) -> None:
    pieces = list(small.generate(request(max_tokens=9, logprobs=2)))
    told = [each for piece in pieces for each in piece.logprobs]
    assert len(told) == 9
    assert all(each.logprob == each.top[0][2] >= each.top[1][2] for each in told)
    assert not any(piece.logprobs for piece in small.generate(request(max_tokens=3)))


def test_a_schema_makes_the_answer_json(model: ResidentModel) -> None:
    schema = {
        "type": "object",
        "properties": {
            "이름": {"type": "string", "maxLength": 8},
            "나이": {"enum": [1, 2]},
            "참": {"type": "boolean"},
        },
        "required": ["이름", "나이", "참"],
    }
    answer, _ = ask(model, request("너는?", max_tokens=60, json_schema=json.dumps(schema)))
    said = json.loads(answer)
    assert set(said) == {"이름", "나이", "참"}
    assert isinstance(said["참"], bool)


def test_a_grammar_holds_for_the_answer(model: ResidentModel) -> None:
    assert ask(model, request("비가 와?", grammar='root ::= "네" | "아니요"'))[0] in {"네", "아니요"}


def test_a_grammar_that_has_no_way_on_ends_the_answer(small: ResidentModel) -> None:
    *_, last = small.generate(request(grammar="root ::= [z-a]"))
    assert last.finish is Finish.STOP


@pytest.mark.parametrize("grammar", ["root ::=(", "root ::= root", "x", "root ::= " + "(" * 30_000])
def test_a_bad_grammar_is_refused_and_the_model_goes_on(small: ResidentModel, grammar: str) -> None:
    with pytest.raises(BadGrammarError):
        small.generate(request(grammar=grammar))
    assert ask(small, request(max_tokens=2))[1].completion_tokens == 2


# -- choices


def test_the_answer_is_one_of_the_choices_to_the_letter(model: ResidentModel) -> None:
    answer, usage = ask(model, request("뭐라고 했어?", *NASTY))
    assert answer in NASTY
    assert 1 <= usage.completion_tokens <= 12


@pytest.mark.parametrize("family", [Family(name="transcript"), LLAMA], ids=lambda family: family.name)
@pytest.mark.parametrize("rest", range(0, len(NASTY), 3))
def test_nasty_sentences_can_be_chosen(tiny_llama: Path, opened: Opener, family: Family, rest: int) -> None:
    choices = NASTY[rest:] + NASTY[: rest // 2]
    assert ask(opened(tiny_llama, family=family), request("뭐라고?", *choices))[0] in choices


@pytest.mark.parametrize(
    "choices", [("가", "가나", "가나다"), ("", "가"), ("x" * 3, "x" * 300), ("\0a", "\0b"), ("a\0", "a\0\0")]
)
def test_choices_that_are_nearly_alike(small: ResidentModel, choices: tuple[str, ...]) -> None:
    assert ask(small, request("뭐라고?", *choices))[0] in choices


@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choices=st.lists(st.text(max_size=20) | st.text("\0 가\u1100😀", max_size=4), min_size=1, max_size=4))
def test_any_text_can_be_a_choice(small: ResidentModel, choices: list[str]) -> None:
    assert ask(small, request("뭐?", *choices))[0] in choices


def test_a_single_choice_is_not_computed(small: ResidentModel, steps: Steps) -> None:
    usage = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0)
    pieces = list(small.generate(request("뭐?", "하나뿐", "하나뿐")))
    assert pieces == [Piece(text="하나뿐", finish=Finish.STOP, usage=usage)]


def test_choices_need_room_only_until_they_are_decided(small: ResidentModel) -> None:
    with pytest.raises(PromptTooLongError, match=r"room for \d+ \(to choose a sentence\)"):
        small.generate(request("뭐?", "x" * 2000, "x" * 2001))
    assert ask(small, request("뭐?", "a" + "x" * 2000, "b" + "x" * 2000))[1].completion_tokens == 1


# -- thinking


def test_thinking_that_used_up_the_answer_is_an_error(tiny_qwen2: Path, opened: Opener) -> None:
    model = opened(tiny_qwen2, family=DEEPSEEK)
    pieces = model.generate(request(max_tokens=9))
    seen: list[Piece] = []
    with pytest.raises(ModelError, match=r"only thought, for \d tokens\. Raise llm\.max_tokens"):
        seen.extend(pieces)
    assert not any(piece.text for piece in seen)


def test_thoughts_come_apart_from_the_answer(tiny_qwen2: Path, opened: Opener) -> None:
    model = opened(tiny_qwen2, family=DEEPSEEK)
    pieces = list(model.generate(request(max_tokens=30, grammar='root ::= "음, 둘?</think>셋."')))
    assert "".join(piece.thought for piece in pieces) == "음, 둘?"
    assert text(pieces) == "셋."


# -- several at once


def test_six_at_once_say_what_each_says_alone(model: ResidentModel) -> None:
    wanted = [
        request(question, max_tokens=6, logprobs=5, user=question)
        for question in ("누구니?", "오늘 뭐 했어?", "What is it?", "비가 와?", "몇 시야?", "이름이 뭐야?")
    ]

    def told(pieces: list[Piece]) -> list[TokenLogprob]:
        return [each for piece in pieces for each in piece.logprobs]

    alone = [told(list(model.generate(each))) for each in wanted]
    running = [model.generate(each) for each in wanted]
    for pieces, expected in zip(running, alone, strict=True):
        agree(told(list(pieces)), expected)
    assert model.occupancy().stray == 0


def test_small_answers_are_the_same_in_company(small: ResidentModel) -> None:
    wanted = [request(f"{number}번?", max_tokens=20) for number in range(6)]
    alone = [ask(small, each)[0] for each in wanted]
    running = [small.generate(each) for each in wanted]
    assert [text(pieces) for pieces in running] == alone


def test_several_are_under_way_at_once(small: ResidentModel, steps: Steps) -> None:
    running = [small.generate(request(max_tokens=200)) for _ in range(3)]
    until(steps.waiting.is_set)
    steps.allow(40)
    firsts = [next(pieces) for pieces in running]
    assert all(piece.finish is None for piece in firsts)
    steps.let_go()
    for pieces in running:
        pieces.close()  # type: ignore[attr-defined]
    until(lambda: small.occupancy().running == 0)


def test_a_full_queue_says_when_to_come_again(tiny_llama: Path, opened: Opener, steps: Steps) -> None:
    model = opened(tiny_llama, parallel=1, waiting=2)
    running = [model.generate(request(max_tokens=2))]
    until(steps.waiting.is_set)
    running += [model.generate(request(max_tokens=2)) for _ in range(2)]
    with pytest.raises(QueueFullError, match=r"answers 1 and 2 more wait\. Try again in 4 s\.") as raised:
        model.generate(request())
    assert raised.value.retry_after_s == 4
    steps.let_go()
    assert all(list(pieces)[-1].finish for pieces in running)
    assert ask(model, request(max_tokens=1))[1].completion_tokens == 1


def test_a_conversation_goes_on_where_it_was(small: ResidentModel) -> None:
    first = request("누구니?", conversation="c")
    answer, _ = ask(small, first)
    said = Message(role="assistant", speaker="에코", text=answer)
    more = Message(role="user", speaker="지훈", text="정말?")
    _, usage = ask(small, replace(first, messages=(*first.messages, said, more)))
    assert usage.cached_tokens >= len(inner(small).prompter(first).tokens)
    _, elsewhere = ask(small, replace(first, messages=(*first.messages, said, more), conversation="d"))
    assert elsewhere.cached_tokens == 0


# -- ending early


def test_closing_the_iterator_ends_the_answer_within_a_step(small: ResidentModel, steps: Steps) -> None:
    pieces = small.generate(request(max_tokens=LONG))
    until(steps.waiting.is_set)
    pieces.close()  # type: ignore[attr-defined]
    steps.let_go()
    until(lambda: small.occupancy().running == 0)
    assert list(pieces) == []
    assert small.occupancy().cells_used == small.occupancy().stray == 0


def test_an_answer_that_nobody_reads_is_given_up(small: ResidentModel, steps: Steps) -> None:
    small.generate(request(max_tokens=LONG))
    steps.let_go()
    until(lambda: small.occupancy().running == small.occupancy().waiting == 0)
    assert text(small.generate(request(max_tokens=3)))


def test_a_closed_answer_leaves_a_sound_cache(small: ResidentModel) -> None:
    wanted = request("오늘 날씨가 어때?", conversation="c")
    # Of one that ended by itself: its last token alone is computed again, as after one that was closed.
    undisturbed = replace(wanted, conversation="undisturbed")
    ask(small, undisturbed)
    expected, _ = ask(small, undisturbed)
    for _ in range(2):
        pieces = small.generate(replace(wanted, max_tokens=LONG))
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
    assert ask(small, wanted)[0] == expected


def test_a_cancelled_answer_says_what_it_cost(small: ResidentModel, steps: Steps) -> None:
    cancelled = threading.Event()
    pieces = small.generate(request(max_tokens=LONG, cancelled=cancelled))
    steps.allow(8)
    seen = [next(pieces)]
    until(steps.waiting.is_set)
    cancelled.set()
    steps.let_go()
    seen += list(pieces)
    assert seen[-1].finish is Finish.CANCELLED
    usage = seen[-1].usage
    assert usage
    assert 1 <= usage.completion_tokens < LONG


def test_one_that_was_cancelled_while_it_waited_cost_nothing(
    tiny_llama: Path, opened: Opener, steps: Steps
) -> None:
    model = opened(tiny_llama, parallel=1)
    running = model.generate(request(max_tokens=LONG))
    until(steps.waiting.is_set)
    cancelled = threading.Event()
    waiting = model.generate(request(cancelled=cancelled))
    cancelled.set()
    steps.let_go()
    (last,) = waiting
    assert last.finish is Finish.CANCELLED
    assert last.usage
    assert last.usage.completion_tokens == last.usage.cached_tokens == 0
    running.close()  # type: ignore[attr-defined]


def test_a_late_answer_gives_what_was_said_in_time(
    small: ResidentModel, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = threading.Event()
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600 * later.is_set())
    monkeypatch.setattr("llm.engine.job.time", clock)
    pieces = small.generate(request(max_tokens=LONG, deadline_s=600))
    steps.allow(8)
    said = [next(pieces)]
    until(steps.waiting.is_set)
    later.set()
    steps.let_go()
    with pytest.raises(DeadlineError, match=r"had \d+ tokens of the answer when its time was over"):
        said.extend(pieces)
    assert text(said)
    assert list(pieces) == []


def test_one_that_waited_too_long_is_late_too(tiny_llama: Path, opened: Opener, steps: Steps) -> None:
    model = opened(tiny_llama, parallel=1)
    running = model.generate(request(max_tokens=LONG))
    until(steps.waiting.is_set)
    late = model.generate(request(deadline_s=0))
    steps.let_go()
    with pytest.raises(DeadlineError, match="had 0 tokens"):
        list(late)
    running.close()  # type: ignore[attr-defined]


def test_closing_the_model_ends_its_answers(small: ResidentModel, steps: Steps) -> None:
    running = [small.generate(request(max_tokens=LONG)) for _ in range(2)]
    until(steps.waiting.is_set)
    closing = threading.Thread(target=small.close)
    closing.start()
    until(lambda: small.status().state is State.ABSENT)
    steps.let_go()
    closing.join(30)
    for pieces in running:
        with pytest.raises(ModelNotReadyError, match="The model tiny was closed while it answered"):
            list(pieces)
    with pytest.raises(ModelNotReadyError, match="The model tiny is absent"):
        small.generate(request())


def test_a_failure_of_one_answers_sampler_is_that_answers_alone(
    small: ResidentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_logits: object) -> int:
        raise RuntimeError("no token")

    good = small.generate(request(max_tokens=5))
    with monkeypatch.context() as broken:
        broken.setattr("llm.sampler.Sampler.draw", lambda _self, logits: explode(logits))
        bad = small.generate(request(sampling=Sampling(temperature=1)))
        with pytest.raises(
            ModelError, match=r"failed in the middle of an answer: RuntimeError\('no token'\)"
        ):
            list(bad)
    assert small.status().state is State.READY
    assert ask(small, request(max_tokens=2))[1].completion_tokens == 2
    good.close()  # type: ignore[attr-defined]


def test_a_request_without_messages_is_answered(small: ResidentModel) -> None:
    assert ask(small, GenerateRequest(messages=(), max_tokens=2))[1].completion_tokens == 2


def test_a_prompt_without_a_token_is_refused(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It would be answered from another request's logits. Qwen's vocabularies put no start token first.
    monkeypatch.setattr("llm.weights.llama_cpp.llama_vocab_get_add_bos", lambda _vocabulary: False)
    model = opened(write_tiny(tmp_path / "mute.gguf", QWEN2, chat_template="{{ '' }}"))
    with pytest.raises(ModelError, match="makes no prompt of these messages"):
        model.generate(request())


@pytest.mark.parametrize(
    "template", ["{{ 1 / 0 }}", "{{ 'a'.encode('x') }}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"]
)
def test_a_template_that_fails_is_an_error_of_the_model(
    opened: Opener, tmp_path: Path, template: str
) -> None:
    model = opened(write_tiny(tmp_path / "failing.gguf", QWEN2, chat_template=template))
    with pytest.raises(ModelError, match="chat template refuses the conversation"):
        model.generate(request())
