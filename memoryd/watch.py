"""Which files have changed and settled, and the one thread that reads them in.

    inotify ──▶ note(path) ──▶ pending ──settled──▶ ingest
    scan at start, every hour, and after notices were lost ─┘

A file is settled once its size and times have stayed the same for `settle_seconds`. One that never stays the same,
as a log does, is read as it stands after two minutes. One that can't be brought in is listed with its reason and
tried again; nobody waits for it. Short files go before long ones, also when they come while a long one is read and
there are notices of changes.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from memoryd.day_folder import DAY_FOLDER
from memoryd.disk import can_be_listed
from memoryd.errors import StoreError
from memoryd.ingest import StoppingError, UnsettledError, printable
from memoryd.ledger import Signature
from memoryd.memory_folder import MemoryFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from memoryd.clock import Clock
    from memoryd.file_events import FileEvents

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
# Between two comparisons of the folder where no notices come.
BLIND_RESCAN_SECONDS = 30.0
# How long a file that goes on changing is waited for.
LONGEST_WAIT_S = 120.0
# Files read in one go, between two looks at what is urgent.
TOGETHER = 64
# Longer files wait for shorter ones: some hundred turns, a few seconds for the embedder.
SHORT_BYTES = 64 * 1024
STOP_LIMIT_S = 10.0
# Left by editors, browsers and copy programs while they write.
TEMPORARY = (".tmp", ".part", ".partial", ".crdownload", ".swp", ".swx", "~")


class Read(Protocol):
    """`Ingest.read`."""

    def __call__(self, paths: Sequence[str], between: Callable[[], None], /) -> Mapping[str, Exception]:
        """The paths that could not be read, with why."""
        ...


@dataclass(slots=True)
class _Pending:
    signature: Signature | None
    due: float
    since: float
    fault: str = ""

    @property
    def short(self) -> bool:
        """One that is gone is not: it comes last of all, after the name that it may have now."""
        return self.signature is not None and self.signature.size <= SHORT_BYTES


class Watcher:
    """Keeps the ledger in step with `memory/`.

    Args:
        read: brings the ledger up to date with paths; returns those that it could not, with why. It calls its
            second argument now and then on the way, so that what is urgent or short can go between.
        give_up: lists a path that could not be brought in, with the reason; raises `StoreError` where the fault is
            not the file's.
        known: what the ledger has read, path → signature.
        settle_seconds: how long a file must stay the same.
        rescan_seconds: between two comparisons of the whole folder; 0 for never.
    """

    def __init__(
        self,
        *,
        root: Path,
        events: FileEvents,
        read: Read,
        give_up: Callable[[str, str], None],
        known: Callable[[], dict[str, Signature]],
        clock: Clock,
        settle_seconds: float,
        rescan_seconds: float,
    ) -> None:
        self._root = root
        self._events = events
        self._read = read
        self._give_up = give_up
        self._known = known
        self._clock = clock
        self._settle = settle_seconds
        self._rescan = rescan_seconds
        self._lock = threading.Lock()
        self._pending: dict[str, _Pending] = {}
        self._urgent: deque[str] = deque()
        # By memoryd itself, in this run; the notice of it comes after, when it may be read already.
        self._written: set[str] = set()
        self._in_hand: set[str] = set()
        # Found by a scan, and neither brought in nor given up since.
        self._untried: set[str] = set()
        self._scans_asked = 0
        self._folder = MemoryFolder(root)
        self._next_scan = float("-inf")
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self.scanned = False
        self.idle = threading.Event()
        self._stumble = ""
        self._deaf = ""

    def start(self) -> None:
        """Listens first, then scans, so that no change falls between."""
        try:
            self._events.start(self._root, self._notice)
        except OSError as error:
            # For example all of the machine's inotify watches are taken. Comparing the folder still works.
            log.warning(
                "no notices of changes (%s): memory/ is compared every %g s", error, BLIND_RESCAN_SECONDS
            )
            self._deaf = (
                f"no notices of changes: {error}; memory/ is compared every {BLIND_RESCAN_SECONDS:g} s"
            )
            self._rescan = min(self._rescan or BLIND_RESCAN_SECONDS, BLIND_RESCAN_SECONDS)
        self._thread.start()

    def stop(self) -> None:
        """Finishes the batch in hand and returns in a bounded time; the next start reads what is left."""
        self._stopping.set()
        self._wake.set()
        self._events.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    @property
    def fault(self) -> str:
        """Why something can't be read in now, or an empty text."""
        with self._lock:
            faults = (each.fault for each in self._pending.values() if each.fault)
            return next(faults, self._stumble or self._deaf)

    def waiting(self) -> int:
        """How many files are noticed and not yet read."""
        with self._lock:
            return len(self._pending)

    def pending(self) -> set[str]:
        """The paths that are noticed and not yet read."""
        with self._lock:
            return set(self._pending)

    def unread(self) -> set[str]:
        """The files among them that memoryd has not written itself and that nobody has tried to read yet."""
        with self._lock:
            new = {path for path, each in self._pending.items() if each.signature and not each.fault}
            return new - self._written

    def catching_up(self) -> bool:
        """Whether there are files that a scan has found, or is to find, and that nobody has tried to read yet."""
        with self._lock:
            return not self.scanned or bool(self._untried)

    def _compared(self) -> tuple[dict[str, Signature], dict[str, Signature]]:
        """What the ledger has read, and what is on disk."""
        known, on_disk = self._known(), self.on_disk()
        if known and not on_disk:
            # A volume that is not mounted is no deletion of everything on it.
            raise StoreError(
                f"The memory folder {self._root} is empty or not there, and {len(known)} files were read from it. "
                "Mount it again, or set paths.memory. What was remembered is kept."
            )
        return known, on_disk

    def on_disk(self) -> dict[str, Signature]:
        """Path → signature of every file below the folder that is not hidden or temporary."""
        return dict(self._files())

    def note(self, path: str, *, settled: bool = False) -> None:
        """Marks a path as changed; `settled` where the writer says that it is whole."""
        now = self._clock.monotonic()
        with self._lock:
            waits = self._pending.get(path) if path not in self._in_hand else None
            since = waits.since if waits else now
            due = now if settled else min(now + self._settle, since + LONGEST_WAIT_S)
            self._pending[path] = _Pending(self._signature(path), due, since)
            if settled:
                self._written.add(path)
        if settled:
            self._urgent.append(path)
        self._wake.set()

    def rescan(self) -> None:
        """Compares the whole folder with the ledger, soon; `idle` is set again once what differs is read."""
        with self._lock:
            self._next_scan = float("-inf")
            self._scans_asked += 1
            self.scanned = False
            self.idle.clear()
        self._wake.set()

    def step(self) -> float:
        """Does what is due now; returns the seconds until something more is.

        Raises:
            StoreError: the memory folder is not there.
        """
        try:
            self._folder.check()
        except StoreError:
            # Notices stop with the folder and do not come again with it.
            self._rescan = min(self._rescan or BLIND_RESCAN_SECONDS, BLIND_RESCAN_SECONDS)
            self._next_scan = float("-inf")
            raise
        if self._clock.monotonic() >= self._next_scan:
            self._scan()
        for short, between in ((True, self._between), (False, self._short_first)):
            due = self._due(short=short)
            for at in range(0, len(due), TOGETHER):
                if self._stopping.is_set():
                    break
                self._take(due[at : at + TOGETHER], between)
        now = self._clock.monotonic()
        with self._lock:
            times = [pending.due for pending in self._pending.values()]
        if not self.catching_up():
            self.idle.set()
        return max(0.0, min([*times, self._next_scan]) - now)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                pause = self.step()
                self._stumble = ""
            except Exception as error:  # the thread's boundary: one bad moment must not end the watch
                log.exception("the watcher stumbled and goes on")
                self._stumble = str(error)
                pause = RETRY_SECONDS
            self._wake.wait(min(pause, BLIND_RESCAN_SECONDS))

    def _notice(self, path: Path, is_folder: bool) -> None:
        try:
            relative = path.relative_to(self._root).as_posix()
        except ValueError:
            return
        if is_folder:
            # A folder moved in or out brings no notice for each file in it.
            with self._lock:
                self._next_scan = min(self._next_scan, self._clock.monotonic() + self._settle)
            self._wake.set()
        elif not ignored(relative):
            self.note(relative)

    def _scan(self) -> None:
        """Notes every file that differs from the ledger, in event order of their day folders."""
        now = self._clock.monotonic()
        with self._lock:
            # Before the walk: a scan that is asked for meanwhile must come after it.
            self._next_scan = now + self._rescan if self._rescan else float("inf")
            asked = self._scans_asked
        try:
            known, on_disk = self._compared()
        except BaseException:
            with self._lock:
                self._next_scan = float("-inf")
            raise
        changed = [path for path, signature in on_disk.items() if known.get(printable(path)) != signature]
        gone = known.keys() - {printable(path) for path in on_disk}
        age = self._clock.now().timestamp()
        with self._lock:
            for path in [*sorted(changed), *sorted(gone)]:
                signature = on_disk.get(path)
                old_enough = signature is None or age - signature.mtime_ns / 1e9 >= self._settle
                due = now if old_enough else now + self._settle
                self._pending.setdefault(path, _Pending(signature, due, now))
                self._untried.add(path)
            self.scanned = asked == self._scans_asked
        if changed or gone:
            log.info(
                "scan: %d files to read, %d gone, %d unchanged",
                len(changed),
                len(gone),
                len(on_disk) - len(changed),
            )

    def _files(self) -> Iterator[tuple[str, Signature]]:
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            # Listed, so that they are refused with a reason: a link is not followed, and a closed one can't be.
            refused = [
                name for name in folders if Path(folder, name).is_symlink() or self._is_closed(folder, name)
            ]
            folders[:] = [name for name in folders if name not in refused]
            for name in [*names, *refused]:
                path = Path(folder, name)
                relative = path.relative_to(self._root).as_posix()
                signature = None if ignored(relative) else self._signature(relative)
                if signature:
                    yield relative, signature

    def _is_closed(self, folder: str, name: str) -> bool:
        """Whether it is a day folder, or in one, and can't be looked into; nobody reads in others."""
        day = Path(folder, name).relative_to(self._root).parts[0]
        return DAY_FOLDER.match(day) is not None and not can_be_listed(Path(folder, name))

    def _due(self, *, short: bool, most: int | None = None) -> list[str]:
        """The settled paths of short or of long files that nobody reads; one that has changed since waits again.

        Args:
            most: where so many are found, no others are looked at.
        """
        now = self._clock.monotonic()
        due: list[str] = []
        with self._lock:
            for path, pending in list(self._pending.items()):
                if len(due) == most:
                    break
                if pending.due > now or path in self._in_hand or pending.short is not short:
                    continue
                signature = self._signature(path)
                if signature == pending.signature or now - pending.since >= LONGEST_WAIT_S:
                    due.append(path)
                else:
                    self._pending[path] = _Pending(signature, now + self._settle, pending.since)
            due.sort(key=lambda path: self._pending[path].signature is None)
        return due

    def _take(self, paths: Sequence[str], between: Callable[[], None]) -> None:
        """Reads files; each counts as waiting until it is in the ledger."""
        with self._lock:
            taken = {path: self._pending[path] for path in paths if path in self._pending}
        self._in_hand |= taken.keys()
        try:
            failed = self._read(list(taken), between)
        finally:
            self._in_hand -= taken.keys()
        for path, error in failed.items():
            if isinstance(error, StoppingError):
                continue
            waited = self._clock.monotonic() - taken[path].since
            if isinstance(error, UnsettledError) and waited < LONGEST_WAIT_S:
                self.note(path)
            else:
                self._failed(path, error, taken[path])
        with self._lock:
            for path in taken.keys() - failed.keys():
                self._untried.discard(path)
                # A notice that came meanwhile has put another entry there; that one stays.
                if self._pending.get(path) is taken[path]:
                    del self._pending[path]

    def _failed(self, path: str, error: Exception, before: _Pending) -> None:
        """Has a file that could not be brought in tried again, and lists it, so that nobody waits for it."""
        fault = f"{printable(path)}: {error}"
        if fault != before.fault:
            log.error("%s could not be read in; it is tried again", path, exc_info=error)
        due = self._clock.monotonic() + RETRY_SECONDS
        with self._lock:
            self._pending[path] = _Pending(self._signature(path), due, before.since, fault)
        try:
            self._give_up(path, f"it can't be brought in ({error}); it is tried again")
        except StoreError:
            return  # nobody's fault but the ledger's or the folder's, which say so themselves
        with self._lock:
            self._untried.discard(path)

    def _between(self) -> None:
        """What was just said must not wait behind an import.

        A file that is in hand already, in this read or in one around it, waits its turn: the one around would put
        its older state over the newer.

        Raises:
            StoppingError: the watcher stops.
        """
        if self._stopping.is_set():
            raise StoppingError
        urgent = [self._urgent.popleft() for _ in range(len(self._urgent))]
        self._urgent.extend(path for path in urgent if path in self._in_hand)
        for path in urgent:
            if path not in self._in_hand:
                self._take([path], self._between)

    def _short_first(self) -> None:
        """Nor must a short file wait behind a long one that may take minutes; what is gone does.

        Raises:
            StoppingError: the watcher stops.
        """
        self._between()
        if short := self._due(short=True, most=TOGETHER):
            self._take(short, self._between)

    def _signature(self, path: str) -> Signature | None:
        try:
            return Signature.of((self._root / path).lstat())
        except OSError:
            return None


def ignored(path: str) -> bool:
    """Hidden and temporary files, which are not conversations."""
    parts = path.split("/")
    return any(part.startswith(".") for part in parts) or parts[-1].lower().endswith(TEMPORARY)
