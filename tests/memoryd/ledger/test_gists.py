from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.gist import dumps, make_gist
from tests.memoryd.ledger.made import put

if TYPE_CHECKING:
    from memoryd.ledger import FileToRead, Ledger

METHOD = 7
PATH = "day0315/talk.txt"
ELSEWHERE = "day0316/other.txt"


def _gist(ledger: Ledger, file: FileToRead) -> tuple[FileToRead, tuple[object, ...]]:
    with ledger.gists.turns(file) as turns:
        return file, dumps(make_gist(turns, lambda turn: ledger.gists.passage_of(file, turn)))


def _fill(ledger: Ledger) -> list[str]:
    """Makes the gists that are missing; returns their files' paths."""
    missing = ledger.gists.missing([""], METHOD)
    ledger.gists.save(METHOD, [_gist(ledger, file) for file in missing])
    return [file.path for file in missing]


def test_a_files_gist_is_missing_until_it_is_kept_and_again_once_the_file_changes(ledger: Ledger) -> None:
    put(ledger, PATH, "one more word")
    put(ledger, ELSEWHERE, "and another word")
    assert _fill(ledger) == [PATH, ELSEWHERE]
    assert _fill(ledger) == []
    put(ledger, PATH, "one word less")
    assert _fill(ledger) == [PATH]
    assert len(ledger.gists.missing([""], METHOD + 1)) == 2


def test_only_the_gists_of_these_owners_are_told_by_path(ledger: Ledger) -> None:
    put(ledger, PATH, "one more word")
    put(ledger, "day0316/mia/secret.txt", "secret words of mia", owner="mia")
    _fill(ledger)
    assert [row.path for part in ledger.gists.all([""], METHOD) for row in part] == [PATH]
    assert [file.path for file in ledger.gists.missing(["mia"], METHOD)] == ["day0316/mia/secret.txt"]
    assert list(ledger.gists.bodies([PATH, "nowhere"])) == [PATH]


def test_a_file_that_changed_while_it_was_read_gets_no_gist(ledger: Ledger) -> None:
    put(ledger, PATH, "one more word")
    (file,) = ledger.gists.missing([""], METHOD)
    made = _gist(ledger, file)
    put(ledger, PATH, "another word now")
    ledger.gists.save(METHOD, [made])
    assert [each.path for each in ledger.gists.missing([""], METHOD)] == [PATH]


def test_a_removed_files_gist_goes_with_it(ledger: Ledger) -> None:
    put(ledger, PATH, "one more word")
    _fill(ledger)
    ledger.files.remove(PATH)
    assert list(ledger.gists.all([""], METHOD)) == []
    assert ledger.gists.bodies([PATH]) == {}


def test_statements_name_the_passage_that_covers_them(ledger: Ledger) -> None:
    put(ledger, PATH, "one more word", "and another word")
    (file,) = ledger.gists.missing([""], METHOD)
    with ledger.gists.turns(file) as turns:
        places = {turn.text: ledger.gists.passage_of(file, turn) for turn in turns}
    assert len(set(places.values())) == len(places) == 2
    assert all(places.values())
