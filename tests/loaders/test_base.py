from __future__ import annotations

import pytest

from loaders.base import EmptyFileError, Source, UnreadableError


def test_an_error_with_a_line_says_it_first() -> None:
    error = UnreadableError("broken", line=3)
    assert str(error) == "line 3: broken"
    assert (error.reason, error.line) == ("broken", 3)
    assert str(UnreadableError("broken")) == "broken"


def test_an_empty_file_is_an_unreadable_one() -> None:
    assert issubclass(EmptyFileError, UnreadableError)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("day0315/대화.TXT", ".txt"), ("day.0315/대화", ""), ("a.tar.gz", ".gz"), ("", "")],
)
def test_the_suffix_is_the_file_names_last(name: str, suffix: str) -> None:
    assert Source(name=name, data=b"", text="").suffix == suffix
