"""What a GGUF file says of itself, and the sentence about a bad one."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm import ModelError
from llm.gguf import read_gguf
from llm.gguf_reader import HEADER_BYTES
from tests.llm.gguf_files import (
    ARCHITECTURE,
    TENSORS,
    array,
    directory,
    file_of,
    model,
    number,
    numbers,
    pair,
    pairs,
    string,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def test_what_the_file_says_of_itself(file: Path) -> None:
    file.write_bytes(
        model(
            string("general.name", "작은 모델"),
            number("general.file_type", 15),
            array("tokenizer.ggml.scores", 6, 5, struct.pack("<5f", 0, 1, 2, 3, 4)),
            pair("some.flag", 7, b"\1"),
            number("llama.context_length", 4096),
            numbers("llama.feed_forward_length", [128, 256]),
            numbers("llama.attention.head_count_kv", [1, 2]),
            number("llama.attention.key_length", 32),
            number("llama.attention.value_length", 24),
            number("llama.attention.sliding_window", 512),
            number("llama.attention.sliding_window_pattern", 6),
            number("llama.expert_count", 8),
            number("llama.expert_used_count", 2),
            string("tokenizer.chat_template", "{{ messages }}"),
        )
    )
    info = read_gguf(file)
    assert (info.architecture, info.name, info.context_length) == ("llama", "작은 모델", 4096)
    assert (info.chat_template, info.file_type, info.warnings) == ("{{ messages }}", "Q4_K_M", ())
    assert (info.block_count, info.embedding_length, info.feed_forward_length) == (2, 64, 256)
    assert (info.head_count, info.head_count_kv, info.key_length, info.value_length) == (4, (1, 2), 32, 24)
    assert (info.sliding_window, info.sliding_window_pattern) == (512, (6,))
    assert (info.expert_count, info.expert_used_count, info.vocab_size) == (8, 2, 5)
    assert [tensor.name for tensor in info.tensors] == [name for name, _kind, _shape in TENSORS]
    assert info.bytes == 2 * 340 + 2 * 8192 + 256
    assert info.parts == (file,)


def test_what_the_file_does_not_say(file: Path) -> None:
    file.write_bytes(model(number("general.file_type", 999), version=2))
    info = read_gguf(file)
    assert (info.name, info.context_length, info.chat_template) == ("", 0, None)
    assert (info.file_type, info.warnings) == (
        "type 999",
        ("The file is quantised as type 999; Q4_K_M is what memoryd was tried with.",),
    )
    assert (info.head_count_kv, info.key_length, info.value_length, info.latent) == ((4, 4), 16, 16, False)
    assert (info.sliding_window, info.sliding_window_pattern, info.expert_count) == (0, (), 0)


def test_a_file_that_does_not_say_how_it_is_quantised(file: Path) -> None:
    file.write_bytes(model())
    assert read_gguf(file).warnings[0].startswith("The file doesn't say how it is quantised")


def test_the_built_in_model(gguf: Path) -> None:
    info = read_gguf(gguf)
    assert (info.architecture, info.file_type, info.chat_template) == ("gemma3", "Q4_K_M", None)
    assert (info.context_length, info.block_count, info.vocab_size) == (32768, 18, 262144)
    assert (info.head_count, info.head_count_kv, info.key_length) == (4, (1,) * 18, 256)
    assert info.sliding_window == 512
    assert info.warnings == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"<html>404</html>", "is not a GGUF file"),
        (model()[:-1000], "is cut off: it has"),
        (file_of(pairs(), [], 64), "holds no weights"),
        (file_of([string("general.name", "no kind")], [], 64), "doesn't name its architecture"),
        (model(architecture="clip"), "is the picture part of a model"),
        (model(string("general.type", "mmproj")), "is the picture part of a model"),
        (model(string("general.type", "adapter")), "is a LoRA adapter, not a model"),
        (model(string("adapter.type", "lora")), "is a LoRA adapter, not a model"),
        (model(architecture="mamba"), "keeps a state instead of a cache"),
        (model(architecture="llama9"), "llama.cpp doesn't know here"),
        (model(number("llama.expert_count", 8)), "it claims 8 experts, of which 0 are used"),
        (model(number("llama.expert_used_count", 1)), "it claims 0 experts, of which 1 are used"),
        (
            model(
                number("llama.expert_count", 8),
                number("llama.expert_used_count", 2),
                number("llama.expert_group_count", 3),
            ),
            "it claims 3 groups of 8 experts",
        ),
        (model(number("llama.expert_group_count", 1)), "it claims 1 groups of 0 experts"),
        (model(numbers("llama.attention.head_count_kv", [1, 2, 3])), "the heads of 3 layers and has 2"),
        (model(string("llama.rope.scaling.type", "odd")), "doesn't know its rope scaling"),
        (
            file_of([ARCHITECTURE, *pairs()[2:]], *directory(TENSORS)),
            "it claims 0 layers 64 wide with 4 heads",
        ),
        (file_of(pairs()[:4], *directory(TENSORS)), "has no vocabulary"),
    ],
)
def test_a_bad_file_is_a_sentence(file: Path, content: bytes, reason: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ModelError, match=reason) as raised:
        read_gguf(file)
    assert str(raised.value).startswith(str(file))


def test_a_header_that_goes_on_for_ever(file: Path) -> None:
    with file.open("wb") as damaged:
        damaged.write(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", HEADER_BYTES * 2))
        damaged.truncate(HEADER_BYTES * 4)
    with pytest.raises(ModelError, match="has a header of more than"):
        read_gguf(file)


def test_a_folder_or_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be read: Is a directory"):
        read_gguf(tmp_path)
    with pytest.raises(ModelError, match="can't be read: No such file"):
        read_gguf(tmp_path / "missing.gguf")


def split(folder: Path, *, tensors: int = len(TENSORS)) -> Path:
    """A model in two parts."""
    for number_, (more, held) in enumerate([(pairs(), TENSORS[:2]), ([], TENSORS[2:])]):
        content = [*more, number("split.no", number_), number("split.count", 2)]
        content.append(number("split.tensors.count", tensors))
        (folder / f"model-{number_ + 1:05}-of-00002.gguf").write_bytes(file_of(content, *directory(held)))
    return folder / "model-00001-of-00002.gguf"


def test_a_split_model_is_read_as_one(tmp_path: Path) -> None:
    first = split(tmp_path)
    info = read_gguf(first)
    assert info.parts == (first, tmp_path / "model-00002-of-00002.gguf")
    assert [tensor.name for tensor in info.tensors] == [name for name, _kind, _shape in TENSORS]


def test_missing_parts_are_named(tmp_path: Path) -> None:
    first = split(tmp_path)
    (tmp_path / "model-00002-of-00002.gguf").unlink()
    with pytest.raises(ModelError, match=r"missing beside it: model-00002-of-00002\.gguf\.$"):
        read_gguf(first)


def test_the_first_part_is_the_one_to_name(tmp_path: Path) -> None:
    first = split(tmp_path)
    second = tmp_path / "model-00002-of-00002.gguf"
    with pytest.raises(ModelError, match=r"is not the first of its 2 parts\. Name model-00001"):
        read_gguf(second)
    second.write_bytes(first.read_bytes())
    with pytest.raises(ModelError, match=r"model-00001-of-00002\.gguf"):
        read_gguf(second)
    with pytest.raises(ModelError, match="is not part 2 of"):
        read_gguf(first)


def test_a_part_under_another_name(tmp_path: Path) -> None:
    renamed = split(tmp_path).rename(tmp_path / "renamed.gguf")
    with pytest.raises(ModelError, match="Name them as NAME-00001-of-00002"):
        read_gguf(renamed)


def test_parts_that_lack_tensors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"its parts hold {len(TENSORS)} tensors, not 9"):
        read_gguf(split(tmp_path, tensors=9))


def refused_or_read(file: Path, content: bytes) -> None:
    """Anything but a ModelError fails the test, and so does dawdling."""
    file.write_bytes(content)
    began = time.monotonic()
    try:
        read_gguf(file)
    except ModelError as error:
        assert str(file) in str(error)  # noqa: PT017  (most damage is refused, some is harmless)
    assert time.monotonic() - began < 5


WHOLE = model(numbers("llama.attention.head_count_kv", [2, 2]), number("general.file_type", 15))
fuzzed = settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@fuzzed
@given(noise=st.binary(max_size=200), keep=st.integers(0, len(WHOLE)), shape=st.booleans())
def test_noise_is_never_more_than_a_model_error(file: Path, noise: bytes, keep: int, shape: bool) -> None:
    refused_or_read(file, WHOLE[:keep] + noise + (WHOLE[keep + len(noise) :] if shape else b""))


@fuzzed
@given(flips=st.lists(st.tuples(st.integers(0, 900), st.integers(1, 255)), min_size=1, max_size=8))
def test_flipped_bytes_are_never_more_than_a_model_error(file: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(WHOLE)
    for place, mask in flips:
        content[place] ^= mask
    refused_or_read(file, bytes(content))


@fuzzed
@given(end=st.integers(0, len(WHOLE) - 33))
def test_a_cut_off_file_is_always_refused(file: Path, end: int) -> None:
    file.write_bytes(WHOLE[:end])
    with pytest.raises(ModelError, match=r"is cut off|is empty"):
        read_gguf(file)
