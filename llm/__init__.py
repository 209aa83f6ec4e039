"""Language models that stay loaded, one family a `*_runner` file; knows nothing of memory.

    make_runner("llama", "llama", ModelSettings(path=…), Engine()) ─load()─▶ ready ─generate(request)─▶ Piece, …
    make_remote("big", RemoteSettings(url=…))                    ─load()─▶ ready ─generate(request)─▶ Piece, …

Importing this package is cheap: llama.cpp is imported by the first `load()`, httpx by the first `make_remote`.
"""

from __future__ import annotations

from llm.base import (
    BadGrammarError,
    DeadlineError,
    Finish,
    GenerateRequest,
    Generator,
    Identity,
    Message,
    ModelError,
    ModelNotReadyError,
    ModelSettings,
    ModelStatus,
    Piece,
    PromptTooLongError,
    QueueFullError,
    Sampling,
    State,
    TokenLogprob,
    Usage,
)
from llm.bundled_runner import BUNDLED
from llm.deepseek_runner import DEEPSEEK
from llm.engine import Engine
from llm.llama_runner import LLAMA
from llm.mixtral_runner import MIXTRAL
from llm.remote_settings import RemoteSettings
from llm.resident import ResidentModel

__all__ = [
    "BadGrammarError",
    "DeadlineError",
    "Engine",
    "Finish",
    "GenerateRequest",
    "Generator",
    "Identity",
    "Message",
    "ModelError",
    "ModelNotReadyError",
    "ModelSettings",
    "ModelStatus",
    "Piece",
    "PromptTooLongError",
    "QueueFullError",
    "RemoteSettings",
    "Sampling",
    "State",
    "TokenLogprob",
    "Usage",
    "make_remote",
    "make_runner",
]

_FAMILIES = {family.name: family for family in (BUNDLED, DEEPSEEK, LLAMA, MIXTRAL)}


def make_runner(family: str, name: str, settings: ModelSettings, engine: Engine) -> ResidentModel:
    """The model `name`, of a family, not loaded yet; `engine` computes for it beside the others.

    Raises:
        ModelError: no such family; the message lists the known ones.
    """
    if family not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise ModelError(f'The model {name} has the family "{family}"; known are: {known}.')
    return ResidentModel(name, _FAMILIES[family], settings, engine)


def make_remote(name: str, settings: RemoteSettings) -> Generator:
    """The model `name` behind an OpenAI-compatible server, not asked for yet."""
    from llm.remote_runner import RemoteModel

    return RemoteModel(name, settings)
