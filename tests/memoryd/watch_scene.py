"""A watcher over a folder of its own, whose steps a test takes, with a fake clock, fake notices and a fake reader."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memoryd.errors import StoreError
from memoryd.ledger import Signature
from memoryd.testing import FakeClock, FakeFileEvents
from memoryd.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SETTLE = 2.0
RESCAN = 3600.0


@dataclass
class Scene:
    """A folder, a watcher over it, and a reader that keeps a ledger of signatures."""

    root: Path
    rescan_seconds: float = RESCAN
    clock: FakeClock = field(default_factory=FakeClock)
    events: FakeFileEvents = field(default_factory=FakeFileEvents)
    known: dict[str, Signature] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    listed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root.mkdir()
        self.watcher = Watcher(
            root=self.root,
            events=self.events,
            read=self._read,
            give_up=self._give_up,
            known=lambda: dict(self.known),
            clock=self.clock,
            settle_seconds=SETTLE,
            rescan_seconds=self.rescan_seconds,
        )
        # The watcher's thread is not started: the test takes its steps.
        self.events.start(self.root, self.watcher._notice)

    def put(self, path: str, text: str = "두부는 고양이야.", *, age_s: float = 3600.0) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        when = self.clock.now().timestamp() - age_s
        os.utime(file, (when, when))
        return file

    def steps(self, seconds: float = 0.0) -> list[str]:
        """Lets time pass, takes a step, and says what it read."""
        self.clock.pass_seconds(seconds)
        before = len(self.read)
        self.watcher.step()
        return self.read[before:]

    def _read(self, paths: Sequence[str], between: Callable[[], None]) -> dict[str, Exception]:
        between()
        self.read += paths
        for path in set(paths) - self.fails.keys():
            if (self.root / path).exists():
                self.known[path] = Signature.of((self.root / path).lstat())
            else:
                self.known.pop(path, None)
        return {path: self.fails[path] for path in paths if path in self.fails}

    def _give_up(self, path: str, reason: str) -> None:
        error = self.fails[path]
        if isinstance(error, StoreError):
            raise error
        self.listed[path] = reason
