"""Identities that are pinned and forgotten in a hurry, in any order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from llm import Identity, State
from llm.loaded import LoadedModel
from tests.llm.asking import ask, inner, request
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from llm.engine.pins import Pin
    from tests.llm.conftest import Opener


def identity(version: int) -> Identity:
    return Identity(version=version, text=f"에코는 {version}번째 존재다.", speaker="에코")


def test_the_last_of_many_pinned_at_once_is_in_force(tiny_llama: Path, opened: Opener) -> None:
    model = opened(tiny_llama)
    for last in range(20, 200, 20):
        for version in range(last - 19, last + 1):
            model.pin(identity(version))
        until(lambda last=last: model.status().identity == last)  # type: ignore[misc]
        assert ask(model, request(identity=identity(last).text))[1].cached_tokens > 0
    seen = model.occupancy()
    assert seen.cells_pinned == seen.cells_used == len(inner(model).pin(identity(180)).tokens)


def test_an_identity_whose_tokens_come_late_does_not_replace_a_later_one(
    tiny_llama: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = opened(tiny_llama)
    go_on = threading.Event()
    prepare = LoadedModel.pin

    def slow(self: LoadedModel, wanted: Identity) -> Pin:
        if wanted.version == 1:
            assert go_on.wait(20)
        return prepare(self, wanted)

    monkeypatch.setattr(LoadedModel, "pin", slow)
    model.pin(identity(1))
    model.pin(identity(2))
    until(lambda: model.status().identity == 2)
    go_on.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "pin-tiny"])
    assert ask(model, request(identity=identity(2).text))[1].cached_tokens > 0
    assert model.status().identity == 2


def test_an_identity_pinned_while_the_last_is_forgotten_is_told(
    tiny_llama: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = opened(tiny_llama)
    model.pin(identity(1))
    until(lambda: model.status().identity == 1)
    forget = LoadedModel.forget

    def then_pin(self: LoadedModel) -> None:
        forget(self)
        model.pin(identity(2))
        until(lambda: model.status().identity == 2)

    monkeypatch.setattr(LoadedModel, "forget", then_pin)
    model.forget()
    assert model.status().identity == 2
    assert model.status().state is State.READY


def test_a_model_that_is_not_loaded_forgets_its_files_too(
    tiny_llama: Path, opened: Opener, tmp_path: Path
) -> None:
    model = opened(tiny_llama, states=tmp_path)
    model.pin(identity(1))
    until(lambda: list(tmp_path.glob("*.identity")))
    model.close()
    model.forget()
    assert not list(tmp_path.iterdir())
