"""Whether any file at all makes a loader crash, hang, lose its manners or break its promises.

`python -m bench.fuzz --seconds 120`: worker processes read changed files of every format and files that hypothesis
builds, one after the other. A case may take a second of processor time per megabyte (unpacked), and a second at
least; the kernel ends a process that takes more, so that loops and crashes of the interpreter are seen from outside.
What was found is read again in a fresh process, and kept with `--keep DIR`. One JSON line comes last; the exit code
is 1 where anything was found.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, cast

import hypothesis
from hypothesis import strategies as st

from bench.fuzz_mutations import Case, mutations, seeds
from bench.fuzz_reading import KINDS, MIB, Finding, examined, size_to_read
from bench.fuzz_shapes import chats, trees
from bench.machine import describe_machine
from loaders import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess
    from typing import Final

    from bench.fuzz_mutations import Seed
    from bench.fuzz_reading import Reading
    from loaders import Loaded

MEMORY_BYTES: Final = 4 * 2**30  # of address space for a worker: more is a fault too
TIMED_FROM: Final = 2**18  # bytes; the times of smaller files say little of a megabyte
MUTATED, DRAWN = 1000, 100  # cases of a round: hypothesis takes longer for one
REPORT_SECONDS: Final = 1
SILENT_SECONDS: Final = 120  # of the clock; a worker that says nothing for so long stands still
KEPT_ALIKE: Final = 3  # findings with one signature that are kept


@dataclass(slots=True)
class Tally:
    """What a worker has done."""

    formats: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0  # seconds of processor time per MB
    slowest_format: str = ""
    found: list[tuple[Case, Finding]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, case: Case, reading: Reading) -> None:
        """Count a case that was read."""
        self.formats["zip" if reading.format.endswith(" zip") else reading.format] += 1
        size = size_to_read(case.data)
        if size >= TIMED_FROM and (rate := reading.seconds * MIB / size) > self.slowest:
            self.slowest, self.slowest_format = rate, reading.format
        if reading.finding is not None:
            self.note(case, reading.finding)

    def note(self, case: Case, finding: Finding) -> None:
        """Count what was found, and keep the first few of each signature."""
        self.counts[finding.kind] += 1
        if sum(finding.signature == other.signature for _, other in self.found) < KEPT_ALIKE:
            self.found.append((case, finding))

    def merge(self, other: Tally) -> None:
        """Add what another worker has done."""
        self.formats += other.formats
        if other.slowest > self.slowest:
            self.slowest, self.slowest_format = other.slowest, other.slowest_format
        for case, finding in other.found:
            self.note(case, finding)
        self.counts += other.counts - Counter(finding.kind for _, finding in other.found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another one gives other cases")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="more good files to change")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where cases that found something are put")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    good = seeds(options.corpus)
    tally = fuzzed(good, options.seconds, seed=options.seed, workers=options.workers, read=load)
    for number, (case, finding) in enumerate(tally.found, start=1):
        sys.stderr.write(f"{finding.kind}: {finding.signature} ({case.name!r}, {len(case.data)} bytes)\n")
        if options.keep is not None:
            _keep(options.keep, f"{options.seed}-{number}-{finding.kind}", case, finding)
    result = {
        "cases": sum(tally.formats.values()) + tally.counts["crashes"] + tally.counts["hangs"],
        "seconds": round(time.perf_counter() - started, 1),
        "seed": options.seed,
        "formats": dict(sorted(tally.formats.items())),
        **{kind: tally.counts[kind] for kind in KINDS},
        "slowest_s_per_mb": round(tally.slowest, 3),
        "slowest_format": tally.slowest_format,
        "machine": describe_machine(),
    }
    print(json.dumps(result, ensure_ascii=False))
    return 1 if tally.found else 0


def fuzzed(
    seeds: Sequence[Seed],
    seconds: float,
    *,
    seed: int,
    workers: int,
    read: Callable[[str, bytes], Loaded],
) -> Tally:
    """Let processes read cases for so many seconds of the clock; one that dies is replaced.

    Args:
        seeds: good files to start from.
        seconds: how long.
        seed: of the chance.
        workers: how many processes.
        read: what is tried, `loaders.load` or a test's.
    """
    tally = Tally()
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="memoryd-fuzz-") as scratch:
        started = 0
        at_work: list[_Worker] = []
        while True:
            while len(at_work) < workers and time.monotonic() < deadline:
                place = Path(scratch) / str(started)
                at_work.append(_Worker(place, seeds, f"{seed}.{started}", deadline, read))
                started += 1
            if not at_work:
                return tally
            wait(
                [one.process.sentinel for one in at_work] + [one.reports for one in at_work],
                timeout=REPORT_SECONDS,
            )
            for one in at_work[:]:
                one.listen()
                if one.has_ended():
                    at_work.remove(one)
                    tally.merge(one.tally)
                    if (lost := one.lost()) is not None:
                        tally.merge(_confirmed(*lost, read))


class _Worker:
    """A process that reads cases until the deadline, writing down each before it reads it."""

    def __init__(
        self,
        place: Path,
        seeds: Sequence[Seed],
        seed: str,
        deadline: float,
        read: Callable[[str, bytes], Loaded],
    ) -> None:
        context = multiprocessing.get_context("fork")  # one thread here, and hypothesis is slow to import
        self.reports, theirs = context.Pipe(duplex=False)
        self.tally = Tally()
        self._place = place
        self._heard = time.monotonic()
        self._stood_still = False
        settings = {"seeds": seeds, "seed": seed, "deadline": deadline, "read": read}
        self.process: ForkProcess = context.Process(target=_work, args=(theirs, place), kwargs=settings)
        self.process.start()
        theirs.close()

    def listen(self) -> None:
        """Take the latest report; end a process that stands still."""
        try:
            while self.reports.poll():
                self.tally = self.reports.recv()
                self._heard = time.monotonic()
        except EOFError:
            pass
        if time.monotonic() - self._heard > SILENT_SECONDS:
            self._stood_still = True
            self.process.kill()

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        if self.process.is_alive():
            return False
        self.process.join()
        self.reports.close()
        return True

    def lost(self) -> tuple[Case, Finding] | None:
        """The case that the process died of, if it did.

        Raises:
            RuntimeError: it was not a case but an error of this bench, which the process has printed.
        """
        code = self.process.exitcode or 0
        if code == 0:
            return None
        if code > 0 or not self._place.exists():
            raise RuntimeError("a worker of the bench failed by itself; its error stands above")
        if code == -signal.SIGPROF or self._stood_still:
            return _written_down(self._place), Finding("hangs", "no end in time")
        return _written_down(self._place), Finding("crashes", f"the process ended with {code}")


def _work(
    reports: Connection,
    place: Path,
    *,
    seeds: Sequence[Seed],
    seed: str,
    deadline: float,
    read: Callable[[str, bytes], Loaded],
) -> None:
    """A worker's whole life: rounds of mutations and of hypothesis's cases by turns, and a report now and then."""
    _leave_the_parent_behind()
    tally = Tally()
    reported = time.monotonic()

    def take(case: Case) -> None:
        nonlocal reported
        if time.monotonic() >= deadline:
            return
        _write_down(place, case)
        tally.add(case, examined(case, read))
        if time.monotonic() - reported > REPORT_SECONDS:
            reports.send(tally)
            reported = time.monotonic()

    chance = random.Random(seed)  # noqa: S311  (no secret hangs on it)
    changed = mutations(seeds, chance)
    strategy = st.one_of(chats(), trees(seeds))
    while time.monotonic() < deadline:
        for case in islice(changed, MUTATED):
            take(case)
        _drawn(strategy, chance.getrandbits(32), take)
    reports.send(tally)


def _drawn(strategy: st.SearchStrategy[Case], seed: int, take: Callable[[Case], None]) -> None:
    """Hand over a round of what hypothesis draws."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=DRAWN,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def draw(case: Case) -> None:
        take(case)

    draw()


def _confirmed(case: Case, finding: Finding, read: Callable[[str, bytes], Loaded]) -> Tally:
    """A hang where a fresh process takes too long too, as a busy machine may cost one; a crash in any case."""
    tally = Tally()
    if finding.kind == "crashes":
        tally.note(case, finding)
        return tally
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_again, args=(theirs, case, read))
    process.start()
    theirs.close()
    process.join(SILENT_SECONDS)
    process.kill()
    process.join()
    try:
        reading = cast("Reading", mine.recv())
    except EOFError:
        tally.note(case, finding)
    else:
        tally.add(case, reading)
    return tally


def _again(report: Connection, case: Case, read: Callable[[str, bytes], Loaded]) -> None:
    _leave_the_parent_behind()
    report.send(examined(case, read))


def _leave_the_parent_behind() -> None:
    """Caps this process at what it began with, which is its parent's and no case's doing, and MEMORY_BYTES more.

    What came over from a parent with threads and native libraries is never collected here: its finalisers may crash.
    """
    gc.freeze()
    begun = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (begun + MEMORY_BYTES, begun + MEMORY_BYTES))


def _write_down(place: Path, case: Case) -> None:
    """Keep the case where it survives this process: the name's length, the name, the bytes."""
    name = case.name.encode()
    place.write_bytes(len(name).to_bytes(2) + name + case.data)


def _written_down(place: Path) -> Case:
    data = place.read_bytes()
    end = 2 + int.from_bytes(data[:2])
    return Case(data[2:end].decode(), data[end:])


def _keep(folder: Path, stem: str, case: Case, finding: Finding) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.bin").write_bytes(case.data)
    told = f"{case.name}\n{finding.kind}: {finding.signature}\n{finding.detail}\n"
    (folder / f"{stem}.txt").write_text(told, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
