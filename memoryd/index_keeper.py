"""Keeps Chroma in step with the ledger: proves it at start, feeds it the outbox, begins a new generation.

start ─▶ made with the same pipeline? ─▶ files whole, counts agree? ─▶ sampled vectors find themselves? ─▶ serving
               │ no                          │ no                         │ no                             all are asked
               ▼                             └────────┬───────────────────┘
         read every file again                 refill the outbox
               └──────────────┬───────────────────────┘
                              ▼
                 generation + 1, in an empty folder; recall says `degraded` until it is full

A generation in which too many vectors were deleted is worn, and is made anew too: Chroma only marks them.
A folder that Chroma can't even open (three starts in a row failed) is made anew like one that lies. Every new child is
proven again: the one before it may have been killed in the middle of a write. A child that is alive and answers no
question is started again: one did not get over a full disk that had room again.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from memoryd.chroma.index import SAME_VECTOR
from memoryd.chroma.vector_files import torn
from memoryd.errors import IndexDamagedError, IndexUnavailableError, MemorydError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from memoryd.chroma import ChromaIndex, ChromaServer, RemoteChroma
    from memoryd.ledger import Ledger, OutboxRow
    from memoryd.ledger.vectors import Stored

log = logging.getLogger(__name__)

PIPELINE = "pipeline"
GENERATION = "generation"
BUILDING = "building"
# Owner → how many vectors were deleted since the generation began, in JSON.
DELETED = "deleted"
# Asked for themselves before the index is trusted; a smaller memory is asked whole. The rest follows in idle moments.
SAMPLES = 1000
ASKED_AT_ONCE = 100
# Changes that are handed over for the second comparison; where more wait, one comes in an idle moment after them.
FEW_WAITING = 1000
FAILED_STARTS = 3
IDLE_SECONDS = 1.0
RETRY_SECONDS = 0.5
# Between two generations begun for damage; doubled each time that the new one takes nothing.
FIRST_REBUILD_PAUSE_S = 60.0
LONGEST_REBUILD_PAUSE_S = 1800.0
# Deleted vectors stay in the graph that a search walks. So many of all, and no fewer, make a generation worn.
WORN_SHARE = 0.2
FEWEST_DELETED = 1000
# How long a child may be alive and fail at every question before it is started again; not while its disk is full.
UNUSABLE_S = 20.0
FULL_BYTES = 2**20
DRAIN_SECONDS = 3.0
CHILD_TIMEOUT_S = 2.0
STOP_LIMIT_S = 10.0


class IndexKeeper:
    """Owns the Chroma server and the generation in use.

    Args:
        folder: where generations live, one folder each.
        open_index: makes the index of a generation number.
        fingerprint: what passages, vectors and words are made with now.
        catching_up: whether there are files that nobody has tried to read yet.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        server: ChromaServer | RemoteChroma,
        open_index: Callable[[int], ChromaIndex],
        embedder_id: str,
        folder: Path,
        fingerprint: str,
        batch_size: int,
        catching_up: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._server = server
        self._open_index = open_index
        self._embedder = embedder_id
        self._folder = folder
        self._fingerprint = fingerprint
        self._batch_size = batch_size
        self._catching_up = catching_up
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._fault = ""
        self._damage = ""
        self._failing_since: float | None = None
        self._restarted = False
        self._next_rebuild = 0.0
        self._rebuild_pause = FIRST_REBUILD_PAUSE_S
        self.proven = threading.Event()
        self._proven_child = 0
        self._looked_at_child = 0
        # What earlier generations left on a server elsewhere, where that could not be reached then.
        self._others_left = True
        # The last row that was asked for itself since the child came up; None when all were.
        self._asked: int | None = 0
        self.index = open_index(self.generation)

    @property
    def generation(self) -> int:
        """The generation in use, counted from 1."""
        return int(self._ledger.setting(GENERATION) or 1)

    def start(self) -> None:
        """Starts Chroma; proving and feeding go on in a thread. Where the ledger refuses, it may be called again."""
        with self._lock:
            if self._ledger.setting(PIPELINE) != self._fingerprint:
                self._begin_with_new_pipeline()
            self._server.start(self._generation_folder())
            self._remove_old_generations()
        self._thread.start()

    def stop(self) -> None:
        """Feeds what is left for a bounded time, then ends Chroma."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)
        self._server.stop()

    def degraded(self) -> str | None:
        """Why recall must not trust the index now, or None."""
        if self._ledger.setting(BUILDING):
            total = self._ledger.files.totals().passages
            fed = max(0, total - self._ledger.outbox.count())
            return f"the vector index is being made anew ({fed} of {total} passages)"
        if not self._server.answers:
            return self._fault or "the Chroma child does not answer yet"
        if not self._is_proven():
            return self._fault or "the vector index is being checked"
        return self._fault or None

    def doubt(self) -> None:
        """Has the index proven again: somebody could not use it. Recall does without it meanwhile."""
        self.proven.clear()

    def rebuild(self) -> int:
        """Begins a new generation from the ledger; returns its number."""
        with self._lock:
            number = begin_generation(self._ledger)
            # A ledger that was made anew while everything ran knows no pipeline; its files are read with this one.
            self._ledger.remember(PIPELINE, self._fingerprint)
            self.index = self._open_index(number)
            self._server.start(self._generation_folder())
            self._remove_old_generations()
            self._others_left = True
        log.info("generation %d of the vector index begins", number)
        return number

    def renew(self) -> int:
        """Begins a new generation and leaves nothing of the others, on a server elsewhere either.

        Raises:
            IndexUnavailableError: that server can't be reached.
        """
        number = self.rebuild()
        self._drop_others()
        return number

    def feed(self) -> int:
        """Hands one batch of the outbox to Chroma; returns how many changes it took.

        Raises:
            IndexUnavailableError: Chroma can't be reached; nothing is lost.
        """
        with self._lock:
            rows = self._ledger.outbox.batch(self._embedder, self._batch_size)
            owners = dict.fromkeys(row.owner for row in rows)
            for owner in owners:
                self._apply(owner, [row for row in rows if row.owner == owner])
            if rows:
                self._ledger.outbox.clear([row.seq for row in rows])
            return len(rows)

    def _apply(self, owner: str, rows: list[OutboxRow]) -> None:
        """The outbox names passages; what is true of each now decides, so that order can't matter."""
        present = {row.passage_id: row.vector for row in rows if row.vector is not None}
        gone = {row.passage_id for row in rows if row.vector is None}
        if present:
            vectors = np.frombuffer(b"".join(present.values()), "<f4").reshape(len(present), -1)
            self.index.upsert(owner, list(present), vectors)
        if gone:
            before = self.index.count(owner)
            self.index.delete(owner, sorted(gone))
            # Not all of them need have been in it: a change of pipeline takes out what only its old generation had.
            self._note_deleted(owner, before - self.index.count(owner))

    def _deleted(self) -> dict[str, int]:
        deleted: dict[str, int] = json.loads(self._ledger.setting(DELETED) or "{}")
        return deleted

    def _note_deleted(self, owner: str, number: int) -> None:
        if number > 0:
            deleted = self._deleted()
            deleted[owner] = deleted.get(owner, 0) + number
            self._ledger.remember(DELETED, json.dumps(deleted))

    def _begin_with_new_pipeline(self) -> None:
        """Another embedder, analyser or way of cutting: every file is read again, old and new never mixed."""
        first = self._ledger.setting(PIPELINE) is None
        if not first:
            log.warning("the pipeline has changed to %s: every file is read again", self._fingerprint)
            self._ledger.files.mark_all_stale()
            self._ledger.remember(DELETED, "")
            self._ledger.remember(GENERATION, str(self.generation + 1))
            self._ledger.remember(BUILDING, "1")
            self.index = self._open_index(self.generation)
        self._ledger.remember(PIPELINE, self._fingerprint)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                took = self._turn()
                self._fault = ""
                self._failing_since, self._restarted = None, False
            except IndexDamagedError as error:
                self._fault = self._damage = str(error)
                if time.monotonic() < self._next_rebuild:
                    self._stopping.wait(RETRY_SECONDS)
                continue
            except IndexUnavailableError as error:
                log.debug("%s", error)
                self._fault = str(error)
                self._restart_unusable()
                self._stopping.wait(RETRY_SECONDS)
                continue
            except Exception as error:  # the thread's boundary: the feed must outlive one bad moment
                log.exception("feeding Chroma stumbled and goes on")
                self._fault = str(error)
                self._stopping.wait(RETRY_SECONDS)
                continue
            if took < self._batch_size:
                self._stopping.wait(IDLE_SECONDS)
        self._drain()

    def _turn(self) -> int:
        """Proves the index where need be, feeds it a batch, and in idle moments looks after it.

        Returns:
            How many changes Chroma took.
        """
        self._replace_unusable()
        self._drop_others()
        if not self._is_proven():
            self._prove()
        took = self.feed()
        if took:
            self._rebuild_pause = FIRST_REBUILD_PAUSE_S
        else:
            self._ask_the_rest()
        if took < self._batch_size:
            self._finish_building()
            self._replace_worn()
        return took

    def _replace_unusable(self) -> None:
        """Begins a new generation where Chroma can't start on this one or can't read it, with a growing pause."""
        if self._server.failed_starts >= FAILED_STARTS:
            self._damage = f"Chroma does not stay up on {self._generation_folder()}."
        if self._damage and time.monotonic() >= self._next_rebuild:
            log.warning("%s The index is made anew", self._damage)
            self.rebuild()
            self._damage = ""
            self._next_rebuild = time.monotonic() + self._rebuild_pause
            self._rebuild_pause = min(2 * self._rebuild_pause, LONGEST_REBUILD_PAUSE_S)

    def _restart_unusable(self) -> None:
        """Starts a child again that has been alive for a while and failed at all that it was asked.

        Where the one after it fails in the same way, it is the files: Chroma may hang over torn ones as well as fall.
        """
        now, server = time.monotonic(), self._server
        if server.elsewhere or not server.answers or _is_full(self._folder):
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since <= UNUSABLE_S:
            return
        elif self._restarted and now >= self._next_rebuild:
            self._failing_since = None
            self._damage = f"Chroma is alive and answers nothing on {self._generation_folder()}, twice."
        elif not self._restarted:
            log.warning("Chroma is alive and answers nothing (%s): it is started again", self._fault)
            self._failing_since, self._restarted = None, True
            with self._lock:
                server.start(self._generation_folder())

    def _replace_worn(self) -> None:
        """Begins a new generation where too much of what a search walks through is deleted."""
        if self._ledger.setting(BUILDING):
            return
        for owner, deleted in self._deleted().items():
            if deleted >= FEWEST_DELETED and deleted > WORN_SHARE * (deleted + self.index.count(owner)):
                log.info("%d vectors were deleted from the index since it was made: it is made anew", deleted)
                self.rebuild()
                return

    def _drop_others(self) -> None:
        with self._lock:
            if self._others_left:
                self.index.drop_others()
                self._others_left = False

    def _is_proven(self) -> bool:
        return self.proven.is_set() and self._server.starts == self._proven_child

    def _prove(self) -> None:
        """Looks at the files, compares counts, asks for vectors by themselves, and compares without what little waits.

        Raises:
            IndexDamagedError: a failure; a new generation begins.
        """
        self._server.url(CHILD_TIMEOUT_S)
        child = self._server.starts
        self._look_at_files(child)
        if not self._ledger.setting(BUILDING):
            self._compare_counts()
            self._ask_for(self._ledger.vectors.sample(self._embedder, SAMPLES))
            # What waits hides as many vectors that should not be there.
            while 0 < self._ledger.outbox.count() <= FEW_WAITING and self.feed():
                pass
            self._compare_counts()
        # What a child has taken in does not change by itself; a server elsewhere may have been started again.
        if child != self._proven_child or self._server.elsewhere:
            self._asked = 0
        self._proven_child = child
        self.proven.set()

    def _look_at_files(self, child: int) -> None:
        """Once for each child, before anything is handed to it: later it may be writing."""
        if child == self._looked_at_child:
            return
        with self._lock:  # else a rebuild may remove them meanwhile
            why = torn(self._generation_folder()) if child == self._server.starts else ""
        if why:
            raise IndexDamagedError(why)
        self._looked_at_child = child

    def _ask_the_rest(self) -> None:
        """Asks for the next vectors by themselves; after the last one, the counts are compared once more."""
        if self._asked is None or self._ledger.setting(BUILDING):
            return
        with self._lock:
            part = self._ledger.vectors.after(self._embedder, self._asked, ASKED_AT_ONCE)
            self._ask_for(part)
            if not part:
                self._compare_counts()
        self._asked = part[-1].row if part else None

    def _compare_counts(self) -> None:
        """Chroma must hold as many vectors as the ledger, but for what waits in the outbox."""
        expected = self._ledger.outbox.expected(self._embedder)
        held = {owner: self.index.count(owner) for owner in expected}
        # Read last: a file that comes in meanwhile makes more wait, and is no fault of Chroma's.
        waiting = self._ledger.outbox.count()
        for owner, count in expected.items():
            if abs(held[owner] - count) > waiting:
                raise IndexDamagedError(f"Chroma holds {held[owner]} vectors of {count}.")

    def _ask_for(self, stored: Sequence[Stored]) -> None:
        """Every one of these vectors must be its own nearest, but for what an approximate search may miss."""
        for owner in dict.fromkeys(each.owner for each in stored):
            own = [each for each in stored if each.owner == owner]
            for at in range(0, len(own), ASKED_AT_ONCE):
                part = own[at : at + ASKED_AT_ONCE]
                if not self.index.find_themselves(owner, np.stack([each.vector for each in part])):
                    self._must_be_whole(owner, part)

    def _must_be_whole(self, owner: str, part: Sequence[Stored]) -> None:
        """Where a search misses vectors, what Chroma holds of them decides.

        HNSW is approximate: of a hundred passages that say the same ("응") some can't be reached from the others,
        in a sound index too. Torn pages hold other vectors, and torn links lose most.
        """
        missed = [each for each in part if not self.index.find_themselves(owner, each.vector[None])]
        held = self.index.stored(owner, [each.passage_id for each in missed])
        whole = all(
            each.passage_id in held and float(each.vector @ held[each.passage_id]) > 1 - SAME_VECTOR
            for each in missed
        )
        if not whole or len(missed) > len(part) // 2:
            raise IndexDamagedError("Chroma does not find what it holds.")

    def _finish_building(self) -> None:
        if (
            self._ledger.setting(BUILDING)
            and not self._ledger.outbox.count()
            and not self._ledger.files.stale()
            and not self._catching_up()
        ):
            self._ledger.remember(BUILDING, "")
            log.info("generation %d of the vector index is whole", self.generation)

    def _drain(self) -> None:
        """Feeds for a moment more; what Chroma has not taken by then stays in the outbox, on disk."""
        deadline = time.monotonic() + DRAIN_SECONDS
        try:
            while time.monotonic() < deadline and self.feed():
                pass
        except MemorydError as error:
            log.warning("the outbox keeps what Chroma could not take: %s", error)

    def _generation_folder(self) -> Path:
        return self._folder / _folder_name(self.generation)

    def _remove_old_generations(self) -> None:
        remove_other_generations(self._folder, self.generation)


def begin_generation(ledger: Ledger) -> int:
    """Has the next generation filled from the ledger; returns its number."""
    number = int(ledger.setting(GENERATION) or 1) + 1
    # In this order: a kill in between must not leave an empty generation that counts as fed.
    ledger.outbox.refill()
    ledger.remember(BUILDING, "1")
    ledger.remember(DELETED, "")
    ledger.remember(GENERATION, str(number))
    return number


def remove_other_generations(folder: Path, generation: int) -> None:
    """Removes the folders of every other generation."""
    for old in folder.glob("g*"):
        if old != folder / _folder_name(generation):
            shutil.rmtree(old, ignore_errors=True)


def _folder_name(generation: int) -> str:
    return f"g{generation:04d}"


def _is_full(folder: Path) -> bool:
    """Whether the disk that a folder lies on has no room."""
    try:
        return shutil.disk_usage(folder).free < FULL_BYTES
    except OSError:
        return False
