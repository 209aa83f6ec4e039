"""Files as ingest hands them to the ledger, said in few words."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from memoryd.korean import bigrams, latin_words
from memoryd.ledger import ConversationRow, FileRow, FileState, NewFile, NewPassage, Signature, TurnRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from memoryd.ledger import Ledger

START = datetime(2026, 3, 15, 21, 4, tzinfo=UTC)
EMBEDDER = "fake-1"
SHARED = ("",)


def key(text: str) -> bytes:
    """What a text's vector is kept under."""
    return hashlib.sha256(text.encode()).digest()


def vector(text: str, dimension: int = 8) -> NDArray[np.float32]:
    """A unit vector that the text decides."""
    drawn = np.random.default_rng(int.from_bytes(key(text)[:8], "big")).normal(size=dimension)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def passage(
    text: str,
    *,
    path: str = "",
    index: int = 0,
    morphemes: str | None = None,
    citations: tuple[str, ...] = (),
) -> NewPassage:
    """One turn as a passage; path and text decide its id."""
    return NewPassage(
        id=passage_id(path, text),
        first=index,
        last=index,
        kind="said",
        time=START + timedelta(minutes=index),
        text=text,
        vector_key=key(text),
        morphemes=" ".join(latin_words(text)) if morphemes is None else morphemes,
        bigrams=" ".join(bigrams(text)),
        citations=citations,
    )


def passage_id(path: str, text: str) -> str:
    return f"p_{path}:{text}"


def conversation(
    texts: Sequence[str], *, path: str = "", name: str = "c1", title: str = "", day: int = 0
) -> ConversationRow:
    """A conversation of one turn a text."""
    return ConversationRow(
        id=name,
        title=title,
        turns=tuple(
            TurnRow(
                id=f"t{index}",
                conversation_id=name,
                index=index,
                role="user",
                speaker="지훈",
                time=START + timedelta(days=day, minutes=index),
                text=text,
            )
            for index, text in enumerate(texts)
        ),
        passages=tuple(passage(text, path=path, index=index) for index, text in enumerate(texts)),
    )


def row(path: str, *, owner: str = "", state: FileState = FileState.INDEXED, size: int = 10) -> FileRow:
    return FileRow(path=path, signature=Signature(size, 1, 1), state=state, owner=owner, format="notes")


def file(path: str, *texts: str, owner: str = "", size: int = 10) -> NewFile:
    """A file of one conversation."""
    return NewFile(
        row=row(path, owner=owner, size=size),
        day=path.split("/", maxsplit=1)[0],
        conversations=(conversation(texts, path=path),),
    )


def put(ledger: Ledger, path: str, *texts: str, owner: str = "") -> None:
    """A file with its vectors, as ingest commits them."""
    missing = ledger.vectors.missing(EMBEDDER, [key(text) for text in texts])
    ledger.vectors.save(EMBEDDER, {key(text): vector(text) for text in texts if key(text) in missing})
    ledger.files.replace(file(path, *texts, owner=owner))


def waiting(ledger: Ledger) -> list[tuple[str, str, bool]]:
    """(passage id, owner, whether it is put in) of what waits for Chroma."""
    rows = ledger.outbox.batch(EMBEDDER, 1000)
    return [(each.passage_id, each.owner, each.vector is not None) for each in rows]


def empty_outbox(ledger: Ledger) -> None:
    """As if Chroma had taken everything."""
    ledger.outbox.clear([each.seq for each in ledger.outbox.batch(EMBEDDER, 1000)])
