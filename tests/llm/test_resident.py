"""The resident model: its state, its identity, its answers, on the built-in model and small ones."""

from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from llm import (
    BadGrammarError,
    DeadlineError,
    Engine,
    Finish,
    GenerateRequest,
    Identity,
    Message,
    ModelError,
    ModelNotReadyError,
    ModelSettings,
    Piece,
    PromptTooLongError,
    QueueFullError,
    Sampling,
    State,
    Usage,
    make_runner,
)
from llm.bundled_runner import BUNDLED
from llm.context import Context
from llm.deepseek_runner import DEEPSEEK
from llm.family import Family
from llm.llama_runner import LLAMA
from llm.loaded import LoadedModel
from llm.resident import ResidentModel
from tests.llm.asking import IDENTITY, Steps, ask, inner, request, text
from tests.llm.tiny_gguf import LLAMA as TINY_LLAMA
from tests.llm.tiny_gguf import write_tiny
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm import TokenLogprob
    from llm.batch import Batch
    from tests.llm.conftest import Opener

NOISE = 1.5
"""How far apart the built-in model's likeliest tokens may lie to change places with other company in a batch."""
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
LONG = 400


def identity(version: int = 1, said: str = IDENTITY) -> Identity:
    return Identity(version=version, text=said, speaker="에코")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.fixture
def small(tiny_llama: Path, opened: Opener) -> ResidentModel:
    """A small model that answers transcripts."""
    return opened(tiny_llama)


# -- its state


def test_a_missing_file_leaves_the_model_absent(tmp_path: Path, engine: Engine) -> None:
    path = tmp_path / "none.gguf"
    model = make_runner("llama", "llama", ModelSettings(path=path, context_tokens=99), engine)
    model.load()
    assert model.status().state is State.ABSENT
    assert str(path) in model.status().detail
    assert model.context_tokens == 99
    with pytest.raises(ModelNotReadyError, match="The model llama is absent: no file at"):
        model.generate(request())
    with pytest.raises(ModelNotReadyError):
        model.count_tokens("안녕")
    with pytest.raises(ModelNotReadyError):
        model.occupancy()
    model.forget()
    model.close()


def test_a_file_that_comes_later_is_loaded_later(tmp_path: Path, tiny_llama: Path, engine: Engine) -> None:
    path = tmp_path / "late.gguf"
    model = make_runner("llama", "llama", ModelSettings(path=path, context_tokens=256, threads=1), engine)
    model.load()
    path.write_bytes(b"")
    model.load()
    assert model.status().state is State.FAILED
    assert model.status().detail.startswith(f"{path} is empty.")
    shutil.copyfile(tiny_llama, path)
    model.load()
    assert model.status().state is State.READY
    model.close()
    assert model.status().state is State.ABSENT
    assert model.status().detail == "not loaded"


def test_a_path_that_can_not_be_looked_at_is_absent(tmp_path: Path, engine: Engine) -> None:
    model = make_runner("llama", "llama", ModelSettings(path=tmp_path / ("x" * 5000)), engine)
    assert model.status().state is State.ABSENT


def test_an_unforeseen_failure_ends_in_failed(
    tiny_llama: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ResidentModel("llama", BUNDLED, ModelSettings(path=tiny_llama), engine)

    def explode(*_args: object, **_more: object) -> None:
        assert model.status().state is State.LOADING
        raise MemoryError("no room")

    monkeypatch.setattr(LoadedModel, "open", explode)
    model.load()
    assert model.status().state is State.FAILED
    assert model.status().detail == "MemoryError('no room')"


def when_opening(
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
    told: Callable[[], None] = lambda: None,
) -> None:
    """Calls something before or after a model's file is opened, and each time that progress was told."""
    opening = LoadedModel.open

    def open_it(*args: Any, progress: Callable[[float], bool], **more: Any) -> LoadedModel:
        def tell(share: float) -> bool:
            going_on = progress(share)
            told()
            return going_on

        before()
        try:
            return opening(*args, progress=tell, **more)
        finally:
            after()

    monkeypatch.setattr(LoadedModel, "open", open_it)


def test_while_it_loads_it_says_how_far_it_is(
    settings: ModelSettings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ResidentModel("bundled", BUNDLED, settings, engine)
    seen = []
    when_opening(monkeypatch, told=lambda: seen.append(model.status()))
    model.load()
    assert {status.state for status in seen} == {State.LOADING}
    shares = [status.progress for status in seen if status.progress is not None]
    assert len(shares) == len(seen) > 2
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert model.status().progress is None
    model.close()


def test_closing_stops_the_loading_and_nothing_is_wrong(
    tiny_llama: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ResidentModel("llama", BUNDLED, ModelSettings(path=tiny_llama), engine)
    when_opening(monkeypatch, before=model.close)
    model.load()
    assert (model.status().state, model.status().detail) == (State.ABSENT, "not loaded")


def test_closing_at_the_end_of_the_loading_drops_what_was_loaded(
    tiny_llama: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ResidentModel("llama", BUNDLED, ModelSettings(path=tiny_llama), engine)
    with monkeypatch.context() as during:
        when_opening(during, after=model.close)
        model.load()
    assert model.status().state is State.ABSENT
    with pytest.raises(ModelNotReadyError):
        model.generate(request())
    model.load()
    assert model.status().state is State.READY
    model.close()


def test_a_model_whose_engine_was_closed_fails_to_load(tiny_llama: Path) -> None:
    engine = Engine()
    engine.close()
    model = ResidentModel("llama", BUNDLED, ModelSettings(path=tiny_llama), engine)
    model.load()
    assert (model.status().state, model.status().detail) == (State.FAILED, "The engine was closed.")


def test_a_second_load_does_nothing(small: ResidentModel) -> None:
    before = inner(small)
    small.load()
    assert inner(small) is before


def test_what_is_loaded_is_told(model: ResidentModel) -> None:
    assert model.status().detail == "Gemma 3 270m Q4_K_M, context 512 tokens"
    assert model.context_tokens == 512
    assert model.count_tokens("안녕하세요, 에코.") > 2


def test_a_context_longer_than_the_models_own_is_cut_to_it(tiny_llama: Path, opened: Opener) -> None:
    model = opened(tiny_llama, context_tokens=40_000)
    assert model.context_tokens == 4096
    assert "context 4096 tokens, all that the model was made for" in model.status().detail


def test_a_broken_template_fails_the_load(tmp_path: Path, opened: Opener) -> None:
    model = opened(write_tiny(tmp_path / "broken.gguf", TINY_LLAMA, chat_template="{% for %}"))
    assert model.status().state is State.FAILED
    assert "chat template" in model.status().detail


def test_loading_and_answering_say_nothing(
    tiny_llama: Path, opened: Opener, capfd: pytest.CaptureFixture[str]
) -> None:
    model = opened(tiny_llama)
    ask(model, request(max_tokens=1))
    model.close()
    assert capfd.readouterr() == ("", "")


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


def agree(one: list[TokenLogprob], other: list[TokenLogprob]) -> None:
    """The same tokens, up to a place where two were as good as equally likely."""
    for mine, theirs in zip(one, other, strict=False):
        if mine.token != theirs.token:
            values = {token: value for token, _, value in mine.top}
            assert abs(values[mine.token] - values[theirs.token]) < NOISE
            return
    assert one == [] or len(one) == len(other)


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
    expected, _ = ask(small, replace(wanted, conversation=""))
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


def test_one_that_was_closed_can_be_loaded_again(small: ResidentModel) -> None:
    before = ask(small, request())
    small.close()
    small.load()
    assert ask(small, request()) == before


def test_closing_gives_the_memory_back(settings: ModelSettings, engine: Engine) -> None:
    model = ResidentModel("bundled", BUNDLED, settings, engine)
    model.load()
    ask(model, request(max_tokens=1))
    before = resident_bytes()
    model.close()
    until(lambda: before - resident_bytes() > 100 * 2**20)


# -- its identity


def test_a_pinned_identity_is_not_computed_again(model: ResidentModel) -> None:
    before = request("누구니?", max_tokens=6, logprobs=5)
    told = [each for piece in model.generate(before) for each in piece.logprobs]
    model.pin(identity(3))
    until(lambda: model.status().identity == 3)
    *pieces, last = model.generate(before)
    assert last.usage
    assert last.usage.cached_tokens == len(inner(model).prompter.identity(identity()))
    agree([each for piece in [*pieces, last] for each in piece.logprobs], told)
    assert model.status().state is State.READY
    assert model.occupancy().cells_pinned == last.usage.cached_tokens


def test_an_identity_is_pinned_before_the_model_is_loaded(tiny_llama: Path, engine: Engine) -> None:
    model = ResidentModel(
        "tiny", LLAMA, ModelSettings(path=tiny_llama, context_tokens=256, threads=1), engine
    )
    model.pin(identity(5))
    assert model.status().identity is None
    model.load()
    until(lambda: model.status().identity == 5)
    assert ask(model, request())[1].cached_tokens == len(inner(model).prompter.identity(identity()))
    model.close()


def test_the_next_identity_takes_the_place_of_the_last(small: ResidentModel) -> None:
    for version, said in ((1, "나는 에코다."), (2, "나는 아직도 에코다."), (3, "나는 아직도 에코다.")):
        small.pin(identity(version, said))
        until(lambda version=version: small.status().identity == version)  # type: ignore[misc]
        pinned = len(inner(small).prompter.identity(identity(version, said)))
        assert ask(small, request(identity=said))[1].cached_tokens == pinned
    assert small.occupancy().cells_pinned == pinned
    assert small.occupancy().stray == 0


def test_an_identity_that_is_too_long_is_a_line_in_the_log_and_the_model_answers(
    small: ResidentModel, caplog: pytest.LogCaptureFixture
) -> None:
    small.pin(identity(9, "하나 " * 600))
    until(lambda: "can't hold identity 9: it has" in caplog.text)
    assert small.status().identity is None
    assert ask(small, request(max_tokens=2))[1].completion_tokens == 2


def test_a_template_that_begins_with_the_date_is_pinned_again_behind_it(
    tiny_llama: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = opened(tiny_llama, family=LLAMA)
    today = "2026-03-15"
    render = inner(model).weights.render
    monkeypatch.setattr(inner(model).weights, "render", lambda messages: f"{today}\n{render(messages)}")

    def pinned() -> bool:
        return ask(model, request(max_tokens=1))[1].cached_tokens == len(
            inner(model).prompter.identity(identity())
        )

    model.pin(identity())
    until(lambda: model.status().identity == 1)
    assert pinned()
    today = "2026-03-16"
    until(pinned)


# -- forgetting


def test_what_is_forgotten_is_computed_again_and_the_answer_is_the_same(small: ResidentModel) -> None:
    asked = request("오늘은 무슨 요일이야?", conversation="c")
    first, cold = ask(small, asked)
    small.pin(identity())
    until(lambda: small.status().identity == 1)
    small.forget()
    assert small.status().identity is None
    assert small.status().state is State.READY
    seen = small.occupancy()
    assert seen.kept == seen.cells_used == seen.cells_pinned == seen.stray == 0
    again, usage = ask(small, asked)
    assert (again, usage.cached_tokens) == (first, cold.cached_tokens) == (first, 0)


def test_forgetting_waits_for_the_answer_under_way(small: ResidentModel, steps: Steps) -> None:
    pieces = small.generate(request(max_tokens=40))
    until(steps.waiting.is_set)
    forgetting = threading.Thread(target=small.forget)
    forgetting.start()
    steps.allow(20)
    next(pieces)
    later = small.generate(request(max_tokens=3))
    assert forgetting.is_alive()
    steps.let_go()
    assert list(pieces)[-1].finish is not Finish.CANCELLED
    forgetting.join(30)
    assert not forgetting.is_alive()
    assert text(later)


def test_forgetting_ends_where_the_model_is_closed(small: ResidentModel, steps: Steps) -> None:
    pieces = small.generate(request(max_tokens=LONG))
    until(steps.waiting.is_set)
    forgetting = threading.Thread(target=small.forget)
    forgetting.start()
    closing = threading.Thread(target=small.close)
    closing.start()
    steps.let_go()
    for thread in (forgetting, closing):
        thread.join(30)
        assert not thread.is_alive()
    with pytest.raises(ModelNotReadyError):
        list(pieces)


# -- when llama.cpp fails


def fail_once(monkeypatch: pytest.MonkeyPatch, model: ResidentModel) -> None:
    """The next step of this model fails."""
    context, compute = inner(model).batcher._context, Context.decode
    broken = [context]

    def decode(some: Context, batch: Batch) -> bool:
        if broken and some is broken[0]:
            broken.clear()
            raise ModelError("llama.cpp failed with code -3.")
        return compute(some, batch)

    monkeypatch.setattr(Context, "decode", decode)


def test_a_model_that_failed_is_loaded_again_by_itself_while_another_serves(
    tiny_llama: Path, small: ResidentModel, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = opened(tiny_llama, name="other")
    expected = ask(small, request())[0]
    small.pin(identity(4))
    until(lambda: small.status().identity == 4)
    fail_once(monkeypatch, small)
    with pytest.raises(ModelError, match=r"llama\.cpp failed with code -3\."):
        list(small.generate(request()))
    until(lambda: small.status().state is State.FAILED)
    assert small.status().detail == "llama.cpp failed with code -3. It is loaded again in 1 s."
    assert ask(other, request())[0] == expected
    with pytest.raises(ModelNotReadyError, match=r"is failed: .* It is loaded again in 1 s"):
        small.generate(request())
    until(lambda: small.status().state is State.READY and small.status().identity == 4)
    answer, usage = ask(small, request())
    assert answer == expected
    assert usage.cached_tokens == len(inner(small).prompter.identity(identity()))


def test_each_failure_soon_after_the_last_waits_longer_and_closing_ends_it(
    small: ResidentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wait in (1, 2):
        fail_once(monkeypatch, small)
        with pytest.raises(ModelError):
            list(small.generate(request()))
        until(lambda wait=wait: f"again in {wait} s" in small.status().detail)  # type: ignore[misc]
        if wait == 1:
            until(lambda: small.status().state is State.READY)
    small.close()
    assert small.status().state is State.ABSENT
    assert small._again is not None
    small._again.join(10)
    assert small.status().state is State.ABSENT


def test_a_failure_long_after_the_last_is_the_first_again(
    small: ResidentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    small._backoff_s = 32
    small._ready_since = time.monotonic() - 3600
    fail_once(monkeypatch, small)
    with pytest.raises(ModelError):
        list(small.generate(request()))
    until(lambda: "again in 1 s" in small.status().detail)


def test_a_file_that_is_not_good_when_it_is_loaded_again_is_tried_until_it_is(
    tmp_path: Path, tiny_llama: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm.resident.FIRST_BACKOFF_S", 0.01)
    path = tmp_path / "model.gguf"
    shutil.copyfile(tiny_llama, path)
    model = opened(path)
    fail_once(monkeypatch, model)
    path.unlink()
    path.write_bytes(b"")
    with pytest.raises(ModelError):
        list(model.generate(request()))
    until(lambda: f"{path} is empty" in model.status().detail and "again in" in model.status().detail)
    shutil.copyfile(tiny_llama, path)
    until(lambda: model.status().state is State.READY)


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
