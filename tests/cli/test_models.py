"""`memoryd models` and `memoryd plan`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import pytest

from llm.device import Device
from llm.plan import GIB
from memoryd.cli import models
from memoryd_client import ModelView, Ready
from tests.llm.gguf_files import model as small_model
from tests.llm.gguf_files import number

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from memoryd_client.testing import FakeDaemon
    from tests.cli.conftest import Memoryd

CPU = Device(ram_free=8 * GIB, ram_total=16 * GIB)
GPU = Device(ram_free=8 * GIB, ram_total=16 * GIB, gpu="NVIDIA A", gpu_free=20 * GIB, gpu_total=24 * GIB)
TIGHT = Device(ram_free=8 * GIB, ram_total=16 * GIB, gpu="NVIDIA A", gpu_free=1000, gpu_total=24 * GIB)


def view(name: str, state: str, **more: object) -> ModelView:
    facts = {
        "name": name,
        "state": state,
        "family": "llama",
        "path": f"/models/{name}.gguf",
        "default": False,
    }
    return ModelView.model_validate(facts | more)


def test_models_are_listed_with_how_far_they_are(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    seen = [
        view("bundled", "ready", identity_version=3, family="bundled"),
        view("llama", "loading", progress=0.374, default=True),
        view("mixtral", "failed", detail="/m.gguf is cut off.\x1b[2J"),
        view("late", "loading"),
    ]
    daemon.answer("GET /ready", Ready(ready=False, parts=[], models=seen), status=503)

    result = memoryd("models")

    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["model", "family", "state", "identity", "path"],
        ["bundled", "bundled", "ready", "3", "/models/bundled.gguf"],
        ["llama", "(default)", "llama", "loading", "37", "%", "–", "/models/llama.gguf"],
        ["mixtral", "llama", "failed:", "/m.gguf", "is", "cut", "off.�[2J", "–", "/models/mixtral.gguf"],
        ["late", "llama", "loading", "–", "/models/late.gguf"],
    ]
    assert json.loads(memoryd("models", "--json").stdout)["models"][1]["progress"] == 0.374


def test_no_models(daemon: FakeDaemon, memoryd: Memoryd) -> None:
    daemon.answer("GET /ready", Ready(ready=False, parts=[], models=[]), status=503)
    assert memoryd("models").stdout == "No language model is configured.\n"


class Planned(Protocol):
    """Runs `memoryd plan` on a device, with a model `llama` of this content and these settings."""

    def __call__(
        self, device: Device, *arguments: str, content: bytes | None = ..., settings: str = ...
    ) -> Result: ...


@pytest.fixture
def planned(tmp_path: Path, memoryd: Memoryd, monkeypatch: pytest.MonkeyPatch) -> Planned:
    def run(
        device: Device, *arguments: str, content: bytes | None = small_model(), settings: str = ""
    ) -> Result:
        monkeypatch.setattr(models, "device_now", lambda: device)
        if content is not None:
            (tmp_path / "llama.gguf").write_bytes(content)
        file = tmp_path / "config.toml"
        file.write_text(
            f'[llm]\ndefault = "llama"\n{settings}\n[models.llama]\nfamily = "llama"\npath = "llama.gguf"\n'
        )
        return memoryd("plan", "--config", str(file), *arguments)

    return run


def test_a_plan_without_a_daemon_and_without_loading_anything(planned: Planned) -> None:
    result = planned(CPU, content=small_model(number("general.file_type", 15)))

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:2] == ["GPU: none; models are computed on the CPU", "memory: 8.0 of 16.0 GiB free"]
    rows = [line.split() for line in lines[3:]]
    assert rows[0] == ["model", "verdict", "memory"]
    assert rows[1] == ["bundled", "absent"]
    assert rows[2][:3] == ["llama", "(default)", "fits"]
    assert rows[5][0] == "together"
    assert lines[-3].endswith("models/gemma-3-270m-q4_k_m.gguf")


def test_a_plan_on_a_gpu_shows_what_goes_where(planned: Planned) -> None:
    result = planned(GPU)

    lines = result.stdout.splitlines()
    assert lines[0] == "GPU: NVIDIA A, 20.0 of 24.0 GiB free"
    row = next(line for line in lines if line.startswith("llama")).split()
    assert row[:6] == ["llama", "(default)", "fits", "3", "of", "3"]
    assert "llama: The file doesn't say how it is quantised" in result.stdout


def test_a_default_model_that_is_refused_is_exit_code_1(planned: Planned) -> None:
    result = planned(TIGHT)

    assert result.exit_code == 1
    assert "refused" in result.stdout
    assert (
        "llama needs 0.5 GiB (weights 0.0, KV 0.0, buffers 0.5) of GPU memory; free are 0.0 GiB"
        in result.stdout
    )


def test_fewer_layers_where_the_configuration_lets_it(planned: Planned) -> None:
    result = planned(TIGHT, settings="fewer_gpu_layers = true")

    assert result.exit_code == 0
    assert "fits with fewer layers on the GPU  0 of 3" in result.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "llama: no file at "),
        (b"GGUF", "llama.gguf is cut off"),
        (small_model(architecture="clip"), "mmproj"),
    ],
)
def test_a_default_model_whose_file_is_bad_or_not_there(
    planned: Planned, content: bytes | None, said: str
) -> None:
    result = planned(CPU, content=content)

    assert result.exit_code == 1
    assert said in result.stdout


def test_a_plan_as_json(planned: Planned) -> None:
    document = json.loads(planned(GPU, "--json").stdout)

    llama = next(each for each in document["models"] if each["name"] == "llama")
    assert (llama["verdict"], llama["gpu_layers"], llama["default"]) == ("fits", 3, True)
    assert llama["gpu"]["kv"] == 16384 * 2 * 4 * 32 * 2
    assert document["gpu"] == llama["gpu"]
    assert document["device"]["gpu"] == "NVIDIA A"
    absent = next(each for each in document["models"] if each["name"] == "mixtral")
    assert absent["verdict"] == "absent"
    assert absent["fault"].startswith("no file at")


def test_a_gpu_that_is_not_used_is_mentioned(planned: Planned) -> None:
    device = Device(
        ram_free=8 * GIB, ram_total=16 * GIB, note="NVIDIA A: llama.cpp was compiled without CUDA."
    )
    assert "llama.cpp was compiled without CUDA" in planned(device).stdout


def test_language_models_that_are_switched_off(planned: Planned) -> None:
    result = planned(CPU, settings="enabled = false")

    assert result.exit_code == 0
    assert result.stdout.endswith("Language models are switched off (llm.enabled).\n")
