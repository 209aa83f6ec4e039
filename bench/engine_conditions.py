"""The ways in which the engine can come to an answer, each as a model that is ready to be asked so.

bare            nothing is known beforehand
split_7, _37    the same, the prompt computed in other portions: how much llama.cpp itself varies
pinned          the identity's cells are shared
batch           the same, asked by several at once (the caller sees to that)
conversation    each user goes on with a conversation of which the engine still holds the cells
swap            another identity was in force before, and somebody was being answered when it went
restore         the identity was computed by an earlier run and read from disk
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Self
from unittest.mock import patch

from bench.engine_models import SPEAKER, Residents, pin
from llm import GenerateRequest, Identity, Message, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from llm import ModelSettings, TokenLogprob
    from llm.family import Family
    from llm.resident import ResidentModel

NOISE = "split"
PORTIONS = (7, 37)
WARM_UP_TOKENS = 8
SAVED_SECONDS = 120.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A model and its identities; `states` is a folder for what is kept on disk."""

    family: Family
    settings: ModelSettings
    identity: str
    other_identity: str
    states: Path


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer's tokens, and how many of the prompt's were in the cache."""

    tokens: tuple[TokenLogprob, ...]
    cached: int


@contextmanager
def bare(setting: Setting) -> Iterator[Callable[[GenerateRequest], Asked]]:
    """See the module."""
    with Residents() as residents:
        model = residents.open("bare", setting.family, setting.settings)
        yield lambda request: _asked(model, request)


@contextmanager
def _split(setting: Setting, *, portion: int) -> Iterator[Callable[[GenerateRequest], Asked]]:
    with patch("llm.loaded.BATCH_TOKENS", portion), Residents() as residents:
        model = residents.open("split", setting.family, setting.settings)
        yield lambda request: _asked(model, request)


@contextmanager
def _pinned(setting: Setting) -> Iterator[Callable[[GenerateRequest], Asked]]:
    with Residents() as residents:
        model = residents.open("pinned", setting.family, setting.settings)
        pin(model, _identity(setting, 1))
        yield lambda request: _asked(model, request)


@contextmanager
def _conversation(setting: Setting) -> Iterator[Callable[[GenerateRequest], Asked]]:
    begun: set[str] = set()
    with Residents() as residents:
        model = residents.open("conversation", setting.family, setting.settings)
        pin(model, _identity(setting, 1))

        def asked(request: GenerateRequest) -> Asked:
            request = replace(request, conversation=request.user)
            if request.user not in begun:
                begun.add(request.user)
                _asked(model, replace(request, max_tokens=WARM_UP_TOKENS))
            return _asked(model, request)

        yield asked


@contextmanager
def _swap(setting: Setting) -> Iterator[Callable[[GenerateRequest], Asked]]:
    with Residents() as residents:
        model = residents.open("swap", setting.family, setting.settings)
        pin(model, replace(_identity(setting, 1), text=setting.other_identity))
        with closing(model.generate(_endless(setting))) as under_way:  # type: ignore[type-var]
            next(under_way)
            pin(model, _identity(setting, 2))
        yield lambda request: _asked(model, request)


@contextmanager
def _restore(setting: Setting) -> Iterator[Callable[[GenerateRequest], Asked]]:
    settings = replace(setting.settings, states=setting.states)
    with Residents() as residents:
        pin(residents.open("saving", setting.family, settings), _identity(setting, 1))
        _wait_for_file(setting.states)
    with _Kept() as kept, Residents() as residents:
        model = residents.open("restored", setting.family, settings)
        pin(model, _identity(setting, 1))
        if not kept.seen:
            raise ModelError("the identity was computed again and not read from disk")
        yield lambda request: _asked(model, request)


CONDITIONS: dict[str, Callable[[Setting], AbstractContextManager[Callable[[GenerateRequest], Asked]]]] = {
    **{f"{NOISE}_{portion}": partial(_split, portion=portion) for portion in PORTIONS},
    "pinned": _pinned,
    "batch": _pinned,
    "conversation": _conversation,
    "swap": _swap,
    "restore": _restore,
}


class _Kept(logging.Handler):
    """Sees the line in the log that says an identity came from disk."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False
        self._logger = logging.getLogger("llm.engine")
        self._level = self._logger.level

    def __enter__(self) -> Self:
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        """Notes it."""
        self.seen = self.seen or "was kept on disk" in record.getMessage()


def _asked(model: ResidentModel, request: GenerateRequest) -> Asked:
    tokens: list[TokenLogprob] = []
    cached = 0
    for piece in model.generate(request):
        tokens += piece.logprobs
        cached = piece.usage.cached_tokens if piece.usage else cached
    return Asked(tuple(tokens), cached)


def _identity(setting: Setting, version: int) -> Identity:
    return Identity(version=version, text=setting.identity, speaker=SPEAKER)


def _endless(setting: Setting) -> GenerateRequest:
    """A long answer with the other identity, to be under way while it is swapped."""
    messages = (
        Message(role="system", speaker=SPEAKER, text=setting.other_identity),
        Message(role="user", speaker="지훈", text="\n\n지훈: 길게 이야기해 줘.\n에코:"),
    )
    return GenerateRequest(messages=messages, max_tokens=256, user="under way")


def _wait_for_file(folder: Path) -> None:
    pause = threading.Event()
    for _ in range(int(SAVED_SECONDS / POLL_SECONDS)):
        if any(folder.glob("*.identity")):
            return
        pause.wait(POLL_SECONDS)
    raise ModelError(f"no computed identity was written to {folder}")
