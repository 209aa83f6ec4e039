"""`memoryd identity` with what is below it, and `memoryd replay-now`: versions, and the replays that make them.

`identity origin` speaks to no daemon: who may write into the state folder may say who the origin is.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import typer

from memoryd.cli import render
from memoryd.cli.commands import Command, ConfigFile, Group, Json, Url, connected, show_json, waiting
from memoryd.cli.importing import app
from memoryd.config import load_config
from memoryd.errors import ReplayError
from memoryd.origin import confirm_origin
from memoryd_client import Client, IdentityDiff, IdentitySummary, IdentityView, ReplayView, Restored, ToldLine

__all__ = ["app"]  # with these commands in it

# Between two looks at a replay, and two lines about it where there is no terminal.
LOOK_S = 0.2
LINE_S = 5.0
MANIFEST_LINES = 12

identity = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)
app.add_typer(identity, name="identity", help="Print the identity that prompts start with; compare, restore.")


@identity.callback()
def show_identity(
    ctx: typer.Context,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="An earlier version.")] = None,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Print the identity that prompts start with; compare versions, restore one, confirm another origin."""
    if ctx.invoked_subcommand is not None:
        return
    with connected(url, config) as client:
        seen = client.identity(version)
    if as_json:
        show_json(seen)
    else:
        show(render.Page(), seen)


@identity.command("list", cls=Command)
def list_identities(*, url: Url = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """List every version, newest first: the first is in force."""
    with connected(url, config) as client:
        seen = client.identities()
    if as_json:
        show_json(seen)
    else:
        show_list(render.Page(), seen.identities)


@identity.command("diff", cls=Command)
def diff(
    before: Annotated[int | None, typer.Argument(metavar="[A]", help="From this version.")] = None,
    now: Annotated[int | None, typer.Argument(metavar="[B]", help="To this one; the newest.")] = None,
    *,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say what was learned, what is no longer true and what is felt from version A (the one before B) to B."""
    with connected(url, config) as client:
        seen = client.identity_diff(before, now)
    if as_json:
        show_json(seen)
    else:
        show_diff(render.Page(), seen)


@identity.command("restore", cls=Command)
def restore(
    version: Annotated[int, typer.Argument(min=1, help="What this version told is told again.")],
    *,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Make a new version that tells what an earlier one told."""
    with connected(url, config) as client, waiting("Reading the memories", hidden=as_json):
        seen = client.restore_identity(version)
    if as_json:
        show_json(seen)
    else:
        show_restored(render.Page(), seen)


@identity.command("origin", cls=Command)
def origin(
    new: Annotated[str, typer.Argument(metavar="ID", help="The id that manifest/origin_id.txt names.")],
    *,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Confirm the origin's id that manifest/origin_id.txt names; it counts from the next start of the daemon."""
    paths = load_config(config, to_run=False).config.paths
    before = confirm_origin(paths.manifest, paths.state, new)
    if as_json:
        show_json({"origin": new, "before": before})
        return
    page = render.Page()
    if before == new:
        page.say(f"{new} is the origin; nothing changes.")
        return
    page.say(f"From the daemon's next start on, {new} is the origin.", style="green")
    page.block(
        f"{new} then sees everybody's folders and alone may replay, restore and change users, and the identity is made "
        f"of what is shared and of {new}'s own. The folders of {before} stay {before}'s own."
    )


@app.command("replay-now", cls=Command)
def replay_now(*, url: Url = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Replay the memory into an identity, now."""
    with connected(url, config) as client, waiting("Replaying the memory", hidden=as_json) as bar:

        def tell(running: ReplayView | None) -> None:
            done = running.progress if running else None
            if running and done is not None:
                words = f"Replaying the memory: {running.turns:,} turns"
                bar.update(bar.task_ids[0], description=words, completed=done, total=1.0)

        tellers = [tell] if bar.disable is False else [] if as_json else [_lines()]
        seen = replayed(client, *tellers)
    if as_json:
        show_json(seen)
    else:
        show_replay(render.Page(), seen)
    if seen.state == "failed":
        raise typer.Exit(ReplayError.exit_code)


def replayed(client: Client, *tellers: Callable[[ReplayView | None], None]) -> ReplayView:
    """Replays, telling of the replay that runs until it has ended; returns what it came to."""
    begun = client.replay(wait=False)
    seen = _ended(client, begun, *tellers)
    if begun.trigger == "request":
        return seen
    # One was under way and may have read the files before what this one is to read.
    return _ended(client, client.replay(wait=False), *tellers)


def _ended(client: Client, begun: ReplayView, *tellers: Callable[[ReplayView | None], None]) -> ReplayView:
    seen = begun
    while seen.state == "running":
        rows = client.replays().replays
        running = next((row for row in rows if row.state == "running"), None)
        for tell in tellers:
            tell(running)
        ended = (row for row in reversed(rows) if row.state != "running" and row.trigger == begun.trigger)
        seen = next((row for row in ended if row.started_at >= begun.started_at), begun)
        if seen is begun:
            time.sleep(LOOK_S)
    return seen


def _lines() -> Callable[[ReplayView | None], None]:
    """Says how far a replay is in a line on standard error every few seconds, for want of a terminal."""
    said = time.monotonic()

    def tell(running: ReplayView | None) -> None:
        nonlocal said
        if running is None or time.monotonic() - said < LINE_S:
            return
        said = time.monotonic()
        far = f"{running.progress:.0%}".replace("%", " %") if running.progress is not None else "0 %"
        typer.echo(f"replaying: {far} of the changed files read, {running.turns:,} turns", err=True)

    return tell


def show(page: render.Page, seen: IdentityView) -> None:
    """An identity version and its text."""
    made = seen.created_at.strftime("%Y-%m-%d %H:%M")
    page.say(f"identity {seen.version} · {made} · {seen.tokens:,} tokens", style="bold")
    page.say(seen.digest, style="dim")
    if seen.restores is not None:
        page.say(f"tells what identity {seen.restores} told", style="yellow")
    if seen.missing:
        page.block(f"missing: {', '.join(seen.missing)}", style="yellow")
    page.say()
    page.block(seen.text)


def show_list(page: render.Page, seen: Sequence[IdentitySummary]) -> None:
    """A table of versions."""
    if not seen:
        page.say("The first replay has not ended yet.", style="yellow")
        return
    table = render.make_table(
        "version", "made", "tokens", "lines", "", numbers={"version", "tokens", "lines"}
    )
    for place, each in enumerate(seen):
        notes = ["in force"] if place == 0 else []
        notes += [f"tells what {each.restores} told"] if each.restores is not None else []
        made = each.created_at.strftime("%Y-%m-%d %H:%M")
        table.add_row(
            *render.as_cells(str(each.version), made, f"{each.tokens:,}", f"{each.lines:,}", ", ".join(notes))
        )
    page.print(table)


def show_diff(page: render.Page, seen: IdentityDiff) -> None:
    """What makes two versions differ, as a person would say it."""
    page.say(f"identity {seen.before} → identity {seen.now}", style="bold")
    if seen.restores is not None:
        page.say(f"Identity {seen.now} tells what identity {seen.restores} told.", style="yellow")
    _section(page, "배운 것 (learned)", map(_said, seen.learned), style="green")
    _section(
        page,
        "이제는 아닌 것 (no longer true)",
        (f"{_said(each.before)}\n→ {_said(each.now)}" for each in seen.no_longer_true),
        style="yellow",
    )
    _section(page, "느끼는 것 (feels)", map(_said, seen.feels), style="green")
    _section(page, "더는 느끼지 않는 것 (no longer feels)", map(_said, seen.no_longer_feels))
    _section(page, "간추린 날, 모델의 말로 (summed up, in a model's words)", map(_said, seen.summed_up))
    _section(page, "새로 자주 나오는 이야기 (comes up again now)", seen.topics_come)
    _section(page, "뜸해진 이야기 (comes up less)", seen.topics_gone)
    for each in seen.manifests:
        words = [f"- {line}" for line in each.gone] + [f"+ {line}" for line in each.come]
        rest = len(words) - MANIFEST_LINES
        shown = words[:MANIFEST_LINES] + ([f"… and {rest:,} more lines"] if rest > 0 else [])
        _section(page, f"바뀐 매니페스트 (manifest changed): {each.name}", shown or ["only in its spacing"])
    settings = (f"{each.name}: {each.before or '–'} → {each.now or '–'}" for each in seen.settings)
    _section(page, "바뀐 설정 (settings changed)", settings)
    _section(
        page, "자리가 없어 말하지 않는 것 (no longer told, for room)", map(_said, seen.no_longer_told), "dim"
    )
    if not any(value for name, value in seen if name not in {"before", "now", "restores"}):
        page.say("Both tell the same.")


def show_restored(page: render.Page, seen: Restored) -> None:
    """What a restoration came to."""
    page.say(f"identity {seen.identity.version} is in force", style="green")
    page.block(seen.note)


def show_replay(page: render.Page, seen: ReplayView) -> None:
    """What a replay came to."""
    read = f"{seen.turns:,} turns read, {seen.kept:,} memories kept, {seen.seconds:.1f} s"
    match seen.state:
        case "running":
            page.say("A replay is running.", style="yellow")
        case "failed":
            page.block(f"The replay failed: {seen.error or 'no reason given'}", style="red")
        case "done":
            change = "is new" if seen.changed else "is unchanged"
            page.say(f"identity {seen.identity_version} {change}", style="green")
            page.say(read)
            page.say(seen.digest or "", style="dim")
            if seen.warning:
                page.block(f"warning: {seen.warning}", style="yellow")


def _section(page: render.Page, heading: str, lines: Iterable[str], style: str = "") -> None:
    told = list(lines)
    if told:
        page.say()
        page.say(heading, style="bold")
        for line in told:
            page.block(line, indent=2, style=style)


def _said(line: ToldLine) -> str:
    return f"{line.speaker}: {line.text} ({line.day})"
