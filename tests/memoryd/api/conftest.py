"""A stand-in daemon, and a client that talks to the app over it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import pytest
from fastapi.testclient import TestClient

from memoryd.api.server import create_app
from memoryd.korean import WordSplitter
from tests.memoryd.api.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI

    from memoryd.daemon import Daemon


@pytest.fixture(scope="session")
def words() -> WordSplitter:
    splitter = WordSplitter()
    splitter.load()
    return splitter


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """The app sets up the root logger, which pytest listens to."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def daemon(tmp_path: Path, words: WordSplitter) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path, words)
    yield stand_in
    stand_in.stop()


@pytest.fixture
def app(daemon: StandIn) -> FastAPI:
    return create_app(cast("Daemon", daemon))


@pytest.fixture
def stranger(app: FastAPI) -> Iterator[TestClient]:
    """A client without a token."""
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(stranger: TestClient, daemon: StandIn) -> TestClient:
    """A client with the origin's token."""
    stranger.headers["Authorization"] = f"Bearer {daemon.token}"
    return stranger
