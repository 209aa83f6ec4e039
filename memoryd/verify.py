"""Compares what is remembered with the files that it came from, part by part, and says what differs in plain words.

    files ─loaders─▶ turns, passages ─▶ words          each against the ledger's rows
                           └─▶ vectors ─▶ Chroma       against the vector table

Whatever waits to be read or fed is no difference. What seems to differ is looked at again, so that a file that was
read in meanwhile is not accused.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

import loaders
from memoryd.chroma.index import SAME_VECTOR
from memoryd.errors import IndexDamagedError, IndexUnavailableError
from memoryd.index_keeper import BUILDING
from memoryd.ingest import printable
from memoryd.ledger import AGAIN, FileState
from memoryd.ledger.audit import CHUNK, sound
from memoryd.memory_folder import MemoryFolder
from memoryd.owners import SHARED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from memoryd.chroma import VectorIndex
    from memoryd.embedder import Embedder
    from memoryd.ingest import Ingest
    from memoryd.korean import WordSplitter
    from memoryd.ledger import Ledger, TurnRow
    from memoryd.ledger.audit import StoredFile, StoredPassage
    from memoryd.passages import Passage
    from memoryd.watch import Watcher

log = logging.getLogger(__name__)

REBUILD = "memoryd rebuild"
WAIT = "wait a moment and verify again; `memoryd status` says what goes on"
# Compared without `full`: splitting words and fetching vectors take most of the time.
SAMPLED_WORDS = 500
SAMPLED_VECTORS = 500
# What seems to differ is looked at again: a notice of a file that has just come may be on its way.
MORE_LOOKS = 2
MORE_LOOKS_S = 0.5
NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it should be.

    Attributes:
        kind: file, turns, passages, words, vectors or index.
        path: of the file below `memory/`; empty where no file is meant.
        remedy: what to do, mostly a command.
    """

    kind: str
    path: str
    detail: str
    remedy: str = REBUILD


@dataclass(slots=True, kw_only=True)
class Report:
    """What was compared and what came of it; counts are of what was compared."""

    full: bool
    files: int = 0
    refused: int = 0
    turns: int = 0
    passages: int = 0
    words: int = 0
    vectors: int = 0
    index_ids: int = 0
    index_vectors: int = 0
    waiting: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


class Verifier:
    """Compares; changes nothing.

    Args:
        memory: the folder.
        ingest: cuts files as it did when they were read.
        index: the vector index in use.
        origin: the id of the one whose files are not shared.
    """

    def __init__(
        self,
        *,
        memory: Path,
        ledger: Ledger,
        embedder: Embedder,
        words: WordSplitter,
        ingest: Ingest,
        watcher: Watcher,
        index: Callable[[], VectorIndex],
        origin: str,
    ) -> None:
        self._folder = MemoryFolder(memory)
        self._ledger = ledger
        self._embedder = embedder
        self._words = words
        self._ingest = ingest
        self._watcher = watcher
        self._index = index
        self._origin = origin

    def run(self, *, full: bool) -> Report:
        """Compares everything; `full` also all words and all of Chroma's vectors, and FTS5's own index.

        Raises:
            StoreError: the ledger can't be read, or the memory folder is not there: then no file would be.
        """
        self._folder.check()
        report = Report(full=full)
        if not self._watcher.scanned:
            report.waiting.append("the memory folder is being compared with the ledger for the first time")
        unread = self._compare_files(report)
        if unread:
            report.waiting.append(f"{_counted(len(unread), 'file waits', 'files wait')} to be read")
        self._compare_words(report)
        self._compare_vectors(report, unread)
        self._compare_index(report)
        log.info(
            "verify: %d files, %d passages, %d differences",
            report.files,
            report.passages,
            len(report.differences),
        )
        return report

    # Files

    def _compare_files(self, report: Report) -> set[str]:
        """Compares every file with the ledger; returns the paths of those that wait to be read."""
        look = _Look(self._watcher, self._ledger)
        step = 1 if report.full else max(1, self._ledger.files.totals().passages // SAMPLED_WORDS)
        found = {path: self._compare_file(path, look, report, step) for path in look.paths()}
        for _ in range(MORE_LOOKS):
            suspects = [path for path, differences in found.items() if differences]
            if not suspects:
                break
            threading.Event().wait(MORE_LOOKS_S)
            look = _Look(self._watcher, self._ledger)
            aside = Report(full=report.full)
            found = {path: self._compare_file(path, look, aside, 1) for path in suspects}
        report.differences += [each for differences in found.values() for each in differences]
        return look.unread

    def _compare_file(self, path: str, look: _Look, report: Report, step: int) -> list[Difference]:
        if path in look.unread:
            return []
        stored = self._ledger.audit.file(path)
        name = look.names.get(path)
        if name is None:
            return [Difference(kind="file", path=path, detail="it is gone, and is still remembered")]
        known = look.known.get(path)
        if stored is None or (known != look.signatures[path] and AGAIN not in (known or ())):
            word = "it is not in the ledger" if stored is None else "it has changed since it was read"
            return [Difference(kind="file", path=path, detail=f"{word}, and nothing waits to be read")]
        report.files += 1
        if stored.state is not FileState.INDEXED:
            report.refused += 1
            return []
        return list(self._compare_content(path, name, stored, report, step))

    def _compare_content(
        self, path: str, name: str, stored: StoredFile, report: Report, step: int
    ) -> Iterator[Difference]:
        file = self._folder.root / name
        try:
            loaded = loaders.load(path, file.read_bytes())
            made = list(self._ingest.cut(path, loaded, file.lstat().st_mtime))
        except (loaders.UnreadableError, OSError) as error:
            yield Difference(kind="file", path=path, detail=f"it can't be read any more: {error}")
            return
        for cut in made:
            rows = stored.turns.get(cut.conversation.id, ())
            report.turns += len(cut.turns)
            yield from _turn_differences(path, cut.turns, rows)
            kept = stored.passages.get(cut.conversation.id, ())
            report.passages += len(cut.passages)
            yield from _passage_differences(path, cut.passages, kept)
            yield from self._word_differences(path, cut.passages, kept, report, step)
        strange = (stored.turns.keys() | stored.passages.keys()) - {cut.conversation.id for cut in made}
        if strange:
            detail = f"the ledger has conversations that are not in it: {_named(sorted(strange))}"
            yield Difference(kind="turns", path=path, detail=detail)

    # Words

    def _word_differences(
        self,
        path: str,
        passages: Sequence[Passage],
        kept: Sequence[StoredPassage],
        report: Report,
        step: int,
    ) -> Iterator[Difference]:
        rows = {passage.id: passage.words for passage in kept}
        missing = [each.id for each in passages if each.id in rows and rows[each.id] is None]
        other = []
        for passage in passages:
            # The id is a digest: every so many of its values are as good as drawn by lot, and the same each time.
            if rows.get(passage.id) is None or int(passage.id[2:10], 16) % step:
                continue
            report.words += 1
            words = self._words.words(passage.embedded)
            if rows[passage.id] != (words.morphemes, words.bigrams):
                other.append(passage.id)
        if missing:
            yield Difference(kind="words", path=path, detail=f"no words are kept of {_named(missing)}")
        if other:
            yield Difference(kind="words", path=path, detail=f"other words are kept of {_named(other)}")

    def _compare_words(self, report: Report) -> None:
        stray = self._ledger.audit.stray_words()
        if stray:
            detail = f"the index of words has {_counted(stray, 'row', 'rows')} that belong to no passage"
            report.differences.append(Difference(kind="words", path="", detail=detail))
        fault = self._ledger.audit.words_fault() if report.full else ""
        if fault:
            detail = f"the index of words does not agree with its rows: {fault}"
            report.differences.append(Difference(kind="words", path="", detail=detail))

    # Vectors

    def _compare_vectors(self, report: Report, unread: set[str]) -> None:
        missing: dict[str, list[str]] = defaultdict(list)
        broken: dict[str, list[str]] = defaultdict(list)
        for part in self._ledger.audit.vectors(self._embedder.id):
            fine = sound([vector or b"" for _, _, vector in part], self._embedder.dimension)
            for (path, passage_id, vector), good in zip(part, fine, strict=True):
                if vector is not None:
                    report.vectors += 1
                    if not good:
                        broken[path].append(passage_id)
                elif path not in unread:
                    missing[path].append(passage_id)
        for path, ids in missing.items():
            detail = f"no vector of {self._embedder.id} is kept of {_named(ids)}"
            report.differences.append(Difference(kind="vectors", path=path, detail=detail))
        for path, ids in broken.items():
            detail = f"the vector is broken (its length is wrong) of {_named(ids)}"
            report.differences.append(Difference(kind="vectors", path=path, detail=detail))

    # Chroma

    def _compare_index(self, report: Report) -> None:
        if self._ledger.setting(BUILDING):
            report.waiting.append("the vector index is being made anew")
            return
        try:
            found = self._index_differences(report)
            if found:
                threading.Event().wait(MORE_LOOKS_S)
                again = self._index_differences(Report(full=report.full))
                found = [difference for difference in found if difference in again]
        except IndexUnavailableError as error:
            remedy = REBUILD if isinstance(error, IndexDamagedError) else WAIT
            found = [Difference(kind="index", path="", detail=str(error), remedy=remedy)]
        waiting = len(self._ledger.audit.waiting())
        if waiting:
            report.waiting.append(f"{_counted(waiting, 'passage waits', 'passages wait')} for Chroma")
        report.differences += found

    def _index_differences(self, report: Report) -> list[Difference]:
        index, audit, embedder = self._index(), self._ledger.audit, self._embedder.id
        before, waiting = audit.embedded(embedder), audit.waiting()
        held = {owner: index.ids(owner) for owner in {SHARED, self._origin, *before}}
        after = audit.embedded(embedder)
        waiting |= audit.waiting()
        found = []
        for owner, ids in sorted(held.items()):
            then, now = before.get(owner, set()), after.get(owner, set())
            both = sorted((ids & now) - waiting)
            report.index_ids += len(both)
            for named, words in (
                ((then & now) - ids - waiting, "Chroma lacks"),
                (ids - then - now - waiting, "Chroma has what the ledger does not know:"),
                (
                    self._other_vectors(index, owner, both, report),
                    "Chroma has other vectors than the ledger of",
                ),
            ):
                if named:
                    whose = f" (of {owner})" if owner else ""
                    detail = f"{words} {_named(sorted(named))}{whose}"
                    found.append(Difference(kind="index", path="", detail=detail))
        return found

    def _other_vectors(self, index: VectorIndex, owner: str, ids: Sequence[str], report: Report) -> set[str]:
        step = 1 if report.full else max(1, len(ids) // SAMPLED_VECTORS)
        chosen = ids[::step]
        other = set()
        for at in range(0, len(chosen), CHUNK):
            part = chosen[at : at + CHUNK]
            ours = self._ledger.audit.vectors_of(self._embedder.id, part)
            for passage_id, vector in index.stored(owner, part).items():
                report.index_vectors += 1
                kept = np.frombuffer(ours.get(passage_id, b""), "<f4")
                if passage_id in ours and not _same(kept, vector):
                    other.add(passage_id)
        return other


class _Look:
    """Folder, ledger and watcher at one moment.

    Attributes:
        names: printable path → the path as the file system has it.
        signatures: printable path → size and times on disk.
        known: the same as the ledger has it.
        unread: paths that wait to be read.
    """

    def __init__(self, watcher: Watcher, ledger: Ledger) -> None:
        pending = watcher.pending()
        on_disk = watcher.on_disk()
        self.names = {printable(path): path for path in on_disk}
        self.signatures = {printable(path): signature for path, signature in on_disk.items()}
        # After the disk: what was read in between is then waiting or the same, never older.
        self.known = ledger.files.known()
        stale = {path for path, signature in self.known.items() if signature.size < 0}
        self.unread = {printable(path) for path in pending | watcher.pending()} | stale

    def paths(self) -> list[str]:
        """Every path that the folder or the ledger has."""
        return sorted(self.names.keys() | self.known.keys())


def _turn_differences(path: str, turns: Sequence[TurnRow], rows: Sequence[TurnRow]) -> Iterator[Difference]:
    made = {turn.index: turn for turn in turns}
    kept = {row.index: row for row in rows}
    missing = [made[index].id for index in made.keys() - kept.keys()]
    strange = [kept[index].id for index in kept.keys() - made.keys()]
    both = sorted(made.keys() & kept.keys())
    other = [made[index].id for index in both if made[index] != kept[index]]
    if missing:
        yield Difference(
            kind="turns", path=path, detail=f"the ledger lacks the turns {_named(sorted(missing))}"
        )
    if strange:
        detail = f"the ledger has turns that are not in it: {_named(sorted(strange))}"
        yield Difference(kind="turns", path=path, detail=detail)
    if other:
        yield Difference(
            kind="turns", path=path, detail=f"the ledger has other words for the turns {_named(other)}"
        )


def _passage_differences(
    path: str, passages: Sequence[Passage], kept: Sequence[StoredPassage]
) -> Iterator[Difference]:
    made = {passage.id: (passage.text, passage.vector_key) for passage in passages}
    rows = {passage.id: (passage.text, passage.vector_key) for passage in kept}
    for ids, words in (
        (made.keys() - rows.keys(), "the ledger lacks the passages"),
        (rows.keys() - made.keys(), "the ledger has passages that are not in it:"),
        ({each for each in made.keys() & rows.keys() if made[each] != rows[each]}, "other text is kept of"),
    ):
        if ids:
            yield Difference(kind="passages", path=path, detail=f"{words} {_named(sorted(ids))}")


def _same(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> bool:
    return len(ours) == len(theirs) and bool(np.allclose(ours, theirs, atol=SAME_VECTOR))


def _named(ids: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    named = ", ".join(ids[:NAMED])
    return f"{named} and {len(ids) - NAMED} more" if len(ids) > NAMED else named


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
