"""`memoryd inspect` and `memoryd import`: what the loaders make of files, shown, or copied into `memory/`.

Neither speaks to the daemon: files are the truth, and a daemon that runs takes them in.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

import loaders
from memoryd.cli import render
from memoryd.cli.commands import Command, ConfigFile, Json, show_json, waiting
from memoryd.cli.users import app
from memoryd.config import load_config
from memoryd.errors import BadRequestError, MemorydError
from memoryd.importing import Importer, Outcome, day_folder
from memoryd.owners import SHARED
from memoryd.sources import NamedFile, Opened, read, walk
from memoryd.users import known_owners

__all__ = ["app"]  # with these two commands in it

WORDS_CELLS = 100  # first and last words of a conversation

Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="Files, or folders with files.")]


@app.command("inspect", cls=Command)
def inspect_files(
    files: Files,
    *,
    turns: Annotated[int, typer.Option(min=0, help="Print so many turns of each conversation in full.")] = 0,
    as_json: Json = False,
) -> None:
    """Show what would be read from files; store nothing."""
    page = render.Page()
    seen: list[dict[str, Any]] = []
    refused = False
    for name, result in _opened(files, hidden=as_json):
        refused = refused or isinstance(result, loaders.UnreadableError)
        if as_json:
            seen.append(_file(name, result, turns))
        else:
            if isinstance(result, Opened):
                page.say(_heading(name, result), style="bold")
            _show_file(page, _file(name, result, turns))
    if as_json:
        show_json({"files": seen})
    if refused:
        raise typer.Exit(MemorydError.exit_code)


@dataclass(slots=True)
class _Sums:
    """What an import comes to; outcomes are kept only where one document prints them all."""

    files: int = 0
    refused: int = 0
    conversations: int = 0
    added_to: int = 0
    turns: int = 0
    known: int = 0
    paths: set[str] = field(default_factory=set)

    def count(self, outcome: Outcome) -> None:
        self.conversations += 1
        self.added_to += bool(outcome.written)
        self.turns += sum(each.turns for each in outcome.written)
        self.known += outcome.known
        self.paths |= {each.path for each in outcome.written}
        self.refused += outcome.refused is not None


@app.command("import", cls=Command)
def import_files(
    files: Files,
    *,
    owner: Annotated[
        str, typer.Option("--for", metavar="USER", help="Into this user's own folders, not shared.")
    ] = SHARED,
    day: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="The day (0315, 20260315, last) of conversations without times."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be written.")] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Copy exports into the day folders of memory/."""
    from memoryd.day_files import DayFiles

    loaded = load_config(config).config
    memory = loaded.paths.memory
    there = DayFiles(memory, max_file_bytes=loaded.watch.max_file_bytes, dry_run=dry_run)
    importer = Importer(
        there,
        owner=owner,
        owners=known_owners(loaded.paths.manifest, loaded.paths.state),
        day=None if day is None else day_folder(day),
    )
    _check_outside(files, memory)
    page = render.Page()
    sums = _Sums()
    documents: list[dict[str, Any]] = []
    for name, result in _opened(files, hidden=as_json):
        sums.files += 1
        document: dict[str, Any] = {"file": name, "refused": _refusal(result)}
        documents.append(document)
        if isinstance(result, loaders.UnreadableError):
            sums.refused += 1
            if not as_json:
                _show_refusal(page, name, result)
            continue
        if not as_json:
            page.say(_heading(name, result), style="bold")
        before = sums.turns, sums.refused
        document |= {"format": result.loaded.format, "conversations": []}
        for outcome in importer.take(result):
            sums.count(outcome)
            if as_json:
                document["conversations"].append(_outcome(outcome))
            else:
                _show_outcome(page, outcome, dry_run=dry_run)
        if not as_json and (sums.turns, sums.refused) == before:
            page.say("  nothing new")
    if as_json:
        show_json({"memory": str(memory), "dry_run": dry_run, **_summed(sums), "files": documents})
    else:
        _show_sums(page, sums, memory, dry_run=dry_run)
    if sums.refused:
        raise typer.Exit(MemorydError.exit_code)


def _opened(files: list[Path], *, hidden: bool) -> Iterator[tuple[str, Opened | loaders.UnreadableError]]:
    """Each file with what a loader made of it, or why none did; one is held in memory at a time."""
    found: NamedFile | None = None
    for found in walk(files):
        try:
            with waiting(f"Reading {render.clean(found.name)}", hidden=hidden):
                opened = read(found)
        except loaders.UnreadableError as error:
            yield found.name, error
        else:
            yield found.name, opened
            del opened
    if found is None:
        named = ", ".join(map(str, files))
        raise BadRequestError(f"There is no file in {named}; hidden and temporary ones don't count.")


def _check_outside(files: list[Path], memory: Path) -> None:
    root = memory.resolve()
    for path in files:
        where = path.resolve()
        if where.is_relative_to(root) or root.is_relative_to(where):
            raise BadRequestError(
                f"{path} lies in the memory folder or holds it, and what is in {root} is read already. "
                "Move the export out of it, and import it from there."
            )


def _refusal(result: Opened | loaders.UnreadableError) -> dict[str, Any] | None:
    if isinstance(result, Opened):
        return None
    return {"reason": result.reason, "line": result.line}


def _file(name: str, result: Opened | loaders.UnreadableError, turns: int) -> dict[str, Any]:
    """What a loader makes of a file, as `inspect --json` prints it and `_show_file` shows it."""
    if isinstance(result, loaders.UnreadableError):
        return {"file": name, "refused": _refusal(result)}
    return {
        "file": name,
        "refused": None,
        "format": result.loaded.format,
        "bytes": result.size,
        "modified": result.modified.isoformat(timespec="seconds"),
        "conversations": [_conversation(each, turns) for each in result.loaded.conversations],
    }


def _conversation(conversation: loaders.Conversation, turns: int) -> dict[str, Any]:
    said = conversation.turns
    speakers: dict[tuple[str, str], int] = {}
    for turn in said:
        key = turn.speaker, turn.role.value
        speakers[key] = speakers.get(key, 0) + 1
    times = [turn.time for turn in said if turn.time]
    return {
        "id": conversation.id,
        "title": conversation.title,
        "turns": len(said),
        "speakers": [
            {"speaker": speaker, "role": role, "turns": count} for (speaker, role), count in speakers.items()
        ],
        "first_time": min(times).isoformat() if times else None,
        "last_time": max(times).isoformat() if times else None,
        "without_time": len(said) - len(times),
        "first_words": render.excerpt(said[0].text, WORDS_CELLS),
        "last_words": render.excerpt(said[-1].text, WORDS_CELLS),
        "remarks": list(conversation.remarks),
        "said": [
            {
                "id": turn.id,
                "role": turn.role.value,
                "speaker": turn.speaker,
                "time": turn.time and turn.time.isoformat(),
                "text": turn.text,
            }
            for turn in said[:turns]
        ],
    }


def _show_file(page: render.Page, file: dict[str, Any]) -> None:
    if file["refused"]:
        _show_refusal(page, file["file"], loaders.UnreadableError(**file["refused"]))
        return
    for each in file["conversations"]:
        _show_conversation(page, each)


def _heading(name: str, opened: Opened) -> str:
    conversations = opened.loaded.conversations
    turns = sum(len(each.turns) for each in conversations)
    counts = f"{_many(len(conversations), 'conversation')}, {_many(turns, 'turn')}"
    return f"{name}: {opened.loaded.format}, {counts}, {opened.size:,} bytes"


def _show_conversation(page: render.Page, seen: dict[str, Any]) -> None:
    title = f"  {seen['title']}" if seen["title"] else ""
    page.say(f"  {seen['id']}{title}", style="cyan")
    names = [f"{each['speaker']} ({each['role']}) {each['turns']:,}" for each in seen["speakers"]]
    page.say(f"    {_many(seen['turns'], 'turn')}: {', '.join(names)}")
    page.say(f"    {_span(seen)}")
    page.say(f"    first  {seen['first_words']}", style="dim")
    page.say(f"    last   {seen['last_words']}", style="dim")
    for remark in seen["remarks"]:
        page.say(f"    note: {remark}", style="yellow")
    for turn in seen["said"]:
        page.say()
        facts = [turn["id"], turn["time"] or "no time", f"{turn['speaker']} ({turn['role']})"]
        page.say(f"    {' · '.join(facts)}", style="dim")
        page.block(turn["text"], indent=4)
    page.say()


def _span(seen: dict[str, Any]) -> str:
    if seen["first_time"] is None:
        return "no turn has a time; the day folder's date stands in"
    span = f"{seen['first_time']} to {seen['last_time']}"
    missing = seen["without_time"]
    return f"{span}; {_many(missing, 'turn')} without a time" if missing else span


def _show_refusal(page: render.Page, name: str, error: loaders.UnreadableError) -> None:
    page.say(f"{name}: refused: {error}", style="red")


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.conversation_id,
        "title": outcome.title,
        "turns": outcome.turns,
        "known": outcome.known,
        "written": [{"path": each.path, "turns": each.turns, "new": each.new} for each in outcome.written],
        "notes": list(outcome.notes),
        "refused": outcome.refused,
    }


def _show_outcome(page: render.Page, outcome: Outcome, *, dry_run: bool) -> None:
    """A line for each file written; a conversation in which nothing is new has none."""
    title = f"  {outcome.title}" if outcome.title else ""
    name = outcome.title or outcome.conversation_id
    for each in outcome.written:
        verb = (
            ("would write" if each.new else "would add to")
            if dry_run
            else ("wrote" if each.new else "added to")
        )
        page.say(f"  {verb} {each.path}  {_many(each.turns, 'turn')}{title}")
    for note in outcome.notes:
        page.say(f"  note: {name}: {note}", style="yellow")
    if outcome.refused:
        page.say(f"  left alone: {name}: {outcome.refused}", style="red")


def _summed(sums: _Sums) -> dict[str, int]:
    return {
        "refused": sums.refused,
        "conversations": sums.conversations,
        "conversations_with_new_turns": sums.added_to,
        "new_turns": sums.turns,
        "known_turns": sums.known,
        "files_written": len(sums.paths),
    }


def _show_sums(page: render.Page, sums: _Sums, memory: Path, *, dry_run: bool) -> None:
    page.say()
    read_from = f"{_many(sums.conversations, 'conversation')} in {_many(sums.files, 'file')}"
    if sums.turns:
        would = "would go" if dry_run else "went"
        where = f"{_many(len(sums.paths), 'file')} below {memory}"
        known = f"; {sums.known:,} there already" if sums.known else ""
        page.say(f"{read_from}: {_many(sums.turns, 'new turn')} {would} into {where}{known}.")
        if not dry_run:
            page.say(
                "A daemon that runs reads them in now, else at its next start; `memoryd files` shows how far."
            )
    elif sums.conversations:
        page.say(f"{read_from}: nothing new; {_many(sums.known, 'turn')} there already.")
    if sums.refused:
        page.say(f"{sums.refused:,} refused or left alone, with the reason above.", style="red")


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
