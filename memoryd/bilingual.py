"""Everyday words of Korean and English that mean the same, so that "cat" finds 고양이 and 약국 finds "pharmacy".

A small dictionary for questions alone, after dictionary-based cross-language retrieval (Ballesteros & Croft 1997,
"Phrasal translation and query expansion techniques for cross-language information retrieval"): an index that knows
nothing of it finds the words that it adds. `everyday_words.tsv` has a line a meaning: English words, a tab, and Korean
ones as Kiwi splits them, a verb or an adjective by its stem. A Korean word of one syllable is looked for, and none is
looked up: 배 is a pear, a boat and a stomach.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from memoryd.spellings import indexed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

FILE = "everyday_words.tsv"
# What English words end in, and what stands there in the dictionary: "hates" is of "hate" and not of "hat".
ENDINGS = (("ies", "y"), ("s", ""), ("es", ""), ("ing", "e"), ("ing", ""), ("ed", "e"), ("ed", ""))
SHORTEST = 3


def meanings(words: Iterable[str], names: Collection[str] = ()) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each word that the dictionary has, once, with the words of the other language that mean the same.

    Args:
        words: lower-cased; English ones may be inflected.
        names: those of them that are written as names are, which have no endings: "James" is no jam.
    """
    known = _dictionary()
    forms = {word: _form(word, known) for word in words if word in known or word not in names}
    return tuple((word, tuple(dict.fromkeys(known[form]))) for word, form in forms.items() if form)


def _form(word: str, known: dict[str, list[str]]) -> str | None:
    """The word as the dictionary has it, or None."""
    return next((form for form in _forms(word) if form in known), None)


def _forms(word: str) -> Iterator[str]:
    yield word
    if word.isascii():
        for ending, instead in ENDINGS:
            stem = word.removesuffix(ending)
            if stem != word and len(stem + instead) >= SHORTEST:
                yield stem + instead
                if len(stem) > SHORTEST and stem[-1] == stem[-2]:
                    yield stem[:-1]


@cache
def _dictionary() -> dict[str, list[str]]:
    known: dict[str, list[str]] = defaultdict(list)
    for line in (files("memoryd") / FILE).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        english, korean = (side.split() for side in line.split("\t"))
        korean = [indexed(word) for word in korean]
        for word in english:
            known[word] += korean
        for word in korean:
            if len(word) > 1:
                known[word] += english
    return dict(known)
