"""A path on which only ordinary tools and scripted programs are found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

import pytest

REPOSITORY = Path(__file__).parents[2]
TOOLS = (
    "bash", "cat", "cp", "cut", "date", "dirname", "env", "flock", "grep", "head", "kill", "mkdir", "mv", "nproc",
    "paste", "rm", "sed", "sha256sum", "sleep", "sort", "tail", "timeout", "uname", "wc",
)  # fmt: skip


class Program(Protocol):
    """Puts a shell script of this name on the path."""

    def __call__(self, name: str, script: str) -> Path: ...


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The folder that is the whole path: the machine's own nvcc and nvidia-smi are not on it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (folder / tool).symlink_to(found)
    return folder


@pytest.fixture
def program(path: Path) -> Program:
    def write(name: str, script: str) -> Path:
        file = path / name
        file.write_text(f"#!{path}/bash\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
        return file

    return write
