"""A GGUF file through llama.cpp's own functions, to see what the file is, whatever this project makes of it."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import llama_cpp.llama_cpp as llama
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Logits = NDArray[np.float32]

CONTEXT = 256


class Opened:
    """The weights, and a context of several sequences over one store of cells."""

    def __init__(self, path: Path) -> None:
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self._model = llama.llama_model_load_from_file(bytes(path), parameters)
        assert self._model
        context = llama.llama_context_default_params()
        context.n_ctx, context.n_batch, context.n_seq_max = CONTEXT, CONTEXT, 4
        context.kv_unified = True
        context.n_threads = context.n_threads_batch = 1
        self._context = llama.llama_init_from_model(self._model, context)
        assert self._context
        self.memory = llama.llama_get_memory(self._context)
        self.vocab = llama.llama_model_get_vocab(self._model)

    def close(self) -> None:
        llama.llama_free(self._context)
        llama.llama_model_free(self._model)

    def tokens(self, text: str, *, control: bool = False) -> list[int]:
        data = text.encode()
        room = (llama.llama_token * (len(data) + 1))()
        count = llama.llama_tokenize(self.vocab, data, len(data), room, len(room), False, control)
        assert count >= 0
        return list(room[:count])

    def text(self, tokens: list[int]) -> str:
        data = ctypes.create_string_buffer(1024)
        count = llama.llama_detokenize(
            self.vocab, (llama.llama_token * len(tokens))(*tokens), len(tokens), data, len(data), False, True
        )
        assert count >= 0
        return data.raw[:count].decode()

    def logits(self, tokens: list[int], *, sequence: int = 0, start: int = 0) -> Logits:
        """Of the token after `tokens`, the first of which has the position `start`."""
        batch = llama.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for at, token in enumerate(tokens):
            batch.token[at], batch.pos[at] = token, start + at
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
            batch.logits[at] = at == len(tokens) - 1
        assert llama.llama_decode(self._context, batch) == 0
        llama.llama_batch_free(batch)
        size = llama.llama_vocab_n_tokens(self.vocab)
        return np.ctypeslib.as_array(llama.llama_get_logits_ith(self._context, -1), (size,)).copy()
