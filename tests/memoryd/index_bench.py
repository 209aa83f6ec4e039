"""An index keeper with a real ledger, a fake Chroma server, and fake indexes, one a generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from memoryd.index_keeper import IndexKeeper
from memoryd.testing import FakeVectorIndex
from tests.memoryd.ledger.made import EMBEDDER, passage_id, put
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from memoryd.ledger import Ledger

PATH = "day0315/talk.txt"
OWN = "day0315/jihoon/own.txt"


@dataclass
class FakeServer:
    """Makes the folder that it is started on, as Chroma does, and remembers it."""

    elsewhere: bool = False
    failed_starts: int = 0
    starts: int = 1
    answers: bool = True
    folders: list[str] = field(default_factory=list)
    stopped: bool = False

    def start(self, folder: Path) -> None:
        self.failed_starts = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.folders.append(folder.name)

    def url(self, _: float) -> str:
        return "http://fake"

    def stop(self) -> None:
        self.stopped = True


@dataclass
class Bench:
    """A keeper with a real ledger, a fake server and fake indexes, one a generation."""

    ledger: Ledger
    folder: Path
    server: FakeServer = field(default_factory=FakeServer)
    indexes: dict[int, FakeVectorIndex] = field(default_factory=dict)
    catching_up: bool = False
    keepers: list[IndexKeeper] = field(default_factory=list)

    def keeper(self, *, fingerprint: str = "pipeline 1", batch_size: int = 2) -> IndexKeeper:
        """As the daemon makes one when it starts."""
        made = IndexKeeper(
            ledger=self.ledger,
            server=cast("Any", self.server),
            open_index=cast("Any", self.open_index),
            embedder_id=EMBEDDER,
            folder=self.folder,
            fingerprint=fingerprint,
            batch_size=batch_size,
            catching_up=lambda: self.catching_up,
        )
        self.keepers.append(made)
        return made

    def open_index(self, generation: int) -> FakeVectorIndex:
        return self.indexes.setdefault(generation, FakeVectorIndex())

    def held(self, generation: int) -> dict[str, set[str]]:
        """Owner → ids that the generation holds."""
        held = {owner: set(each) for owner, each in self.open_index(generation).vectors.items()}
        return {owner: each for owner, each in held.items() if each}

    def in_step(self) -> None:
        """A first run that has fed everything and stopped."""
        keeper = self.keeper()
        keeper.start()
        until(lambda: keeper.degraded() is None and not self.ledger.outbox.count())
        keeper.stop()


def read_all(bench: Bench) -> None:
    """What the watcher does after every file was marked stale."""
    for path, texts, owner in ((PATH, ("one", "two", "three"), ""), (OWN, ("own",), "jihoon")):
        put(bench.ledger, path, *texts, owner=owner)


ALL = {"": {passage_id(PATH, text) for text in ("one", "two", "three")}, "jihoon": {passage_id(OWN, "own")}}
