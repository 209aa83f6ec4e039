"""The entry points as processes: what they import, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from memoryd.errors import ConfigError, NotRunningError
from memoryd_client import SearchAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memoryd_client import Citation
    from memoryd_client.testing import FakeDaemon

MEMORYD = "import sys; from memoryd.cli.app import main; sys.exit(main())"
REPLAY_NOW = "import sys; from memoryd.cli.app import replay_now; sys.exit(replay_now())"
GREETED = (
    "import sys; from memoryd.api import port, server; "
    "port.run = lambda _: server._greet(('127.0.0.1', 7777)) or 0; "
    "from memoryd.cli.app import main; sys.exit(main())"
)
IMPORTED = (
    "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    "from memoryd.cli.app import main; sys.exit(main())"
)


def start(
    code: str, *arguments: str, url: str = "http://127.0.0.1:1", encoding: str = "utf-8"
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ
        | {"MEMORYD_URL": url, "MEMORYD_TOKEN": "secret", "PYTHONUTF8": "1", "PYTHONIOENCODING": encoding},
    )


def ran(
    code: str, *arguments: str, url: str = "http://127.0.0.1:1", encoding: str = "utf-8"
) -> tuple[int, str, str]:
    with start(code, *arguments, url=url, encoding=encoding) as process:
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize("arguments", [["--help"], ["ask", "안녕?"]])
def test_a_command_starts_without_the_daemon_s_libraries(arguments: list[str]) -> None:
    _, _, modules = ran(IMPORTED, *arguments)

    assert "typer" in modules.split()
    assert not {"fastapi", "torch", "chromadb", "uvicorn", "numpy"} & set(modules.split())


def test_run_reaches_the_daemon_without_the_command_line_s_libraries(tmp_path: Path) -> None:
    code, _, err = ran(IMPORTED, "run", "--config", str(tmp_path / "none.toml"))

    assert code == ConfigError.exit_code
    assert "none.toml" in err.splitlines()[0]
    assert not {"typer", "rich", "httpx"} & set(err.split())


def test_the_daemon_s_greeting_can_be_said_to_a_terminal_without_hangul() -> None:
    code, out, err = ran(GREETED, "run", encoding="ascii")

    assert (code, err) == (0, "")
    assert "memoryd listens on http://127.0.0.1:7777" in out
    assert "?" in out


def test_help_lists_every_command() -> None:
    code, out, _ = ran(MEMORYD, "--help")

    assert code == 0
    for command in (
        "run", "ask", "search", "status", "files", "identity", "replay-now", "rebuild", "verify", "config", "version",
        "inspect", "import", "models", "plan",
    ):  # fmt: skip
        assert f"\n  {command} " in out


@pytest.mark.parametrize(("code", "arguments"), [(MEMORYD, ["replay-now"]), (REPLAY_NOW, [])])
def test_replay_now_is_a_command_of_its_own_too(code: str, arguments: list[str]) -> None:
    assert ran(code, *arguments)[0] == NotRunningError.exit_code
    assert json.loads(ran(code, *arguments, "--json")[1])["code"] == "not_running"


def test_ctrl_c_is_quiet(daemon: FakeDaemon) -> None:
    asked, over = threading.Event(), threading.Event()

    def silence() -> Iterator[bytes]:
        asked.set()
        over.wait(60)
        yield b""

    daemon.raw("POST /api/replay", silence(), content_type="application/json")

    with start(MEMORYD, "replay-now", url=daemon.url) as process:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    over.set()

    assert (process.returncode, out, err) == (130, "", "")


def test_a_closed_pipe_is_quiet(daemon: FakeDaemon, citation: Citation) -> None:
    daemon.answer("POST /api/search", SearchAnswer(degraded=None, hits=[citation] * 200))

    with start(MEMORYD, "search", "x", url=daemon.url) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()

    assert (process.returncode, err) == (141, "")
