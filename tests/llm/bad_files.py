"""What people and disks make of a model file, each kind by a real file of two layers with one thing wrong.

Loaded one after another by `load_all` in a process of its own, so that an abort of llama.cpp is seen and ends no test.
"""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from gguf import GGUFReader, GGUFWriter

from llm import ModelSettings, make_runner
from llm.engine import Engine
from tests.llm.tiny_gguf import LLAMA, MIXTRAL, QWEN2, write_tiny

if TYPE_CHECKING:
    from collections.abc import Callable

ABSURD = 2**62
U32, U64 = struct.Struct("<I"), struct.Struct("<Q")
STRING, ARRAY = 8, 9
LFS_POINTER = b"""version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 4920739232
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A whole file to damage: its bytes and where things lie in them."""

    path: Path

    @property
    def data(self) -> bytearray:
        """A copy of its bytes."""
        return bytearray(self.path.read_bytes())

    @property
    def directory(self) -> int:
        """Where the tensor directory begins, in bytes."""
        return int(min(tensor.field.offset for tensor in GGUFReader(self.path).tensors))

    @property
    def weights(self) -> int:
        """Where the weights begin, in bytes."""
        return int(min(tensor.data_offset for tensor in GGUFReader(self.path).tensors))

    def value_at(self, key: str) -> int:
        """Where a key's value begins: after the key and the value's type."""
        return self.path.read_bytes().index(U64.pack(len(key)) + key.encode()) + 8 + len(key) + 4

    def entry_at(self, tensor: str) -> int:
        """Where a tensor's number of dimensions stands: after its name."""
        return self.path.read_bytes().index(U64.pack(len(tensor)) + tensor.encode()) + 8 + len(tensor)

    def with_value(self, key: str, value: bytes) -> bytes:
        """The bytes with another value of the same length under a key."""
        return self.patched(self.value_at(key), value)

    def with_type(self, key: str, kind: int) -> bytes:
        """The bytes with another type of the value under a key."""
        return self.patched(self.value_at(key) - 4, U32.pack(kind))

    def patched(self, at: int, value: bytes) -> bytes:
        """The bytes with others in one place."""
        data = self.data
        data[at : at + len(value)] = value
        return bytes(data)


def _cut(share: float) -> Callable[[Good], bytes]:
    """The first part of the file, cut within the weights."""
    return lambda good: bytes(good.data[: good.weights + int(share * (len(good.data) - good.weights))])


def _renamed(old: bytes, new: bytes) -> Callable[[Good], bytes]:
    assert len(old) == len(new)
    return lambda good: bytes(good.data.replace(old, new))


def _dense(key: str, value: int) -> Callable[[Good], bytes]:
    return lambda good: good.with_value(f"llama.{key}", U32.pack(value))


def _one_longer(key: str) -> Callable[[Good], bytes]:
    def longer(good: Good) -> bytes:
        at = good.value_at(key) + U32.size
        return good.patched(at, U64.pack(U64.unpack_from(good.data, at)[0] + 1))

    return longer


def _tensor(name: str, *, after: int, value: bytes) -> Callable[[Good], bytes]:
    return lambda good: good.patched(good.entry_at(name) + after, value)


MANGLED: dict[str, tuple[str, Callable[[Good], bytes]]] = {
    "empty": (LLAMA, lambda _: b""),
    "cut within the magic": (LLAMA, lambda good: bytes(good.data[:3])),
    "cut within the counts": (LLAMA, lambda good: bytes(good.data[:17])),
    "cut within the vocabulary": (
        LLAMA,
        lambda good: bytes(good.data[: good.value_at("tokenizer.ggml.tokens") + 999]),
    ),
    "cut within the tensor directory": (LLAMA, lambda good: bytes(good.data[: good.directory + 200])),
    "cut after the header": (LLAMA, _cut(0)),
    "cut within the weights": (LLAMA, _cut(0.5)),
    "cut within the last tensor": (LLAMA, _cut(0.9)),
    "a hundred bytes short": (LLAMA, lambda good: bytes(good.data[:-100])),
    "zeros instead of a beginning": (LLAMA, lambda good: good.patched(0, bytes(4096))),
    "another magic": (LLAMA, lambda good: good.patched(0, b"GGML")),
    "of version 1": (LLAMA, lambda good: good.patched(4, U32.pack(1))),
    "of version 99": (LLAMA, lambda good: good.patched(4, U32.pack(99))),
    "of a big-endian machine": (LLAMA, lambda good: good.patched(4, struct.pack(">I", 3))),
    "a text": (LLAMA, lambda _: "오늘은 모델을 내려받았다.\n".encode()),
    "a web page": (LLAMA, lambda _: b"<!DOCTYPE html><title>404 Not Found</title>"),
    "a pointer of Git LFS": (LLAMA, lambda _: LFS_POINTER),
    "a zip archive": (LLAMA, lambda _: b"PK\3\4" + bytes(200)),
    "a safetensors file": (LLAMA, lambda _: U64.pack(99) + b'{"__metadata__":{}}'.ljust(99) + bytes(64)),
    "an unknown architecture": (LLAMA, _renamed(b"llama", b"lamia")),
    "a number for the architecture": (LLAMA, lambda good: good.with_type("general.architecture", 10)),
    "an absurdly long key": (LLAMA, lambda good: good.patched(24, U64.pack(ABSURD))),
    "an absurdly long text": (LLAMA, lambda good: good.with_value("general.name", U64.pack(ABSURD))),
    "an absurdly long array": (
        LLAMA,
        lambda good: good.with_value("tokenizer.ggml.token_type", U32.pack(5) + U64.pack(ABSURD)),
    ),
    "an array that is one too long": (LLAMA, _one_longer("tokenizer.ggml.token_type")),
    "an array of an unknown type": (
        LLAMA,
        lambda good: good.with_value("tokenizer.ggml.token_type", U32.pack(77)),
    ),
    "absurdly many values": (LLAMA, lambda good: good.patched(16, U64.pack(ABSURD))),
    "absurdly many tensors": (LLAMA, lambda good: good.patched(8, U64.pack(ABSURD))),
    "one tensor too many": (LLAMA, lambda good: good.patched(8, U64.pack(23))),
    "a value of an unknown type": (LLAMA, lambda good: good.with_type("llama.block_count", 77)),
    "a text for a number": (LLAMA, lambda good: good.with_type("llama.block_count", STRING)),
    "no layers": (LLAMA, _dense("block_count", 0)),
    "two billion layers": (LLAMA, _dense("block_count", 2**31)),
    "no heads": (LLAMA, _dense("attention.head_count", 0)),
    "no width": (LLAMA, _dense("embedding_length", 0)),
    "more experts used than there are": (MIXTRAL, _dense("expert_used_count", 9)),
    "two billion experts": (MIXTRAL, _dense("expert_count", 2**31)),
    "a token twice": (LLAMA, _renamed(b"<|eom_id|>", b"<|eot_id|>")),
    "no vocabulary": (QWEN2, _renamed(b"tokenizer.ggml.tokens", b"tokenizer.ggml.tokenz")),
    "merges of numbers": (
        LLAMA,
        lambda good: good.with_value("tokenizer.ggml.merges", U32.pack(0) + U64.pack(8)),
    ),
    "an unknown type of tensor": (LLAMA, _tensor("output.weight", after=4 + 16, value=U32.pack(200))),
    "a type that was given up": (LLAMA, _tensor("output.weight", after=4 + 16, value=U32.pack(4))),
    "another type of tensor": (LLAMA, _tensor("output.weight", after=4 + 16, value=U32.pack(0))),
    "a tensor of absurd length": (LLAMA, _tensor("output.weight", after=4, value=U64.pack(ABSURD))),
    "a tensor whose size overflows": (
        LLAMA,
        _tensor("output.weight", after=4, value=U64.pack(2**33) + U64.pack(2**33)),
    ),
    "five dimensions": (LLAMA, _tensor("output.weight", after=0, value=U32.pack(5))),
    "a tensor behind the end": (LLAMA, _tensor("output.weight", after=4 + 16 + 4, value=U64.pack(ABSURD))),
    "a tensor that overlaps": (LLAMA, _tensor("output.weight", after=4 + 16 + 4, value=U64.pack(32))),
    "a tensor off its place": (LLAMA, _tensor("output.weight", after=4 + 16 + 4, value=U64.pack(7))),
    "a tensor twice": (LLAMA, _renamed(b"blk.1.attn_q.weight", b"blk.0.attn_q.weight")),
    "the output of another vocabulary": (
        LLAMA,
        _tensor("token_embd.weight", after=4 + 8, value=U64.pack(1000)),
    ),
}
"""What is wrong: which make, and how the good file becomes it."""

INCONSISTENT: dict[str, tuple[str, Callable[[Good], bytes]]] = {
    "a layer too many": (LLAMA, _dense("block_count", 3)),
    "heads that don't divide the width": (LLAMA, _dense("attention.head_count", 3)),
    "more heads of keys than heads": (LLAMA, _dense("attention.head_count_kv", 2**20)),
    "another width": (LLAMA, _dense("embedding_length", 64)),
    "another inner width": (LLAMA, _dense("feed_forward_length", 4096)),
    "another rope width": (LLAMA, _dense("rope.dimension_count", 2**30)),
    "fewer experts than it has": (MIXTRAL, _dense("expert_count", 4)),
    "no merges": (LLAMA, _renamed(b"tokenizer.ggml.merges", b"tokenizer.ggml.mergez")),
    "an unknown tokenizer": (LLAMA, _renamed(b"gpt2", b"gpt9")),
    "an unknown rule for words": (LLAMA, _renamed(b"llama-bpe", b"lamia-bpe")),
    "a tensor of no length": (LLAMA, _tensor("output.weight", after=4, value=U64.pack(0))),
    "a tensor missing": (LLAMA, _renamed(b"blk.1.ffn_up.weight", b"blk.1.ffn_ap.weight")),
}
"""The same, of what only llama.cpp finds: the header is whole and doesn't fit together."""


def write_bad_files(folder: Path) -> dict[str, Path]:
    """Writes all of them, and those that were whole and are no model; returns what is wrong with each."""
    good = {
        make: Good(path=write_tiny(folder / f"good-{make}.gguf", make)) for make in (LLAMA, MIXTRAL, QWEN2)
    }
    paths = {}
    for number, (name, (make, damaged)) in enumerate((MANGLED | INCONSISTENT).items()):
        paths[name] = folder / f"bad-{number}.gguf"
        data = damaged(good[make])
        assert data != good[make].data, name
        paths[name].write_bytes(data)
    for number, (name, write) in enumerate(OTHERS.items()):
        paths[name] = folder / f"other-{number}.gguf"
        write(paths[name])
    return paths


def _closed(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _adapter(path: Path) -> None:
    writer = GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 16.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((4, 128), np.float32))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.ones((128, 4), np.float32))
    _closed(writer)


def _picture_part(path: Path) -> None:
    writer = GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_tensor("mm.0.weight", np.ones((64, 64), np.float32))
    _closed(writer)


def _embedder(path: Path) -> None:
    writer = GGUFWriter(path, "bert")
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_tensor("token_embd.weight", np.ones((8, 64), np.float32))
    _closed(writer)


def _only_a_header(path: Path) -> None:
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(2)
    _closed(writer)


def _part(path: Path) -> None:
    writer = GGUFWriter(path, "llama")
    for key, value in (("split.no", 1), ("split.count", 3)):
        writer.add_uint16(key, value)
    writer.add_tensor("blk.1.attn_q.weight", np.ones((64, 64), np.float32))
    _closed(writer)


OTHERS = {
    "a LoRA adapter": _adapter,
    "the picture part of a model": _picture_part,
    "an embedding model": _embedder,
    "only a header": _only_a_header,
    "a part of a split model": _part,
}
"""Whole files that are no model, and how each is written."""


def write_noisy_files(folder: Path, count: int, *, seed: int = 3) -> list[Path]:
    """Writes files of which one to four bytes of the header, outside the vocabulary, are others."""
    good = Good(path=write_tiny(folder / "good.gguf", MIXTRAL))
    vocabulary = range(good.value_at("tokenizer.ggml.tokens"), good.value_at("tokenizer.ggml.bos_token_id"))
    places = [at for at in range(good.weights) if at not in vocabulary]
    random = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        data = good.data
        for at in random.choice(places, random.integers(1, 5)):
            data[at] ^= int(random.integers(1, 256))
        paths.append(folder / f"noisy-{number}.gguf")
        paths[-1].write_bytes(data)
    return paths


def load_all(paths: list[str]) -> None:
    """Loads one file after another; prints a JSON line of each one's state and its reason."""
    engine = Engine()
    for path in paths:
        settings = ModelSettings(path=Path(path), context_tokens=256, gpu_layers=0, threads=1)
        runner = make_runner("llama", "llama", settings, engine)
        runner.load()
        status = runner.status()
        print(json.dumps([path, status.state, status.detail]), flush=True)  # noqa: T201  (the parent reads it)
        runner.close()
    engine.close()


if __name__ == "__main__":
    load_all(sys.argv[1:])
