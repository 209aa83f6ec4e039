"""What the tests of a model ask it, and how they hold it still."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from llm import GenerateRequest, Message, Usage
from llm.context import Context

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from llm import Piece, TokenLogprob
    from llm.batch import Batch
    from llm.loaded import LoadedModel
    from llm.resident import ResidentModel

IDENTITY = "에코는 존재다."
LONG = 400
NOISE = 1.5
"""How far apart the built-in model's likeliest tokens may lie to change places with other company in a batch."""


def request(
    question: str = "누구니?", *choices: str, identity: str = IDENTITY, max_tokens: int = 12, **more: Any
) -> GenerateRequest:
    messages = (
        Message(role="system", speaker="에코", text=identity),
        Message(role="user", speaker="지훈", text=question),
    )
    return GenerateRequest(messages=messages, max_tokens=max_tokens, choices=choices, **more)


def text(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def ask(model: ResidentModel, wanted: GenerateRequest) -> tuple[str, Usage]:
    pieces = list(model.generate(wanted))
    usage = pieces[-1].usage
    assert usage
    return text(pieces), usage


def inner(model: ResidentModel) -> LoadedModel:
    assert model._model
    return model._model


def agree(one: list[TokenLogprob], other: list[TokenLogprob]) -> None:
    """The same tokens, up to a place where two were as good as equally likely."""
    for mine, theirs in zip(one, other, strict=False):
        if mine.token != theirs.token:
            values = {token: value for token, _, value in mine.top}
            assert abs(values[mine.token] - values[theirs.token]) < NOISE
            return
    assert one == [] or len(one) == len(other)


class Steps:
    """Every context computes only as many steps as were allowed, until `let_go`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._allowed = threading.Semaphore(0)
        self._free = False
        self.waiting = threading.Event()
        compute = Context.decode

        def decode(context: Context, batch: Batch) -> bool:
            if not self._free:
                self.waiting.set()
                self._allowed.acquire()
                self.waiting.clear()
            return compute(context, batch)

        monkeypatch.setattr(Context, "decode", decode)

    def allow(self, count: int = 1) -> Self:
        self._allowed.release(count)
        return self

    def let_go(self) -> None:
        self._free = True
        self._allowed.release()
