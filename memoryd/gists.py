"""The gists of some owners' files, in the ledger, made where they are missing.

files without a gist ─▶ turns ─▶ make_gist ─▶ ledger ─▶ numbers, statements ─▶ memoryd.life
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from memoryd.gist import METHOD, dumps, make_gist, statements_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from memoryd.gist import Statement, Stored
    from memoryd.ledger import FileToRead, Ledger
    from memoryd.ledger.gists import GistRow

# Gists are kept when they are of so many turns together, or when this was the last.
TURNS_A_COMMIT = 20_000


class LedgerGists:
    """What `memoryd.life` reads."""

    def __init__(self, ledger: Ledger, owners: Sequence[str]) -> None:
        self._gists = ledger.gists
        self._owners = owners

    def make_missing(self, told: Callable[[int, int, int], None] = lambda *_: None) -> None:
        """Reads the files that have changed since their gist was made; each commit outlives a replay that is cut.

        Args:
            told: called after each file with how many are read, how many there are to read, and turns so far.
        """
        missing = self._gists.missing(self._owners, METHOD)
        made: list[tuple[FileToRead, Stored]] = []
        turns, unsaved = 0, 0
        for number, file in enumerate(missing, start=1):
            with self._gists.turns(file) as its_turns:
                gist = make_gist(its_turns, partial(self._gists.passage_of, file))
            made.append((file, dumps(gist)))
            turns += gist.turns
            unsaved += gist.turns
            if unsaved >= TURNS_A_COMMIT:
                self._gists.save(METHOD, made)
                made, unsaved = [], 0
            told(number, len(missing), turns)
        if made:
            self._gists.save(METHOD, made)

    def numbers(self) -> Iterator[list[GistRow]]:
        """What statements are weighed by, some files at a time, by path."""
        return self._gists.all(self._owners, METHOD)

    def statements(self, places: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], Statement]:
        """(path, place in its gist) → statement; one that is gone meanwhile is left out.

        Args:
            places: path → those that are asked for.
        """
        return {
            (path, place): statement
            for path, body in self._gists.bodies(sorted(places)).items()
            for place, statement in statements_of(body, places[path]).items()
        }
