"""The three manifests: read, checked, and put at the head of an identity.

echo_identity.txt       who the being is
fillin_manifest.txt     what it stands for
origin_id.txt           who its origin is
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from memoryd.korean import estimate_tokens
from memoryd.origin import ORIGIN_FILE, id_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What each is for.
PURPOSES = {
    "echo_identity.txt": "who the being is",
    "fillin_manifest.txt": "what it stands for",
    ORIGIN_FILE: "who its origin is",
}
MANIFESTS = tuple(PURPOSES)
HEADINGS = {
    "echo_identity.txt": "# 나는 누구인가 (who I am)",
    "fillin_manifest.txt": "# 무엇을 위해 있는가 (what I stand for)",
    ORIGIN_FILE: "# 오리진 (my origin)",
}
MANIFEST_BYTES = 64 * 2**10
# Of an identity's tokens, what must be left for memories.
LEAST_ROOM = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """The three files as they are on disk.

    Attributes:
        missing: names of those that are not there or can't be used.
        faults: what is wrong with each that is missing or empty, and what to do: a sentence a file.
    """

    texts: dict[str, str]
    missing: tuple[str, ...]
    faults: tuple[str, ...] = field(default=())


def read_manifests(folder: Path) -> Manifests:
    """Reads the three files; one that is missing or can't be used is named, not an error."""
    texts, missing, faults = {}, [], []
    for name, purpose in PURPOSES.items():
        text, fault = _read(folder / name)
        if text is None:
            missing.append(name)
        else:
            texts[name] = text
        if fault:
            faults.append(f"{name} ({purpose}) {fault}")
    return Manifests(texts=texts, missing=tuple(missing), faults=tuple(faults))


def of_origin(manifests: Manifests, origin: str) -> Manifests:
    """The manifests with the origin who is in force, where the file names another one: see `memoryd.origin`."""
    named = id_in(manifests.texts.get(ORIGIN_FILE, ""))
    if named in {"", origin}:
        return manifests
    return replace(manifests, texts=manifests.texts | {ORIGIN_FILE: origin})


def head_of(manifests: Manifests) -> str:
    """The beginning of an identity: every manifest under its heading."""
    parts = []
    for name in MANIFESTS:
        body = manifests.texts.get(name)
        parts.append(f"{HEADINGS[name]}\n{body if body is not None else f'(manifest/{name} is missing)'}\n")
    return "\n".join(parts)


def bodies_in(head: str) -> dict[str, list[str]]:
    """The lines of each manifest in an identity's head, by name."""
    names = {heading: name for name, heading in HEADINGS.items()}
    bodies: dict[str, list[str]] = {}
    name = ""
    for line in head.splitlines():
        # A manifest may quote a heading: each opens once.
        if names.get(line, name) not in {name, *bodies}:
            name = names[line]
            bodies[name] = []
        elif name and line.strip():
            bodies[name].append(line)
    return bodies


def room_fault(manifests: Manifests, budget: int, count: Callable[[str], int] = estimate_tokens) -> str:
    """Says that the manifests leave no room for memories; empty where they do.

    Args:
        budget: of the whole identity, in tokens.
    """
    taken = count(head_of(manifests))
    if taken <= budget * (1 - LEAST_ROOM):
        return ""
    left = f"{budget - taken:,} tokens are" if taken < budget else "no room is"
    return (
        f"the three manifests take {taken:,} of the identity's {budget:,} tokens, so that {left} left for memories; "
        "shorten them or raise replay.token_budget"
    )


def _read(file: Path) -> tuple[str | None, str]:
    """A manifest's text, or None, and what is wrong with it."""
    try:
        # A pipe would be waited for.
        with open(file, "rb", opener=_without_waiting) as source:
            data = source.read(MANIFEST_BYTES + 1) or b""
    except FileNotFoundError:
        return None, f"is not there: write it as UTF-8 text into {file.parent}"
    except OSError as error:
        return None, f"can't be read: {error.strerror}"
    if len(data) > MANIFEST_BYTES:
        return None, f"is longer than {MANIFEST_BYTES:,} bytes and is left out: shorten it"
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None, _other_encoding(file, data)
    if "\0" in text:
        return None, "is no text (it holds zero bytes) and is left out: save it as UTF-8 text"
    return text, "" if text else "is empty"


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _other_encoding(file: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is written in UTF-16 and is left out: save it as UTF-8"
    try:
        data.decode("cp949")
    except UnicodeDecodeError:
        return "is no UTF-8 text and is left out: save it as UTF-8"
    return (
        "is written in CP949, the older Korean encoding, and is left out: save it as UTF-8, "
        f"for instance `iconv -f CP949 -t UTF-8 {file.name} > new.txt && mv new.txt {file.name}`"
    )
