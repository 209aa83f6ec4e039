from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import llm


def test_the_public_surface() -> None:
    assert llm.__all__ == [
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
    assert all(hasattr(llm, name) for name in llm.__all__)


@pytest.mark.parametrize("family", ["bundled", "deepseek", "llama", "mixtral"])
def test_a_runner_of_each_family(family: str, tmp_path: Path) -> None:
    path = tmp_path / "missing.gguf"
    runner = llm.make_runner(family, "mine", llm.ModelSettings(path=path), llm.Engine())
    assert runner.name == "mine"
    assert runner.quotes == (family == "bundled")
    assert runner.status() == llm.ModelStatus(
        name="mine",
        family=family,
        state=llm.State.ABSENT,
        detail=f"no file at {path}; put the GGUF there or set [models.mine] path",
        path=str(path),
    )
    with pytest.raises(llm.ModelNotReadyError, match="The model mine is absent: no file at"):
        runner.generate(llm.GenerateRequest(messages=()))


def test_an_unknown_family_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(llm.ModelError, match=r'"gpt"; known are: bundled, deepseek, llama, mixtral\.'):
        llm.make_runner("gpt", "mine", llm.ModelSettings(path=tmp_path), llm.Engine())


def test_every_error_of_its_is_a_model_error() -> None:
    errors = [each for each in vars(llm).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(errors) == 6
    assert all(issubclass(each, llm.ModelError) for each in errors)


def test_importing_it_is_cheap() -> None:
    code = "import sys, llm; print(sorted({'llama_cpp', 'numpy', 'jinja2', 'httpx'} & set(sys.modules)))"
    root = Path(llm.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
