"""The true measures and vocabularies of the models that memoryd is made for, and smaller ones of the same make.

Measures: the `config.json` of meta-llama/Llama-3.1-8B-Instruct, mistralai/Mixtral-8x7B-Instruct-v0.1 and
deepseek-ai/DeepSeek-R1-Distill-Qwen-7B; special tokens: the `tokenizer_config.json` beside each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gguf import TokenType

from bench.gguf_vocabulary import Special, byte_level, sentence_piece
from bench.gguf_writer import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.gguf_vocabulary import Vocabulary

ROW = 256  # a row of Q4_K_M's types is a multiple of it

LLAMA_SPECIALS = (
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
)  # fmt: skip
LLAMA_RESERVED = range(3, 248)
LLAMA_TEXT_TOKENS = 128_000
QWEN_SPECIALS = (
    "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<|EOT|>",
    "<think>", "</think>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>",
    "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip
QWEN_SPOKEN = {"<think>", "</think>", "<tool_call>", "</tool_call>"}  # the model writes them as text
QWEN_TEXT_TOKENS = 151_643
QWEN_SIZE = 152_064
MISTRAL_SIZE = 32_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Make:
    """A model's measures and how its vocabulary is made: of the true size, or as small as it serves."""

    shape: Shape
    vocabulary: Callable[[], Vocabulary]
    small_vocabulary: Callable[[], Vocabulary]


def _llama(text_tokens: int = 0) -> Vocabulary:
    reserved = [f"<|reserved_special_token_{number}|>" for number in LLAMA_RESERVED] if text_tokens else []
    return byte_level(
        [Special(text=text) for text in (*LLAMA_SPECIALS, *reserved)],
        pre="llama-bpe",
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        text_tokens=text_tokens,
    )


def _qwen(text_tokens: int = 0, size: int = 0) -> Vocabulary:
    spoken = TokenType.USER_DEFINED
    return byte_level(
        [
            Special(text=text, kind=spoken) if text in QWEN_SPOKEN else Special(text=text)
            for text in QWEN_SPECIALS
        ],
        pre="deepseek-r1-qwen",
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
        text_tokens=text_tokens,
        size=size,
    )


MAKES = {
    "llama-3.1-8b": Make(
        shape=Shape(
            architecture="llama",
            name="Llama 3.1 8B, random weights",
            layers=32,
            embedding=4096,
            heads=32,
            kv_heads=8,
            feed_forward=14336,
            context_length=131_072,
            rope_base=500_000.0,
            rope_factors=True,
        ),
        vocabulary=lambda: _llama(LLAMA_TEXT_TOKENS),
        small_vocabulary=_llama,
    ),
    "mixtral-8x7b": Make(
        shape=Shape(
            architecture="llama",
            name="Mixtral 8x7B, random weights",
            layers=32,
            embedding=4096,
            heads=32,
            kv_heads=8,
            feed_forward=14336,
            experts=8,
            experts_used=2,
            context_length=32_768,
            rope_base=1_000_000.0,
        ),
        vocabulary=lambda: sentence_piece(size=MISTRAL_SIZE),
        small_vocabulary=sentence_piece,
    ),
    "r1-distill-qwen-7b": Make(
        shape=Shape(
            architecture="qwen2",
            name="R1 Distill Qwen 7B, random weights",
            layers=28,
            embedding=3584,
            heads=28,
            kv_heads=4,
            feed_forward=18944,
            context_length=131_072,
            rope_base=10_000.0,
            attention_bias=True,
        ),
        vocabulary=lambda: _qwen(QWEN_TEXT_TOKENS, QWEN_SIZE),
        small_vocabulary=_qwen,
    ),
}


def narrowed(shape: Shape, *, layers: int, embedding: int) -> Shape:
    """The same make with fewer layers and a narrower stream; heads keep their size and their groups where they can.

    Raises:
        ValueError: `embedding` is no multiple of 256.
    """
    if embedding % ROW or embedding <= 0:
        raise ValueError(f"an embedding of {embedding} is no multiple of {ROW}, which Q4_K_M needs")
    heads = max(embedding // shape.head_size, 1)
    return replace(
        shape,
        layers=layers,
        embedding=embedding,
        heads=heads,
        kv_heads=max(heads * shape.kv_heads // shape.heads, 1),
        feed_forward=embedding * shape.feed_forward // shape.embedding // ROW * ROW,
    )
