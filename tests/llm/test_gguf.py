from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm import ModelError
from llm.gguf import HEADER_BYTES, GgufInfo, read_gguf

if TYPE_CHECKING:
    from pathlib import Path

ABSURD = 2**63


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def string_pair(key: str, value: str) -> bytes:
    return pair(key, 8, text(value))


def array_pair(key: str, kind: int, length: int, items: bytes) -> bytes:
    return pair(key, 9, struct.pack("<IQ", kind, length) + items)


TENSOR = text("token_embd.weight") + struct.pack("<IQQIQ", 2, 4, 4, 0, 0)
ARCHITECTURE = string_pair("general.architecture", "llama")


def gguf(
    *pairs: bytes, tensors: tuple[bytes, ...] = (TENSOR,), version: int = 3, weights: bytes = b"\1" * 64
) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join([*pairs, *tensors])
    return head + b"\0" * (-len(head) % 32) + weights


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def test_what_the_file_says_of_itself(file: Path) -> None:
    file.write_bytes(
        gguf(
            ARCHITECTURE,
            string_pair("general.name", "작은 모델"),
            pair("general.file_type", 4, struct.pack("<I", 15)),
            array_pair("tokenizer.ggml.tokens", 8, 3, text("<s>") + text("안녕") + text("")),
            array_pair("tokenizer.ggml.scores", 6, 3, struct.pack("<3f", 0, 1, 2)),
            array_pair("nested", 9, 2, 2 * struct.pack("<IQB", 0, 1, 7)),
            pair("some.flag", 7, b"\1"),
            pair("llama.context_length", 4, struct.pack("<I", 4096)),
            string_pair("tokenizer.chat_template", "{{ messages }}"),
        )
    )
    assert read_gguf(file) == GgufInfo(
        architecture="llama",
        name="작은 모델",
        context_length=4096,
        chat_template="{{ messages }}",
        file_type="Q4_K_M",
    )


def test_what_the_file_does_not_say(file: Path) -> None:
    file.write_bytes(gguf(ARCHITECTURE, pair("general.file_type", 4, struct.pack("<I", 999)), version=2))
    assert read_gguf(file) == GgufInfo(
        architecture="llama", name="", context_length=0, chat_template=None, file_type="type 999"
    )


def test_the_built_in_model(gguf: Path) -> None:
    info = read_gguf(gguf)
    assert (info.architecture, info.file_type, info.chat_template) == ("gemma3", "Q4_K_M", None)
    assert info.context_length == 32768


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"GG", "is cut off"),
        (b"GGUF\3\0", "is cut off"),
        (b"<html>404</html>", r"is not a GGUF file: it starts with b'<htm'"),
        (gguf(ARCHITECTURE, version=1), "is of GGUF version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "is of GGUF version 50331648"),
        (gguf(ARCHITECTURE, tensors=()), "holds no weights"),
        (gguf(ARCHITECTURE)[:40], "is cut off"),
        (gguf(ARCHITECTURE, weights=b""), "is cut off at byte 128: weights start at 128"),
        (gguf(string_pair("general.name", "no kind")), "doesn't name its architecture"),
        (gguf(pair("general.architecture", 13, b"")), "no value has the type 13"),
        (gguf(array_pair("a", 13, 1, b"")), "no array holds the type 13"),
        (gguf(ARCHITECTURE, tensors=(text("t") + struct.pack("<I", 5),)), "a tensor has 5 dimensions"),
        (gguf(text("key")[:8] + b"k"), "is cut off"),
        (b"GGUF" + struct.pack("<IQQ", 3, ABSURD, ABSURD), "is cut off"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, ABSURD), "is cut off"),
        (gguf(array_pair("a", 8, ABSURD, text("x"))), "is cut off"),
        (gguf(array_pair("a", 8, 1, struct.pack("<Q", ABSURD))), "is cut off"),
        (gguf(array_pair("a", 12, ABSURD, b"")), "is cut off"),
        (gguf(array_pair("a", 9, ABSURD, b"")), "no array holds the type|is cut off"),
        (gguf(array_pair("a", 9, 1, 9 * struct.pack("<IQ", 9, 1))), "no array holds the type 9"),
        (gguf(ARCHITECTURE, tensors=(text("t") + struct.pack("<IQIQ", 1, 4, 0, ABSURD),)), "is cut off"),
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


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=200), keep=st.integers(0, 200), shape=st.booleans())
def test_noise_is_never_more_than_a_model_error(file: Path, noise: bytes, keep: int, shape: bool) -> None:
    whole = gguf(ARCHITECTURE, array_pair("tokens", 8, 2, text("a") + text("b")))
    file.write_bytes(whole[:keep] + noise + (whole[keep + len(noise) :] if shape else b""))
    try:
        read_gguf(file)
    except ModelError as error:
        assert str(file) in str(error)  # noqa: PT017  (most noise is refused, some is harmless)
