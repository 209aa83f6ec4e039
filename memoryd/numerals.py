"""Numbers and the words of other scripts, so that one amount written in several ways is one word.

    "RTX5090을 680만 원(6,800,000원), v2.1" ──▶ rtx5090 680 6800000 v2.1, and beside them rtx 5090 2.1 6800000

A word with a dot in it (3.5) is for FTS5 the phrase "3 5", which what was written 3-5 or 3월 5일 answers to as well.
"""

from __future__ import annotations

import re

# 6,800,000: groups of three behind commas.
GROUPED = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?!,?\d)")
# A decimal or a version, with letters right before and after it: 3.5, v2.1, 3.5gb; 2026.03.15 is none.
DECIMAL = r"[^\W\d_가-힣ㄱ-ㆎ]*(?<![\d.])\d{1,3}\.\d+(?!\.?\d)"
WORD = re.compile(rf"{DECIMAL}|[^\W_가-힣ㄱ-ㆎ]+")
DIGIT = re.compile(r"\d")
RUN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
# More changes between letters and digits than in rtx4090ti make a key or a hash.
MOST_RUNS = 3
SMALL = {"십": 10, "백": 100, "천": 1000}
LARGE = {"만": 10**4, "억": 10**8, "조": 10**12}
_PART = r"\d+(?:\.\d+)?(?:[십백천][만억조]?|[만억조])"
# 5만 4000원, but not the day in 680만 20일에.
AMOUNT = re.compile(rf"(?<![\d.]){_PART}(?: ?{_PART})*(?:\d{{1,4}}(?![\d.,])| \d{{1,4}}(?= ?원))?")
PART = re.compile(r"(\d+(?:\.\d+)?)([십백천]?)([만억조]?)")
# Digits that an amount may have before it is no amount.
MOST_DIGITS = 24


def number_words(text: str) -> list[str]:
    """Lower-cased words and numbers of every script but Hangul, in their order."""
    return [word.lower() for word in WORD.findall(_ungrouped(text))]


def number_variants(text: str) -> list[str]:
    """What else the words and numbers of a text may be asked for as: parts of mixed words, values of amounts."""
    found: list[str] = []
    plain = _ungrouped(text)
    if not DIGIT.search(plain):
        return found
    for word in WORD.findall(plain):
        if DIGIT.search(word):
            found += _parts(word.lower())
    for amount in AMOUNT.findall(plain):
        value = _value(amount)
        if value and len(value) <= MOST_DIGITS:
            found.append(value)
    return found


def _ungrouped(text: str) -> str:
    return GROUPED.sub(lambda found: found[0].replace(",", ""), text) if "," in text else text


def _parts(word: str) -> list[str]:
    """Letters and digits of a word apart: rtx and 5090. A single letter (a100, v2) is a part of its number's name."""
    runs = RUN.findall(word)
    if not 1 < len(runs) <= MOST_RUNS:
        return []
    decimals = [run for run in runs if "." in run]
    if all(len(run) == 1 for run in runs if not run[0].isdigit()):
        return decimals
    return [run for run in runs if len(run) > 1]


def _value(amount: str) -> str:
    """The value of 1억 2천만 in digits; empty where it is no whole number."""
    total, part = 0.0, 0.0
    for digits, small, large in PART.findall(amount):
        part += float(digits) * SMALL.get(small, 1)
        if large:
            total += part * LARGE[large]
            part = 0.0
    total += part
    return str(round(total)) if abs(total - round(total)) < 1e-6 * max(total, 1) else ""
