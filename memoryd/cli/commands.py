"""The commands: each asks the daemon one thing and shows the answer, as a page or (`--json`) as one document.

With `--json`, standard output holds one JSON document and nothing else: the answer, or the problem document
that says why there is none (then the exit code is not 0, as always).
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from typer.core import TyperCommand, TyperGroup

from memoryd.cli import render
from memoryd.cli.connect import find_daemon
from memoryd.cli.failures import explain
from memoryd.cli.serve import serve
from memoryd.errors import MemorydError
from memoryd_client import (
    AskAnswer,
    AskEvent,
    BusyError,
    Client,
    ClientError,
    NotReadyError,
    Recalled,
    Thought,
    Token,
)
from memoryd_client.models import FileState

DIFFERS = 12  # `verify` found a difference; the codes of errors are in `memoryd.errors`
PIPE_CLOSED = 141  # 128 + SIGPIPE, as shells count

app = typer.Typer(
    help="A memory that outlives every process, for local language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Command(TyperCommand):
    """A command whose expected errors are one sentence and an exit code. Typer sees to Ctrl-C (130)."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # the base names a private class
        """Runs the command."""
        with explained(ctx):
            return super().invoke(ctx)


class Group(TyperGroup):
    """Commands under one name that is a command too; errors as in `Command`."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # the base names a private class
        """Runs the command, or one below it."""
        with explained(ctx):
            return super().invoke(ctx)


@contextmanager
def explained(ctx: typer.Context) -> Iterator[None]:
    """Ends the process with a sentence and an exit code for an expected error."""
    try:
        yield
        sys.stdout.flush()
    except (MemorydError, ClientError) as error:
        problem, code = explain(error)
        if ctx.params.get("as_json"):
            show_json(problem)
        else:
            typer.echo(render.clean(problem.detail), err=True)
        raise typer.Exit(code) from error
    except BrokenPipeError as error:
        # What is still buffered has nowhere to go; Python would complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from error


def moment(text: str) -> datetime:
    """A moment from ISO 8601 text; without an offset it is the machine's own time."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no date; write 2026-03-15 or 2026-03-15T21:04.") from error


def last_moment(text: str) -> datetime:
    """Like `moment`, but a bare date is that day's last moment, so that `--until` includes the day."""
    try:
        return datetime.combine(date.fromisoformat(text), time.max).astimezone()
    except ValueError:
        return moment(text)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, errors too.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration file [MEMORYD_CONFIG, or ./config.toml]."),
]
Url = Annotated[
    str | None,
    typer.Option("--url", help="The daemon's address [MEMORYD_URL, or what the configuration says]."),
]
Of = Annotated[
    list[str] | None,
    typer.Option("--of", metavar="USER", help="Only what is this user's, or `shared`; may be repeated."),
]


@app.command(cls=Command)
def run(config: ConfigFile = None) -> None:
    """Run the daemon, until Ctrl-C."""
    raise typer.Exit(serve(config))


@app.command(cls=Command)
def ask(
    question: Annotated[str, typer.Argument(help="The question, in quotes.")],
    *,
    model: Annotated[str | None, typer.Option(help="A model's name (see `memoryd status`).")] = None,
    conversation: Annotated[str | None, typer.Option(help="Go on with this conversation.")] = None,
    of: Of = None,
    deadline: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Seconds until the answer must be done.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say how the prompt's room was split.")] = False,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Ask a question; see its answer and memories."""
    with connected(url, config) as client:
        if as_json:
            show_json(
                client.ask(
                    question,
                    model=model,
                    conversation_id=conversation,
                    of=of,
                    deadline_s=deadline,
                    explain=explain,
                )
            )
            return
        try:
            answer = follow(
                client.ask_stream(
                    question,
                    model=model,
                    conversation_id=conversation,
                    of=of,
                    deadline_s=deadline,
                    explain=explain,
                )
            )
        except BusyError:
            raise
        except NotReadyError:
            if models := client.ready().models:
                render.models(render.Page(stderr=True), models)
            raise
    render.memories(render.Page(), answer)


@app.command(cls=Command)
def search(
    query: Annotated[str, typer.Argument(help="What to look for, in quotes.")],
    *,
    k: Annotated[int, typer.Option("-k", min=1, max=200, help="How many passages.")] = 10,
    since: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Only what was said from then on.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=last_moment, metavar="TIME", help="Only what was said by then.")
    ] = None,
    speaker: Annotated[str | None, typer.Option(help="Only where this person speaks.")] = None,
    of: Of = None,
    now: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help='The moment that "yesterday" counts from.'),
    ] = None,
    explain: Annotated[bool, typer.Option(help="Say why each passage is where it is.")] = False,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Find the passages nearest to a query."""
    with connected(url, config) as client:
        found = client.search(
            query, k=k, since=since, until=until, speaker=speaker, of=of, now=now, explain=explain
        )
    if as_json:
        show_json(found)
    else:
        render.search(render.Page(), found, explain=explain)


@app.command(cls=Command)
def status(*, url: Url = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Show parts, models and what is remembered."""
    with connected(url, config) as client:
        seen = client.status()
        address = client.base_url
    if as_json:
        show_json(seen)
    else:
        render.status(render.Page(), seen, address)


@app.command(cls=Command)
def files(
    *,
    state: Annotated[FileState | None, typer.Option(help="Only these.")] = None,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """List the files of memory/ and what became of them."""
    with connected(url, config) as client:
        seen = client.files(state)
    if as_json:
        show_json(seen)
    else:
        render.files(render.Page(), seen.files)


@app.command(cls=Command)
def rebuild(
    *,
    embed: Annotated[bool, typer.Option("--embed", help="Embed everything again too.")] = False,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Make everything derived again from the files."""
    with connected(url, config) as client, waiting("Rebuilding from the files", hidden=as_json):
        seen = client.rebuild(embed=embed)
    if as_json:
        show_json(seen)
    else:
        render.rebuilt(render.Page(), seen)


@app.command(cls=Command)
def verify(
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Compare all, where a sample is compared else.")
    ] = False,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Compare what is remembered with the files; exit code 12 where something differs."""
    with connected(url, config) as client, waiting("Comparing with the files", hidden=as_json):
        seen = client.verify(full=full)
    if as_json:
        show_json(seen)
    else:
        render.verified(render.Page(), seen)
    if seen.differences:
        raise typer.Exit(DIFFERS)


@app.command(cls=Command)
def erase(
    conversation: Annotated[
        str, typer.Argument(help="The conversation's id (a search with --json names it).")
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Erase a conversation for good, and prove it."""
    with connected(url, config) as client:
        if not yes:
            seen = client.conversation(conversation)
            render.to_be_erased(render.Page(stderr=True), seen)
            typer.confirm("Erase it for good?", abort=True, err=True)
        with waiting("Erasing, then looking for what is left", hidden=as_json):
            erased = client.erase_conversation(conversation)
    if as_json:
        show_json(erased)
    else:
        render.erased(render.Page(), erased)
    proof = erased.proof
    if proof and (proof.found or proof.words_left or proof.unread):
        raise typer.Exit(MemorydError.exit_code)


@app.command("config", cls=Command)
def show_config(*, config: ConfigFile = None, as_json: Json = False) -> None:
    """Print the configuration and where it comes from."""
    from memoryd.config import flat, load_config

    loaded = load_config(config)
    values = flat(loaded.config)
    if as_json:
        keys = {key: {"value": value, "from": loaded.origins[key]} for key, value in values.items()}
        show_json({"file": loaded.file, "keys": keys})
    else:
        render.config(render.Page(), values, loaded)


@app.command("version", cls=Command)
def show_version(*, as_json: Json = False) -> None:
    """Print memoryd's version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("memoryd")
    except PackageNotFoundError:
        installed = "unknown (not installed)"
    if as_json:
        show_json({"version": installed})
    else:
        typer.echo(f"memoryd {installed}")


@contextmanager
def connected(url: str | None, config: Path | None) -> Iterator[Client]:
    """A client of the daemon that options, environment and configuration lead to."""
    daemon = find_daemon(url=url, config=config, env=os.environ)
    with Client(daemon.url, token=daemon.token) as client:
        yield client


def show_json(document: BaseModel | dict[str, Any]) -> None:
    """Prints one JSON document, in UTF-8 whatever the terminal's encoding."""
    if isinstance(document, BaseModel):
        text = document.model_dump_json(indent=2)
    else:
        text = json.dumps(document, ensure_ascii=False, indent=2, default=str)
    typer.echo(text.encode())


@contextmanager
def waiting(words: str, *, hidden: bool = False) -> Iterator[Progress]:
    """A moving bar with the time so far, on standard error, where that is a terminal."""
    page = render.Page(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=page, transient=True, disable=hidden or not page.is_terminal) as progress:
        progress.add_task(words, total=None)
        yield progress


def follow(events: Iterator[AskEvent]) -> AskAnswer:
    """Prints the answer's words as they come; returns the whole answer."""
    answer: AskAnswer | None = None
    written = False
    with waiting("Remembering") as progress:
        try:
            for event in events:
                match event:
                    case Recalled():
                        words = f"{len(event.citations)} memories found; waiting for the first word"
                        progress.update(progress.task_ids[0], description=words)
                    case Thought():
                        progress.update(progress.task_ids[0], description="Thinking")
                    case Token():
                        progress.stop()
                        typer.echo(render.clean(event.text), nl=False)
                        written = True
                    case AskAnswer():
                        answer = event
        finally:
            progress.stop()
            if written:
                typer.echo()
    assert answer is not None  # noqa: S101  (the client raises where the last event is missing)
    if not written:
        typer.echo(render.clean(answer.answer))
    return answer
