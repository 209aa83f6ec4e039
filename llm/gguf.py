"""Reads a GGUF file's header, so that a bad file is an error with a sentence before llama.cpp sees it.

    model.gguf ─▶ values, tensor directory ─▶ every tensor in its place? ─▶ a kind that can serve? ─▶ GgufInfo
    (and the other parts of a split one)

llama.cpp ends the process over some damaged headers; those are refused here.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm.architectures import complaint
from llm.base import ModelError
from llm.gguf_reader import HEADER_BYTES, STRING, TOKENS, Flaw, Head, damaged, read_head
from llm.gguf_tensors import Tensor, tensors_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WANTED = "Q4_K_M"
MOST_LAYERS = 512  # LLAMA_MAX_LAYERS
MOST_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
EPSILONS = ("attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon")
ROPE_SCALINGS = ("", "none", "linear", "yarn", "longrope")
PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf\Z")
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: WANTED, 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    25: "IQ4_NL", 30: "IQ4_XS", 32: "BF16", 38: "MXFP4",
}  # fmt: skip
"""Names of `general.file_type`; the rarer ones are shown by their number."""
KINDS = {
    "adapter": "a LoRA adapter, not a model. Name the model that it was made for",
    "mmproj": "the picture part of a model (an mmproj file). Name the model's own file",
    "imatrix": "a table of weights' importance, not a model. Name the model's own file",
}
"""What `general.type` says of files that are no models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufInfo:
    """What a GGUF file says of itself, over all its parts.

    Attributes:
        architecture: llama.cpp's name for the model's kind (`llama`, `gemma3`, `qwen2`).
        name: the model's own name, "" where it gives none.
        context_length: the longest context that it was trained for, in tokens; 0 where it doesn't say.
        chat_template: the Jinja source, None where there is none.
        file_type: the quantisation (`Q4_K_M`), "" where it doesn't say.
        block_count: layers, without the output layer.
        embedding_length: numbers that a token is between two layers.
        feed_forward_length: numbers inside a layer's feed-forward part, the largest layer's; 0 where it doesn't say.
        head_count: attention heads, the largest layer's.
        head_count_kv: heads of keys and values, one number a layer.
        key_length, value_length: numbers of one head's key and value.
        latent: the cache keeps one compressed key and no value (DeepSeek's latent attention).
        sliding_window: how far back a windowed layer sees, in tokens; 0 for no window.
        sliding_window_pattern: which layers are windowed, as the file says it (a period, or a flag a layer).
        expert_count, expert_used_count: experts a layer, and how many of them a token takes; 0 for none.
        vocab_size: tokens in the vocabulary.
        tensors: all weights.
        parts: the files, in order: one, or those of a split model.
        warnings: what may disappoint and hinders nothing, a sentence each.
    """

    architecture: str
    name: str
    context_length: int
    chat_template: str | None
    file_type: str
    block_count: int
    embedding_length: int
    feed_forward_length: int
    head_count: int
    head_count_kv: tuple[int, ...]
    key_length: int
    value_length: int
    latent: bool
    sliding_window: int
    sliding_window_pattern: tuple[int, ...]
    expert_count: int
    expert_used_count: int
    vocab_size: int
    tensors: tuple[Tensor, ...]
    parts: tuple[Path, ...]
    warnings: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """All weights, in bytes."""
        return sum(tensor.bytes for tensor in self.tensors)


def read_gguf(path: Path) -> GgufInfo:
    """Reads and checks the header; takes about 0.3 s and at most 64 MiB a part, however large the file.

    Raises:
        ModelError: the file can't be read, is empty, cut off, damaged, no GGUF file of version 2 or 3, of a kind
            that can't answer, or lacks parts.
    """
    head, tensors = _read(path)
    with _named(path):
        parts = _parts(path, head)
        _check_kind(head)
    for number, part in enumerate(parts[1:], 1):
        further, more = _read(part)
        if further.count("split.no") != number:
            raise ModelError(f"{part} is not part {number + 1} of {path}. Copy the model again.")
        tensors += more
    with _named(path):
        if not tensors:
            raise Flaw("holds no weights, only a header. Name the file with the weights.")
        if len(parts) > 1 and head.count("split.tensors.count") != len(tensors):
            raise damaged(f"its parts hold {len(tensors)} tensors, not {head.count('split.tensors.count')}")
        return _info(head, tensors, parts)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turns a flaw into a ModelError about the file."""
    try:
        yield
    except Flaw as flaw:
        raise ModelError(f"{path} {flaw}") from None


def _read(path: Path) -> tuple[Head, tuple[Tensor, ...]]:
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
            size = file.seek(0, 2)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}.") from error
    if not size:
        raise ModelError(f"{path} is empty. Copy the model again.")
    with _named(path):
        found = read_head(head, size)
        return found, tensors_of(found, size)


def _check_kind(head: Head) -> None:
    kind = head.text("general.type") or ("adapter" if head.text("adapter.type") else "")
    if kind in KINDS:
        raise Flaw(f"is {KINDS[kind]}.")
    architecture = head.text("general.architecture")
    if not architecture:
        raise Flaw("doesn't name its architecture, so llama.cpp can't load it. Convert the model again.")
    if reason := complaint(architecture):
        raise Flaw(reason)


def _parts(path: Path, head: Head) -> tuple[Path, ...]:
    """The files of the model: of a split one all, each of which is there."""
    count = head.count("split.count")
    if count <= 1:
        return (path,)
    match = PART.match(path.name)
    if match is None or int(match["count"]) != count:
        raise Flaw(
            f"is one of {count} parts, and its name doesn't say which. Name them as NAME-00001-of-{count:05}.gguf."
        )
    parts = [
        path.with_name(f"{match['stem']}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)
    ]
    if head.count("split.no") or path != parts[0]:
        raise Flaw(f"is not the first of its {count} parts. Name {parts[0].name}.")
    missing = [part.name for part in parts if not is_there(part)]
    if missing:
        raise Flaw(f"is one of {count} parts, and these are missing beside it: {', '.join(missing)}.")
    return tuple(parts)


def is_there(path: Path) -> bool:
    """Whether there is a file; not where a folder on the way may not be entered."""
    try:
        return path.is_file()
    except OSError:
        return False


def _info(head: Head, tensors: tuple[Tensor, ...], parts: tuple[Path, ...]) -> GgufInfo:
    architecture = head.text("general.architecture")

    def count(key: str) -> int:
        return head.count(f"{architecture}.{key}")

    def most(key: str) -> int:
        return max(head.counts(f"{architecture}.{key}"), default=0)

    layers, width = count("block_count"), count("embedding_length")
    heads = head.counts(f"{architecture}.attention.head_count")
    if not 1 <= layers <= MOST_LAYERS or not width or not max(heads, default=0):
        raise damaged(f"it claims {layers} layers {width} wide with {max(heads, default=0)} heads")
    _check_experts(
        experts=count("expert_count"),
        used=most("expert_used_count"),
        groups=count("expert_group_count"),
        used_groups=count("expert_group_used_count"),
    )
    head_width = width // max(heads)
    key_length = count("attention.key_length") or head_width
    heads_kv = head.counts(f"{architecture}.attention.head_count_kv") or heads
    heads, heads_kv = _by_layer(heads, layers), _by_layer(heads_kv, layers)
    if any(kv and (kv > each or each % kv) for each, kv in zip(heads, heads_kv, strict=True)):
        raise damaged("a layer's heads aren't a multiple of its heads of keys and values")
    _check_arithmetic(head, architecture, key_length)
    file_type = _file_type(head)
    return GgufInfo(
        architecture=architecture,
        name=head.text("general.name"),
        context_length=count("context_length"),
        chat_template=head.text("tokenizer.chat_template") or None,
        file_type=file_type,
        block_count=layers,
        embedding_length=width,
        feed_forward_length=max(most("feed_forward_length"), most("expert_feed_forward_length")),
        head_count=max(heads),
        head_count_kv=heads_kv,
        key_length=key_length,
        value_length=count("attention.value_length") or head_width,
        latent=bool(count("attention.key_length_mla") and count("attention.value_length_mla")),
        sliding_window=count("attention.sliding_window"),
        sliding_window_pattern=head.counts(f"{architecture}.attention.sliding_window_pattern"),
        expert_count=count("expert_count"),
        expert_used_count=most("expert_used_count"),
        vocab_size=_vocab_size(head),
        tensors=tensors,
        parts=parts,
        warnings=_warnings(file_type),
    )


def _check_experts(*, experts: int, used: int, groups: int, used_groups: int) -> None:
    if experts > MOST_EXPERTS or used > experts or bool(experts) != bool(used):
        raise damaged(f"it claims {experts} experts, of which {used} are used")
    uneven = groups > 1 and (experts % groups or not 0 < used_groups < groups)
    if (groups and groups >= experts) or uneven:
        raise damaged(f"it claims {groups} groups of {experts} experts, of which {used_groups} are used")


def _check_arithmetic(head: Head, architecture: str, key_length: int) -> None:
    """Numbers over which llama.cpp ends the process, at the load or at the first token."""
    if head.text(f"{architecture}.rope.scaling.type") not in ROPE_SCALINGS:
        raise damaged("llama.cpp doesn't know its rope scaling")
    turned = head.count(f"{architecture}.rope.dimension_count")
    if turned > key_length or turned % 2:
        raise damaged(f"it turns {turned} of {key_length} numbers of a key by their place")
    for key in EPSILONS:
        epsilon = head.values.get(f"{architecture}.{key}", 0.0)
        if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
            raise damaged(f"its {key} is {epsilon}")


def _by_layer(numbers: tuple[int, ...], layers: int) -> tuple[int, ...]:
    if len(numbers) == 1:
        return numbers * layers
    if len(numbers) != layers:
        raise damaged(f"it gives the heads of {len(numbers)} layers and has {layers}")
    return numbers


def _vocab_size(head: Head) -> int:
    tokens = head.arrays.get(TOKENS)
    if tokens is None or tokens.kind != STRING or not tokens.length:
        raise Flaw("has no vocabulary, so it is no model that llama.cpp can load. Convert the model again.")
    return tokens.length


def _file_type(head: Head) -> str:
    number = head.values.get("general.file_type")
    return FILE_TYPES.get(number, f"type {number}") if isinstance(number, int) else ""


def _warnings(file_type: str) -> tuple[str, ...]:
    if file_type == WANTED:
        return ()
    said = f"is quantised as {file_type}" if file_type else "doesn't say how it is quantised"
    return (f"The file {said}; {WANTED} is what memoryd was tried with.",)
