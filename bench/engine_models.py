"""Resident models as the engine's benches want them, and the same prompts for them and for other servers.

file ─▶ Prompts ─▶ Ask (request, text, tokens)        Residents ─▶ a model, loaded, its identity in force
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from llm import Engine, GenerateRequest, Identity, Message, ModelError, ModelSettings, State
from llm.bundled_runner import BUNDLED
from llm.deepseek_runner import DEEPSEEK
from llm.family import Family
from llm.gguf import read_gguf
from llm.llama_runner import LLAMA
from llm.mixtral_runner import MIXTRAL
from llm.resident import ResidentModel

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

PLAIN = Family(name="plain", template="{% for message in messages %}{{ message['content'] }}{% endfor %}")
"""The text and nothing else: a base model goes on as long as it may, so that every answer is as long as asked for."""
FAMILIES = {family.name: family for family in (PLAIN, BUNDLED, LLAMA, MIXTRAL, DEEPSEEK)}
SPEAKER = "에코"
PINNED_SECONDS = 3600.0
POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One prompt in three forms.

    Attributes:
        request: for memoryd's engine.
        text: what llama.cpp is to continue, without the start token.
        tokens: the same in tokens, with it.
        stop: texts that end the answer.
    """

    request: GenerateRequest
    text: str
    tokens: tuple[int, ...]
    stop: tuple[str, ...]


class Prompts:
    """Writes prompts for a file in a family's form, and counts its tokens; it loads the vocabulary only."""

    def __init__(self, path: Path, family: Family) -> None:
        """Reads the file's header and vocabulary.

        Raises:
            ModelError: it can't be loaded.
        """
        from llm.prompter import Prompter
        from llm.weights import Weights

        self.info = read_gguf(path)
        template = self.info.chat_template or family.template
        self._weights = Weights(path, gpu_layers=0, template=template, vocabulary_only=True)
        self._prompter = Prompter(self._weights, family)
        self._family = family
        self._start = self._weights.token_text(self._weights.prompt_tokens("", control=True)[0])

    def count(self, text: str) -> int:
        """Tokens of a text alone."""
        return len(self._weights.tokenize(text))

    def identity_tokens(self, text: str) -> int:
        """Tokens that every prompt with this identity begins with."""
        return len(self._prompter.identity(Identity(version=0, text=text)))

    def ends(self, token: int) -> bool:
        """Whether a token ends an answer."""
        return self._weights.ends(token)

    def text_of(self, tokens: Iterable[int]) -> str:
        """What tokens say, without a character that they leave unfinished."""
        return b"".join(map(self._weights.token_bytes, tokens)).decode(errors="ignore")

    def ask(self, identity: str, question: str, *, max_tokens: int, user: str = "", said: str = "") -> Ask:
        """A question of a user, after the identity where there is one; the answer goes on from what was `said`."""
        system = (Message(role="system", speaker=SPEAKER, text=identity),) if identity else ()
        plain = self._family is PLAIN
        wording = f"\n\n지훈: {question}\n{SPEAKER}:{said}" if plain else f"{question}{said}"
        request = GenerateRequest(
            messages=(*system, Message(role="user", speaker="지훈", text=wording)),
            max_tokens=max_tokens,
            user=user,
        )
        prompted = self._prompter(request)
        return Ask(
            request=request,
            text=prompted.prompt.text.removeprefix(self._start),
            tokens=tuple(map(int, prompted.tokens)),
            stop=(*prompted.prompt.stop, *self._family.stop),
        )


class Residents:
    """One engine and the models on it; all are closed at the end."""

    def __init__(self) -> None:
        self.engine = Engine()
        self._models: list[ResidentModel] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for model in self._models:
            model.close()
        self.engine.close()

    def open(self, name: str, family: Family, settings: ModelSettings) -> ResidentModel:
        """A model, loaded.

        Raises:
            ModelError: it is not ready; the message is its own.
        """
        model = ResidentModel(name, family, settings, self.engine)
        self._models.append(model)
        model.load()
        status = model.status()
        if status.state is not State.READY:
            raise ModelError(f"{name} is {status.state}: {status.detail}")
        return model


def pin(model: ResidentModel, identity: Identity) -> float:
    """Has an identity pinned and waits until it is in force; returns the seconds.

    Raises:
        ModelError: it is not in force after an hour, or the model failed.
    """
    began = time.perf_counter()
    model.pin(identity)
    pause = threading.Event()
    while model.status().identity != identity.version:
        if model.status().state is not State.READY or time.perf_counter() - began > PINNED_SECONDS:
            raise ModelError(f"{model.name} holds no identity {identity.version}: {model.status().detail}")
        pause.wait(POLL_SECONDS)
    return time.perf_counter() - began
