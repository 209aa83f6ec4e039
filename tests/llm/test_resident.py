"""The resident model: its state, its identity, what it forgets and how it comes back, on models of every size."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm import (
    Engine,
    Finish,
    Identity,
    ModelError,
    ModelNotReadyError,
    ModelSettings,
    State,
    make_runner,
)
from llm.bundled_runner import BUNDLED
from llm.context import Context
from llm.llama_runner import LLAMA
from llm.loaded import LoadedModel
from llm.resident import ResidentModel
from tests.llm.asking import IDENTITY, LONG, Steps, agree, ask, inner, request, text
from tests.llm.tiny_gguf import LLAMA as TINY_LLAMA
from tests.llm.tiny_gguf import write_tiny
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm.batch import Batch
    from tests.llm.conftest import Opener


def identity(version: int = 1, said: str = IDENTITY) -> Identity:
    return Identity(version=version, text=said, speaker="에코")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


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
    assert model.status().detail == "waits to be loaded"


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
    assert (model.status().state, model.status().detail) == (State.ABSENT, "waits to be loaded")


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


def test_one_that_was_closed_can_be_loaded_again(small: ResidentModel) -> None:
    before = ask(small, request())
    small.close()
    small.load()
    assert ask(small, request()) == before


def test_it_is_closed_and_loaded_under_the_hands_of_those_who_ask(small: ResidentModel) -> None:
    done = threading.Event()
    unforeseen: list[Exception] = []

    def keep_asking() -> None:
        while not done.is_set():
            try:
                small.count_tokens("나는 에코다. " * 50)
                list(small.generate(request("말 " * 50, max_tokens=3, grammar="root ::= [a-z]+")))
            except ModelNotReadyError:
                pass
            except Exception as error:  # noqa: BLE001  (told below)
                unforeseen.append(error)

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        small.close()
        small.load()
    done.set()
    for thread in threads:
        thread.join(30)
    assert unforeseen == []
    assert ask(small, request(max_tokens=2))[1].completion_tokens == 2


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
