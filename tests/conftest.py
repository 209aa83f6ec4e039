"""What holds for every test."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


def pytest_configure() -> None:
    """A build that runs in the background may ignore Ctrl-C, and every process started by a test would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def bare_config(tmp_path: Path) -> Path:
    """The configuration of a daemon without a memory and without models, on a port of its own choice."""
    for name in ("memory", "manifest"):
        (tmp_path / name).mkdir()
    file = tmp_path / "config.toml"
    file.write_text("[llm]\nenabled = false\n[server]\nport = 0\n")
    return file


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Path]:
    """A folder for tests of permissions, which do not hold the superuser: root runs them as nobody."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="memoryd-nobody-") as name:
        os.chown(name, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)
