"""What is taken off a file's head, and what is said of one that is damaged."""

from __future__ import annotations

import struct

import pytest

from llm.gguf_reader import KEPT_ITEMS, Array, Entry, Flaw, Head, read_head
from tests.llm.gguf_files import array, entry, file_of, number, numbers, pair, string, strings, text

ABSURD = 2**63


def read(content: bytes) -> Head:
    return read_head(content, len(content))


def test_numbers_texts_and_short_arrays_are_kept() -> None:
    head = read(
        file_of(
            [
                string("name", "작은 모델"),
                pair("flag", 7, b"\1"),
                pair("half", 6, struct.pack("<f", 0.5)),
                numbers("heads", [4, 2]),
                pair("less", 5, struct.pack("<i", -1)),
            ],
            [entry("a", (4, 4), 0, 0)],
            64,
        )
    )
    assert head.values == {"name": "작은 모델", "flag": True, "half": 0.5, "heads": (4, 2), "less": -1}
    assert (head.text("name"), head.text("heads"), head.text("none")) == ("작은 모델", "", "")
    assert (head.count("flag"), head.count("half"), head.count("less"), head.count("none")) == (1, 0, 0, 0)
    assert (head.counts("heads"), head.counts("flag"), head.counts("name")) == ((4, 2), (1,), ())
    assert head.entries == [Entry("a", (4, 4), 0, 0)]


def test_of_other_arrays_the_length_is_known() -> None:
    head = read(
        file_of(
            [
                strings("tokenizer.ggml.tokens", ["<s>", "안녕", "", "a"]),
                strings("merges", ["a b", "b c"]),
                numbers("long", [7] * (KEPT_ITEMS + 1)),
            ],
            [],
            0,
        )
    )
    assert head.values == {}
    assert head.arrays == {
        "tokenizer.ggml.tokens": Array(8, 4),
        "merges": Array(8, 2),
        "long": Array(4, KEPT_ITEMS + 1),
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"GG", "is cut off"),
        (b"GGUF\3\0", "is cut off"),
        (b"<html>404</html>", r"is not a GGUF file: it starts with b'<htm'"),
        (file_of([], [], 0, version=1), "is of GGUF version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "is of GGUF version 50331648"),
        (b"GGUF" + struct.pack("<IQQ", 3, ABSURD, 0), "it claims 0 values and 9223372036854775808 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, ABSURD), "it claims 9223372036854775808 values"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, ABSURD), "is cut off"),
        (file_of([number("a", 1)], [], 0)[:30], "is cut off"),
        (file_of([number("a", 1), number("a", 2)], [], 0), "the key 'a' is empty or there twice"),
        (file_of([number("", 1)], [], 0), "the key '' is empty"),
        (file_of([pair("a", 13, b"")], [], 0), "no value has the type 13"),
        (file_of([array("a", 13, 1, b"")], [], 0), "no array holds the type 13"),
        (file_of([array("a", 8, ABSURD, text("x"))], [], 0), "is cut off"),
        (file_of([array("a", 8, 1, struct.pack("<Q", ABSURD))], [], 0), "is cut off"),
        (file_of([array("a", 12, ABSURD, b"")], [], 0), "is cut off"),
        (file_of([array("a", 9, ABSURD, b"")], [], 0), "no array holds the type 9"),
        (file_of([array("a", 9, 1, 9 * struct.pack("<IQ", 9, 1))], [], 0), "no array holds the type 9"),
        (
            file_of([array("tokenizer.ggml.tokens", 8, ABSURD, b"")], [], 0),
            "a vocabulary of 9223372036854775808 tokens",
        ),
        (
            file_of([strings("tokenizer.ggml.tokens", "aba")], [], 0),
            "1 tokens of its vocabulary are there twice",
        ),
        (file_of([strings("tokenizer.ggml.tokens", ["a", "a\0b"])], [], 0), "1 tokens of its vocabulary"),
        (file_of([], [text("t") + struct.pack("<I", 5)], 0), "a tensor has 5 dimensions"),
        (file_of([], [entry("t" * 64, (1,), 0, 0)], 0), "a tensor's name has 64 characters"),
    ],
)
def test_a_damaged_head_is_told_how(content: bytes, reason: str) -> None:
    with pytest.raises(Flaw, match=reason):
        read(content)


def test_an_end_within_what_was_read_is_told_from_one_behind_it() -> None:
    long = b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 1000)
    with pytest.raises(Flaw, match="has a header of more than"):
        read_head(long, 5000)
    with pytest.raises(Flaw, match=f"is cut off: it has only {len(long)} bytes"):
        read_head(long, len(long))
