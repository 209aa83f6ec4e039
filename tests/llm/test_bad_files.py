"""A file that is no good ends as `failed` with a sentence that names it and the remedy, and the process goes on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llm import ModelSettings, State, make_runner
from llm.engine import Engine
from tests.llm.bad_files import INCONSISTENT, MANGLED, OTHERS, write_bad_files, write_noisy_files

if TYPE_CHECKING:
    from pathlib import Path

REMEDY = re.compile(r"\b(Copy|Name|Convert|Put|Update|Lower) [^.]+\.")
NOISY = 40


@pytest.fixture(scope="session")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_bad_files(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="session")
def outcomes(bad_files: dict[str, Path], tiny_llama: Path) -> dict[str, tuple[str, str]]:
    """State and reason of each file, from one process that loads them all and a good one last."""
    return loaded([*bad_files.values(), tiny_llama])


def loaded(paths: list[Path]) -> dict[str, tuple[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.llm.bad_files", *map(str, paths)],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, (done.stdout[-300:], done.stderr[-2000:])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {path: (state, reason) for path, state, reason in lines}


@pytest.mark.parametrize("wrong", [*MANGLED, *INCONSISTENT, *OTHERS])
def test_it_fails_and_the_reason_names_the_file(
    wrong: str, bad_files: dict[str, Path], outcomes: dict[str, tuple[str, str]]
) -> None:
    path = str(bad_files[wrong])
    state, reason = outcomes[path]
    assert state == State.FAILED
    assert path in reason
    assert "Traceback" not in reason


@pytest.mark.parametrize("wrong", [*MANGLED, *INCONSISTENT, *OTHERS])
def test_the_reason_says_what_to_do(
    wrong: str, bad_files: dict[str, Path], outcomes: dict[str, tuple[str, str]]
) -> None:
    _, reason = outcomes[str(bad_files[wrong])]
    assert REMEDY.search(reason)


def test_a_good_file_still_loads_in_the_same_process(
    tiny_llama: Path, outcomes: dict[str, tuple[str, str]]
) -> None:
    state, _ = outcomes[str(tiny_llama)]
    assert state == State.READY


def test_noise_in_a_header_ends_no_process(tmp_path: Path) -> None:
    states = [state for state, _ in loaded(write_noisy_files(tmp_path, NOISY)).values()]
    assert len(states) == NOISY
    assert states.count(State.FAILED) > NOISY // 2


def test_a_folder_and_a_file_that_may_not_be_read(unprivileged: Path) -> None:
    folder, locked = unprivileged / "folder.gguf", unprivileged / "locked.gguf"
    folder.mkdir()
    locked.write_bytes(b"GGUF")
    locked.chmod(0)
    for path, state in (
        (folder, State.ABSENT),
        (locked, State.FAILED),
        (unprivileged / "none", State.ABSENT),
    ):
        runner = make_runner("llama", "llama", ModelSettings(path=path), Engine())
        runner.load()
        assert runner.status().state is state
        assert str(path) in runner.status().detail
