"""Bytes of tensors, and tensors at wrong places."""

from __future__ import annotations

import ctypes
from pathlib import Path

import llama_cpp
import pytest

from llm.gguf_reader import Flaw, read_head
from llm.gguf_tensors import BLOCKS, Tensor, tensors_of
from tests.llm.gguf_files import KINDS, directory, entry, file_of, number, pair


def read(content: bytes) -> tuple[Tensor, ...]:
    return tensors_of(read_head(content, len(content)), len(content))


def test_blocks_are_those_of_the_installed_library() -> None:
    ggml = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    ggml.ggml_blck_size.restype = ctypes.c_int64
    ggml.ggml_type_size.restype = ctypes.c_size_t
    ggml.ggml_type_name.restype = ctypes.c_char_p
    for kind, (name, values, length) in BLOCKS.items():
        assert ggml.ggml_type_name(kind).decode().upper() == name
        assert (ggml.ggml_blck_size(kind), ggml.ggml_type_size(kind)) == (values, length)


def test_tensors_lie_one_after_another() -> None:
    entries, weights = directory([("a", "Q4_K", (256, 3)), ("b", "F32", (5,)), ("c", "F16", ())])
    assert read(file_of([], entries, weights)) == (
        Tensor(name="a", type="Q4_K", bytes=432, shape=(256, 3)),
        Tensor(name="b", type="F32", bytes=20, shape=(5,)),
        Tensor(name="c", type="F16", bytes=2, shape=()),
    )


def test_the_last_tensor_may_end_with_the_file() -> None:
    entries, _ = directory([("a", "F32", (5,))])
    assert read(file_of([], entries, 20))
    with pytest.raises(Flaw, match="is cut off: it has 83 bytes, and its weights end at byte 96"):
        read(file_of([], entries, 19))


def test_another_alignment() -> None:
    entries = [entry("a", (1,), 0, 0), entry("b", (1,), 0, 64)]
    assert len(read(file_of([number("general.alignment", 64)], entries, 128))) == 2


@pytest.mark.parametrize(
    ("pairs", "entries", "reason"),
    [
        ([number("general.alignment", 48)], [], "no power of two"),
        ([number("general.alignment", 0)], [], "no power of two"),
        ([pair("general.alignment", 0, b"\x20")], [], "no power of two"),
        ([], [entry("a", (4,), 4, 0)], "the tensor a has the type 4, which ggml doesn't have"),
        ([], [entry("a", (4,), 99, 0)], "has the type 99"),
        ([], [entry("a", (100,), KINDS["Q4_K"], 0)], "has rows of 100, which Q4_K can't hold"),
        ([], [entry("a", (2**40, 2**40), 0, 0)], "has the shape"),
        ([], [entry("a", (2**63,), 0, 0)], "has the shape"),
        ([], [entry("a", (8,), 0, 0), entry("b", (8,), 0, 0)], "b starts at byte 0 of the weights, not 32"),
        ([], [entry("a", (8,), 0, 0), entry("b", (8,), 0, 64)], "b starts at byte 64 of the weights, not 32"),
        ([], [entry("a", (8,), 0, 0), entry("a", (8,), 0, 32)], "two tensors have the same name"),
        ([], [entry("a", (2**50,), 0, 0)], "is cut off"),
    ],
)
def test_a_bad_directory_is_told_how(pairs: list[bytes], entries: list[bytes], reason: str) -> None:
    with pytest.raises(Flaw, match=reason):
        read(file_of(pairs, entries, 256))
