from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import pytest

from llm import BadGrammarError, Identity, ModelError
from llm.family import Family
from llm.llama_runner import LLAMA
from tests.llm.asking import IDENTITY, ask, inner, request
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.llm.conftest import Opener

CHAT = Family(name="chat", template=LLAMA.template)


def identity(text: str = IDENTITY, version: int = 1) -> Identity:
    return Identity(version=version, text=text, speaker="에코")


def test_a_pin_is_the_beginning_of_every_prompt(tiny_llama: Path, opened: Opener) -> None:
    model = inner(opened(tiny_llama, family=CHAT))
    pin = model.pin(identity(version=4))
    assert pin.version == 4
    assert pin.stored is None
    assert pin.begins(model.prompter(request()).tokens)


@pytest.mark.parametrize(
    ("text", "settings", "reason"),
    [
        ("", {}, "it is empty"),
        ("하나 " * 600, {}, r"it has \d+ tokens and the context 512\. Lower replay\.token_budget or raise"),
        (
            "하나 " * 75,
            {"cache_tokens": 256},
            r"it has \d+ tokens and the cache 256\. Raise llm\.cache_tokens",
        ),
    ],
)
def test_an_identity_that_leaves_no_room_is_refused(
    tiny_llama: Path, opened: Opener, text: str, settings: dict[str, Any], reason: str
) -> None:
    model = inner(opened(tiny_llama, **settings))
    with pytest.raises(ModelError, match=reason):
        model.pin(identity(text))


def test_what_a_template_writes_before_the_identity_may_move_on(
    tiny_llama: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = inner(opened(tiny_llama, family=CHAT))
    assert not model.has_moved_on(identity())
    model.pin(identity())
    assert not model.has_moved_on(identity())
    render = model.weights.render
    monkeypatch.setattr(model.weights, "render", lambda messages: "2026-03-15\n" + render(messages))
    assert model.has_moved_on(identity())
    model.pin(identity())
    assert not model.has_moved_on(identity())


def test_a_computed_identity_is_kept_on_disk_for_the_next_start(
    tiny_llama: Path, opened: Opener, tmp_path: Path
) -> None:
    resident = opened(tiny_llama, states=tmp_path)
    resident.pin(identity(version=1))
    until(lambda: list(tmp_path.glob("*.identity")))
    first = ask(resident, request())
    resident.close()
    again = opened(tiny_llama, states=tmp_path)
    pin = inner(again).pin(identity(version=2))
    assert pin.stored is not None
    again.pin(identity(version=2))
    until(lambda: again.status().identity == 2)
    assert ask(again, request()) == first
    assert first[1].cached_tokens == len(pin.tokens)
    again.forget()
    assert not list(tmp_path.iterdir())


def test_an_identity_of_another_model_is_not_taken(
    tiny_llama: Path, tiny_mixtral: Path, opened: Opener, tmp_path: Path
) -> None:
    resident = opened(tiny_llama, states=tmp_path)
    resident.pin(identity())
    until(lambda: list(tmp_path.glob("*.identity")))
    assert inner(opened(tiny_mixtral, states=tmp_path)).pin(identity()).stored is None
    assert inner(opened(tiny_llama, states=tmp_path, kv_type="f32")).pin(identity()).stored is None
    assert inner(opened(tiny_llama, states=tmp_path)).pin(identity("나는 에코가 아니다.")).stored is None


def test_a_bad_grammar_is_told_before_anything_is_computed(tiny_llama: Path, opened: Opener) -> None:
    model = inner(opened(tiny_llama))
    wanted = request(grammar="root ::=", json_schema="{}")
    with pytest.raises(BadGrammarError):
        model.writing(model.prompter(wanted).prompt, wanted)


def test_a_closed_model_is_gone_at_once(tiny_llama: Path, opened: Opener) -> None:
    resident = opened(tiny_llama)
    resident.pin(identity())
    until(lambda: resident.status().identity == 1)
    ask(resident, request(conversation="c"))
    parts = [
        weakref.ref(part) for part in (inner(resident), inner(resident).weights, inner(resident).batcher)
    ]
    resident.close()
    until(lambda: not any(part() for part in parts))
