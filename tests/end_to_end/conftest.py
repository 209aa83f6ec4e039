"""The built-in models in place, and daemons that end with their tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.bundled import ensure_language_model, ensure_onnx_embedder
from tests.end_to_end.conversation import DROPPED, TURNS
from tests.end_to_end.running import REPOSITORY, Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def models() -> Path:
    """The repository's models folder, which set-up fills; filled here where that was left out."""
    folder = REPOSITORY / "models"
    ensure_onnx_embedder(folder)
    ensure_language_model(folder)
    return folder


@pytest.fixture(scope="session")
def shared(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A daemon that is up already, with the conversation in its memory; tests add to it and break nothing."""
    with Running(tmp_path_factory.mktemp("shared") / "daemon", models) as daemon:
        daemon.drop(DROPPED, TURNS)
        daemon.start_ready()
        yield daemon


@pytest.fixture
def fresh(models: Path, tmp_path: Path) -> Iterator[Running]:
    """A daemon of the test's own, not started yet, with every model."""
    with Running(tmp_path / "daemon", models) as daemon:
        yield daemon


@pytest.fixture
def searching(models: Path, tmp_path: Path) -> Iterator[Running]:
    """The same without language models: it starts sooner, and searches as well."""
    with Running(tmp_path / "daemon", models, llm__enabled="false") as daemon:
        yield daemon
