"""What a configuration names becomes a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from llm import Engine, Identity, State
from memoryd.config import Config, Llm, Paths, RemoteModel
from memoryd.language_models import generators, local_models
from tests.llm.scripted_server import CHAT, ScriptedServer, chunk, stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        server.scripts[CHAT] = [stream(chunk("네."), chunk(finish="stop"))]
        yield server


def test_a_model_on_a_server_stands_beside_those_in_files(server: ScriptedServer, tmp_path: Path) -> None:
    big = RemoteModel(family="remote", url=server.url, api_key=SecretStr("geheim"), read_timeout_seconds=9)
    config = Config(
        paths=Paths(models=tmp_path), llm=Llm(default="big", context_tokens=1024), models={"big": big}
    )
    assert list(local_models(config)) == ["bundled"]
    models = generators(config, Engine())
    assert list(models) == ["bundled", "big"]
    remote = models["big"]
    remote.pin(Identity(version=3, text="나는 에코다."))
    remote.load()
    status = remote.status()
    assert (status.state, status.identity) == (State.READY, 3)
    assert status.detail == f"small at {server.url}, context 1024 tokens"
    assert server.asked[0][2]["Authorization"] == "Bearer geheim"
    remote.close()
