"""Who the origin is: the id in `manifest/origin_id.txt`, once confirmed, as the state folder remembers it.

The origin sees everybody's folders in `memory/`, alone may replay, restore and change users, and gives the identity
what is the origin's own beside what is shared. A slip in one file must not hand that over, so another id in it counts
after `memoryd identity origin ID` and a restart; until then the remembered one does.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from memoryd.disk import UNSAFE, write_whole
from memoryd.errors import BadRequestError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

DEFAULT_ORIGIN = "origin"
ORIGIN_FILE = "origin_id.txt"
# In the state folder, beside the origin's token.
REMEMBERED = "origin.id"


def id_in(text: str) -> str:
    """The id that a manifest's text names, fit to be a folder's name; empty where it names none."""
    words = text.split()
    # The id names a folder, which must be a plain and visible one.
    return UNSAFE.sub("_", words[0]).strip(".") if words else ""


def named_origin(manifest: Path) -> str:
    """The id that `manifest/origin_id.txt` names now; empty where it names none or can't be read."""
    try:
        return id_in((manifest / ORIGIN_FILE).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return ""


def origin_in_force(manifest: Path, state: Path) -> str:
    """The origin's id: what is remembered, else what the file names, else `origin`."""
    return remembered_origin(state) or named_origin(manifest) or DEFAULT_ORIGIN


def settle_origin(manifest: Path, state: Path) -> str:
    """The origin's id for this start; the first one that the file names is remembered."""
    origin = origin_in_force(manifest, state)
    if not remembered_origin(state) and named_origin(manifest):
        try:
            _remember(state, origin)
        except StoreError as error:
            log.warning("%s The next start tries again.", error)
    return origin


def confirm_origin(manifest: Path, state: Path, origin: str) -> str:
    """Has another id be the origin's from the next start on; returns the id that was before.

    Raises:
        BadRequestError: `origin_id.txt` names another one: the id is given twice, so that a slip in one does nothing.
        StoreError: the state folder can't be written.
    """
    named = named_origin(manifest)
    if origin != named:
        names = f"names {named!r}" if named else "names nobody"
        raise BadRequestError(
            f"{manifest / ORIGIN_FILE} {names}, not {origin!r}. Write {origin!r} there first, then confirm it."
        )
    before = origin_in_force(manifest, state)
    _remember(state, origin)
    return before


def unconfirmed(manifest: Path, state: Path, origin: str) -> str:
    """Says that the file names another origin than the one in force, and what to do; empty where it does not.

    Args:
        origin: who is in force since the start.
    """
    named = named_origin(manifest)
    if named in {"", origin}:
        return ""
    if named == remembered_origin(state):
        return f"{named!r} is confirmed and is the origin from the next start on; until then {origin!r} is"
    return (
        f"{ORIGIN_FILE} names {named!r}, and the origin is {origin!r} still, who sees everybody's folders in memory/ "
        f"and alone may replay, restore and change users. To make {named!r} the origin: "
        f"`memoryd identity origin {named}`, then start memoryd again; else write {origin!r} into the file"
    )


def remembered_origin(state: Path) -> str:
    """The id that the state folder remembers; empty before the first start."""
    try:
        return id_in((state / REMEMBERED).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""


def _remember(state: Path, origin: str) -> None:
    file = state / REMEMBERED
    try:
        state.mkdir(parents=True, exist_ok=True)
        write_whole(file, f"{origin}\n".encode(), aside=file.with_suffix(f".{os.getpid()}"))
    except OSError as error:
        raise StoreError(
            f"The origin's id can't be written to {file}: {error.strerror}. Mend the state folder's permissions."
        ) from error
