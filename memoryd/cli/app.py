"""The two entry points, `memoryd` and `replay-now`; the commands themselves are in `commands`.

memoryd run [--config FILE] ──▶ serve.serve            (typer, rich and httpx are never imported)
memoryd …, replay-now …     ──▶ commands.app           (`importing`, `identities` and `models` add theirs)
"""

from __future__ import annotations

import io
import sys
from pathlib import Path


def main() -> int:
    """`memoryd`. Returns the exit code."""
    # The port must answer in under a second from the start of the process, and importing typer and httpx
    # takes a third of one. So a plain `run` goes straight to the daemon. Any other spelling (`run --help`,
    # a mistyped option) takes the long way, to typer, which knows the same command.
    match sys.argv[1:]:
        case ["run"]:
            return _serve(None)
        case ["run", "--config", file] if not file.startswith("-"):
            return _serve(Path(file))
        case ["run", option] if option.startswith("--config="):
            return _serve(Path(option.removeprefix("--config=")))
        case arguments:
            return _command(arguments)


def replay_now() -> int:
    """`replay-now`: the same as `memoryd replay-now`. Returns the exit code."""
    return _command(["replay-now", *sys.argv[1:]])


def _serve(config: Path | None) -> int:
    from memoryd.cli.serve import serve

    _print_whatever_comes()
    return serve(config)


def _command(arguments: list[str]) -> int:
    from memoryd.cli.models import app

    _print_whatever_comes()
    app(arguments, prog_name="memoryd")
    return 0


def _print_whatever_comes() -> None:
    """A terminal that can't show a character shows a question mark instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
