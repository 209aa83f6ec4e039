"""Takes one conversation out of a file and keeps the others in it.

bytes ─loaders─▶ does it hold it? ── no ─────▶ unchanged
                   │ it and nothing else ────▶ removed (half a line of another, and it is rewritten)
                   │ JSON Lines: its lines   ┐ left out, read again: are the others what they were? ── yes ─▶ rewritten
                   │ a JSON list: its entries┘                                                    └─ no ─┐
                   └ every other format ───────────────────────────────────────────────────────────────▶ replaced

Replaced means: the other conversations are written beside it in the native format, and the file is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import loaders
from loaders.decode import decode
from loaders.native import NativeLoader
from memoryd.disk import sync_folder, write_whole
from memoryd.errors import BadRequestError, StoreError
from memoryd.ingest import printable
from memoryd.journal import torn_aside
from memoryd.native_line import native_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BLANK = re.compile(r"[ \t\r\n]*")
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
# What a file that says nothing may still hold: byte-order marks and white space, in UTF-16 too.
EMPTY = b"\xff\xfe\xef\xbb\xbf\0 \t\r\n"
NAMED = re.compile(r'"conversation"\s*:\s*("(?:[^"\\]|\\.)*")')


class Action(StrEnum):
    """What becomes of a file."""

    UNCHANGED = "unchanged"
    UNREADABLE = "unreadable"
    REMOVED = "removed"
    REWRITTEN = "rewritten"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What is to become of one file.

    Attributes:
        path: below `memory/`, as the ledger has it.
        file: where it is, or None where it is gone.
        target: the path of the file that takes its place, where it is replaced.
        data: what is to be written, where something is.
        turns: what was said in the conversation, as the file has it now.
        others: the conversations that stay.
        read: digest of the bytes that the plan was made from.
    """

    path: str
    file: Path | None
    action: Action
    target: str = ""
    data: bytes = b""
    turns: tuple[loaders.Turn, ...] = ()
    others: tuple[loaders.Conversation, ...] = ()
    read: bytes = b""


def plan_cut(root: Path, path: str, conversation_id: str) -> Cut:
    """Says what is to become of a file; nothing is written.

    Args:
        root: the memory folder.
        path: below it, as the ledger has it.

    Raises:
        BadRequestError: the file can't be read, so that nobody knows which part of it is meant.
    """
    file = _find(root, path)
    if file is None:
        return Cut(path=path, file=None, action=Action.REMOVED)
    try:
        data = file.read_bytes()
        held = loaders.load(path, data).conversations
    except loaders.EmptyFileError:
        return Cut(path=path, file=file, action=Action.UNCHANGED)
    except (loaders.UnreadableError, OSError) as error:
        raise BadRequestError(
            f"{path} can't be read now ({error}), so the conversation can't be cut out of it. Mend the file or take "
            "it out of the memory folder, then erase again. Nothing was erased."
        ) from error
    gone = next((each for each in held if each.id == conversation_id), None)
    others = tuple(each for each in held if each.id != conversation_id)
    if gone is None:
        return Cut(path=path, file=file, action=Action.UNCHANGED, others=others)
    read = _digest(data)
    if not others:
        # Half a line of another conversation, whose writer may still be at it.
        rest = _lines_without(path, data, conversation_id) or b""
        action = Action.REWRITTEN if rest.strip(EMPTY) else Action.REMOVED
        return Cut(path=path, file=file, action=action, data=rest, turns=gone.turns, read=read)
    for cut in (_lines_without, _list_without):
        kept = cut(path, data, conversation_id)
        if kept is not None and _holds(path, kept, others):
            return Cut(
                path=path,
                file=file,
                action=Action.REWRITTEN,
                data=kept,
                turns=gone.turns,
                others=others,
                read=read,
            )
    written = _native(others)
    target = _free_name(root, path, written)
    if not _holds(target, written, others):
        raise StoreError(
            f"{path} holds other conversations that can't be kept apart from this one. Nothing was erased. "
            "Split the file by hand, then erase again."
        )
    return Cut(
        path=path,
        file=file,
        action=Action.REPLACED,
        target=target,
        data=written,
        turns=gone.turns,
        others=others,
        read=read,
    )


def unreadable(root: Path, path: str, conversation_id: str) -> Cut | None:
    """What is to be told of a file that can't be read: a cut that does nothing, or None where it names no such id.

    Args:
        path: as in `plan_cut`, which refused it.
    """
    file = _find(root, path)
    spelt = [json.dumps(conversation_id, ensure_ascii=escaped).encode() for escaped in (False, True)]
    with suppress(OSError):
        if file is not None and any(name in file.read_bytes() for name in spelt):
            return Cut(path=path, file=file, action=Action.UNREADABLE)
    return None


def carry_out(root: Path, cut: Cut, conversation_id: str) -> None:
    """Does what was planned, each step on disk before the next; done twice it is the same.

    Raises:
        StoreError: the disk refused, or another program has written to the file since; it is as it was.
    """
    if cut.file is None:
        return
    try:
        if (
            cut.read
            and cut.file.exists()
            and _digest(cut.file.read_bytes()) not in {cut.read, _digest(cut.data)}
        ):
            raise StoreError(
                f"{cut.path} was changed while it was being cut. Erase again: nothing of it is lost."
            )
        _clean_aside(cut, conversation_id)
        if cut.action is Action.REWRITTEN:
            _write(cut.file, cut.file, cut.data)
        elif cut.action is Action.REPLACED:
            _write(cut.file, root / cut.target, cut.data)
        if cut.action in {Action.REMOVED, Action.REPLACED}:
            cut.file.unlink(missing_ok=True)
            sync_folder(cut.file.parent)
    except OSError as error:
        raise StoreError(
            f"The conversation could not be cut out of {cut.path}: {error.strerror}. Free the disk or mend its "
            "permissions, then erase again."
        ) from error


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _find(root: Path, path: str) -> Path | None:
    """The file that the ledger calls so; a name that is no UTF-8, or has a backslash, is not spelt as on disk."""
    with suppress(OSError):
        if "\\" not in path:
            return root / path if (root / path).is_file() else None
        day = path.split("/", 1)[0]
        for file in (root / day).rglob("*"):
            if printable(file.relative_to(root).as_posix()) == path:
                return file
    return None


def _lines_without(path: str, data: bytes, conversation_id: str) -> bytes | None:
    """JSON Lines without the conversation's; the other lines keep their bytes."""
    if loaders.load(path, data).format != NativeLoader.format:
        return None
    if data.startswith(UTF16):
        # Not str.splitlines, which also splits at characters that JSON allows within a text.
        lines = LINE.findall(data.decode("utf-16"))
        kept = [line for line in lines if not _is_of(path, line.encode(), conversation_id)]
        encoding = "utf-16-le" if data.startswith(UTF16[0]) else "utf-16-be"
        return data[:2] + "".join(kept).encode(encoding)
    lines = data.splitlines(keepends=True)
    return b"".join(line for line in lines if not _is_of(path, line, conversation_id))


def _is_of(path: str, line: bytes, conversation_id: str) -> bool:
    """Whether a line belongs to the conversation. A torn last line stays only where it names another."""
    try:
        found = NativeLoader().load(decode(path, line))
    except loaders.EmptyFileError:
        return False
    except loaders.UnreadableError:
        found = []
    if found:
        return found[0].id == conversation_id
    return _named(line) in {None, conversation_id}


def _named(line: bytes) -> str | None:
    """The conversation that half a line names, or None."""
    match = NAMED.search(line.decode(errors="replace"))
    with suppress(ValueError):
        return str(json.loads(match[1])) if match else None
    return None


def _list_without(path: str, data: bytes, conversation_id: str) -> bytes | None:
    """A JSON list without the conversation's entries; the others keep their bytes."""
    try:
        text = data.decode("utf-8-sig")
        spans = list(_entries(text))
    except ValueError:
        return None
    kept = [span for span in spans if not _entry_is_of(path, text[span[0] : span[1]], conversation_id)]
    if not spans or len(kept) == len(spans):
        return None
    head, tail = text[: spans[0][0]], text[spans[-1][1] :]
    return (head + ",".join(text[start:end] for start, end in kept) + tail).encode()


def _entries(text: str) -> Iterator[tuple[int, int]]:
    """Where each entry of a JSON list begins and ends, with the white space before it.

    Raises:
        ValueError: it is no list.
    """
    decoder = json.JSONDecoder()
    at = BLANK.match(text).end()  # type: ignore[union-attr]  # it matches nothing at all, too
    if text[at : at + 1] != "[":
        raise ValueError("no list")
    at += 1
    while True:
        start = BLANK.match(text, at).end()  # type: ignore[union-attr]
        _, end = decoder.raw_decode(text, start)
        yield at, end
        at = BLANK.match(text, end).end()  # type: ignore[union-attr]
        if text[at : at + 1] != ",":
            return
        at += 1


def _entry_is_of(path: str, entry: str, conversation_id: str) -> bool:
    """Whether an entry, alone in a list, is read as the conversation."""
    try:
        found = loaders.load(path, f"[{entry}]".encode()).conversations
    except loaders.UnreadableError:
        return False
    return any(each.id == conversation_id for each in found)


def _holds(path: str, data: bytes, expected: Sequence[loaders.Conversation]) -> bool:
    """Whether the bytes read as exactly these conversations."""
    try:
        found = loaders.load(path, data).conversations
    except loaders.UnreadableError:
        return False
    return [(each.id, each.title, each.turns) for each in found] == [
        (each.id, each.title, each.turns) for each in expected
    ]


def _native(conversations: Sequence[loaders.Conversation]) -> bytes:
    """Conversations as memoryd's own JSON Lines."""
    return "".join(
        _native_line(conversation, turn) for conversation in conversations for turn in conversation.turns
    ).encode()


def _native_line(conversation: loaders.Conversation, turn: loaders.Turn) -> str:
    return native_line(
        id=turn.id,
        conversation=conversation.id,
        time=turn.time,
        role=turn.role,
        speaker=turn.speaker,
        text=turn.text,
        citations=turn.citations,
        title=conversation.title or None,
    )


def _free_name(root: Path, path: str, data: bytes) -> str:
    """`path` + .jsonl; a file of that name that holds something else is not touched."""
    number = 1
    while True:
        name = f"{path}.jsonl" if number == 1 else f"{path}-{number}.jsonl"
        file = root / name
        if not file.exists() or file.read_bytes() == data:
            return name
        number += 1


def _write(source: Path, target: Path, data: bytes) -> None:
    """Writes the target whole or not at all, with the source's times: they date turns that have no time."""
    partial = target.with_name(f".{target.name}.erasing")

    def ready() -> None:
        status = source.stat()
        with suppress(PermissionError):
            os.chown(partial, status.st_uid, status.st_gid)
        shutil.copystat(source, partial)

    write_whole(target, data, aside=partial, ready=ready)


def _clean_aside(cut: Cut, conversation_id: str) -> None:
    """Half lines that a crash left and the journal set aside go with the conversation that they are of."""
    if cut.file is None or cut.action in {Action.UNCHANGED, Action.UNREADABLE}:
        return
    aside = torn_aside(cut.file)
    if not aside.exists():
        return
    lines = aside.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if _named(line) not in {None, conversation_id}]
    if kept:
        _write(aside, aside, b"".join(kept))
    else:
        aside.unlink()
        sync_folder(aside.parent)
