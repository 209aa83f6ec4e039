"""The built-in embedder as a sentence-transformers folder, for GPUs and for whoever wants to open it elsewhere."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np

from memoryd.packed_e5 import tokenizer_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from memoryd.packed_e5 import PackedModel


def write_transformers_folder(packed: PackedModel, target: Path) -> None:
    """Writes the whole folder; the weights are the packed ones as float32."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import (
        Normalize,
        Pooling,
        Transformer,
    )
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()

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


def _save_encoder(packed: PackedModel, folder: Path) -> None:
    import torch
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
    weights = {name: torch.from_numpy(np.array(values)) for name, values in _weights(packed).items()}
    model.load_state_dict(weights, strict=True)
    model.save_pretrained(folder)


def _weights(packed: PackedModel) -> dict[str, NDArray[np.float32]]:
    hidden, inner = packed.hidden, packed.inner
    types = packed.plain("emb.type", packed.elements("emb.type") // hidden, hidden)
    weights = {
        "embeddings.word_embeddings.weight": packed.matrix("emb.word", packed.vocab, hidden),
        "embeddings.position_embeddings.weight": packed.plain("emb.pos", packed.positions, hidden),
        "embeddings.token_type_embeddings.weight": np.repeat(types[:1], packed.types, axis=0),
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


def _save_tokenizer(packed: PackedModel, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = tokenizer_of(packed)
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
