"""`memoryd users add|list|remove|rotate`: who may speak to the daemon. The origin's alone.

A token is printed once, by itself on a line, with what to type next; nobody can print it again.
"""

from typing import Annotated

import typer

from memoryd.cli import render
from memoryd.cli.commands import Command, ConfigFile, Json, Url, app, connected, show_json
from memoryd_client import UserList, UserToken

__all__ = ["app"]  # with this group of commands in it

people = typer.Typer(help="Say who may speak to the daemon (the origin only).", no_args_is_help=True)
app.add_typer(people, name="users")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]


@people.command("add", cls=Command)
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that is a folder's too: 민지, minji.")],
    *,
    returning: Annotated[
        bool, typer.Option("--returning", help="It is somebody who was a user before.")
    ] = False,
    url: Url = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Add a user, and print their token, once."""
    with connected(url, config) as client:
        made = client.add_user(name, returning=returning)
        address = client.base_url
    if as_json:
        show_json(made)
        return
    page = render.Page()
    page.say(f"{made.id} is a user now.", style="green")
    if made.files:
        page.say(f"{made.files:,} files in folders of that name were shared; they are {made.id}'s alone now.")
    _show_token(page, made, address)
    page.say(f"Their own conversations lie under memory/dayXXXX/{made.id}/.", style="dim")


@people.command("list", cls=Command)
def list_users(*, url: Url = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """List the users."""
    with connected(url, config) as client:
        seen = client.users()
    if as_json:
        show_json(seen)
    else:
        _show_users(render.Page(), seen)


@people.command("remove", cls=Command)
def remove(name: Name, *, url: Url = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Take a user's token away; their files stay."""
    with connected(url, config) as client:
        gone = client.remove_user(name)
    if as_json:
        show_json(gone)
        return
    page = render.Page()
    page.say(f"{gone.id} is no user any more; their token is nobody's.", style="green")
    page.block(
        f"Their {gone.files:,} files stay under memory/dayXXXX/{gone.id}/, and only the origin sees them. "
        f"`memoryd users add {gone.id} --returning` lets them in again."
    )


@people.command("rotate", cls=Command)
def rotate(name: Name, *, url: Url = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Give a user another token, and print it, once."""
    with connected(url, config) as client:
        made = client.rotate_token(name)
        address = client.base_url
    if as_json:
        show_json(made)
        return
    page = render.Page()
    page.say(f"The old token of {made.id} is nobody's from now on.", style="green")
    _show_token(page, made, address)
    if made.role == "origin":
        page.say("It is in state/origin.token too, where this machine's commands find it.", style="dim")


def _show_token(page: render.Page, made: UserToken, address: str) -> None:
    page.say("The token, which is shown this once:")
    page.say()
    page.say(made.token, style="bold")
    page.say()
    page.say(f"On {made.id}'s machine:")
    page.say(f"  export MEMORYD_URL={address} MEMORYD_TOKEN={made.token}")
    page.say('  memoryd ask "…"')


def _show_users(page: render.Page, seen: UserList) -> None:
    table = render.make_table("user", "role", "since")
    for user in seen.users:
        since = f"{user.since:%Y-%m-%d}" if user.since else ""
        role = "was a member; their folders stay theirs" if user.role == "former" else user.role
        table.add_row(*render.as_cells(user.id, role, since))
    page.print(table)
    room = f"{seen.free} more may be added" if seen.free else "no more may be added; six is the most"
    page.say(f"{room}: memoryd users add NAME" if seen.free else room, style="dim")
