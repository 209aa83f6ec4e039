from __future__ import annotations

import pytest
from rich.cells import cell_len

from memoryd.cli.render import clean, duration, excerpt


def test_an_excerpt_is_one_line_and_counts_hangul_as_two_cells() -> None:
    assert excerpt("모델\n파일은  어디") == "모델 파일은 어디"
    assert excerpt("가나다라마", cells=7) == "가나다…"
    assert cell_len(excerpt("가a나b다c" * 100, cells=41)) <= 41


def test_clean_text_keeps_lines_and_loses_what_steers_a_terminal() -> None:
    assert clean("한\r\n글\tx\x1b]0;title\x07\x9b") == "한\n글   x�]0;title��"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words
