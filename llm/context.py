"""What llama.cpp computes with: one KV cache whose cells all sequences share, and batches of their tokens.

Batch (llm.batch) ─▶ decode ─▶ logits of the rows that were wanted

A context belongs to one thread, the engine's.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING

import llama_cpp
import numpy as np

from llm.base import ModelError
from llm.llama_log import forget_errors, last_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llm.base import KvType
    from llm.batch import Batch
    from llm.engine.identity_file import State
    from llm.weights import Weights

NO_ROOM = 1
KV_TYPES = {
    "f32": llama_cpp.GGML_TYPE_F32,
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
}


class Context:
    """The KV cache of one model and the arithmetic over it.

    Attributes:
        weights: whose context it is.
        cells: tokens that the cache holds, all sequences together; shared ones count once.
        sequences: how many sequences there can be, numbered from 0.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        cells: int,
        sequences: int,
        batch_tokens: int,
        threads: int,
        kv_type: KvType = "f16",
    ) -> None:
        """Reserves cache and buffers; `batch_tokens` is the most in one `decode`.

        Raises:
            ModelError: there is not enough memory, in llama.cpp's words.
        """
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = batch_tokens
        params.n_ubatch = batch_tokens
        params.n_seq_max = sequences
        params.n_outputs_max = sequences  # one a sequence; fewer than sequences ends the process
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = KV_TYPES[kv_type]
        # Else copying a sequence copies its cells, and a part of one ends the process.
        params.kv_unified = True
        # Else a sliding-window cache can't be cut back to a shared prefix; see `whole`.
        params.swa_full = True
        params.no_perf = True
        forget_errors()
        self._handle = llama_cpp.llama_init_from_model(weights.handle, params)
        if not self._handle:
            raise ModelError(
                f"llama.cpp can't make a cache of {cells} tokens for {weights.path}:"
                f" {last_errors() or 'it does not say why'}. Lower llm.cache_tokens or llm.context_tokens."
            )
        self._finalizer = weakref.finalize(self, llama_cpp.llama_free, self._handle)
        self._memory = llama_cpp.llama_get_memory(self._handle)
        self.weights = weights
        self.cells = cells
        self.sequences = sequences

    def decode(self, batch: Batch) -> bool:
        """Computes a batch; False where the cache has no room for it, and nothing was changed.

        Raises:
            ModelError: llama.cpp failed; the cache can't be trusted any more.
        """
        forget_errors()
        result = llama_cpp.llama_decode(self._handle, _as_llama(batch))
        if result in {0, NO_ROOM}:
            return bool(result == 0)
        raise ModelError(f"llama.cpp failed with code {result}. {last_errors()}".strip())

    def logits(self, row: int) -> NDArray[np.float32]:
        """Of a wanted row of the last batch, (vocabulary,) float32; a view that the next `decode` overwrites."""
        pointer = llama_cpp.llama_get_logits_ith(self._handle, row)
        return np.ctypeslib.as_array(pointer, shape=(self.weights.vocab_size,))

    def copy(self, source: int, target: int, length: int) -> None:
        """Lets `target` (empty) begin with the first `length` tokens of `source`; no cell is copied."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def cut(self, sequence: int, length: int = 0) -> bool:
        """Removes what comes after the first `length` tokens; False where the model's state can't be cut."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def clear(self) -> None:
        """Empties the cache, numbers and all."""
        llama_cpp.llama_memory_clear(self._memory, True)

    def length(self, sequence: int) -> int:
        """How many tokens a sequence holds."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def whole(self, sequence: int, length: int) -> bool:
        """Whether the cache has all that a token sees which comes after the first `length` of a sequence.

        llama.cpp puts other tokens where those stand that have left a sequence's sliding window, though there is room
        elsewhere (scripts/llama_cpp.patch mends it). Once the sequence is cut back they are missing, and nothing says
        so.
        """
        window = self.weights.window
        first = int(llama_cpp.llama_memory_seq_pos_min(self._memory, sequence))
        return 0 <= first <= (max(0, length + 1 - window) if window else 0)

    def state(self, sequence: int) -> bytearray:
        """The keys and values of a sequence, for `restore`."""
        size = llama_cpp.llama_state_seq_get_size(self._handle, sequence)
        data = bytearray(size)
        place = (ctypes.c_uint8 * size).from_buffer(data)
        written = llama_cpp.llama_state_seq_get_data(self._handle, place, size, sequence)
        del place
        return data[:written]

    def restore(self, sequence: int, data: State) -> bool:
        """Puts a `state` of the same model and settings into an empty sequence; False where it doesn't fit."""
        held = np.frombuffer(data, np.uint8)
        place = _pointer(held, ctypes.c_uint8)
        return bool(llama_cpp.llama_state_seq_set_data(self._handle, place, len(held), sequence))

    def close(self) -> None:
        """Frees cache and buffers."""
        self._finalizer()


def _as_llama(batch: Batch) -> llama_cpp.llama_batch:
    """The same memory as llama.cpp's structure."""
    return llama_cpp.llama_batch(
        n_tokens=batch.length,
        token=_pointer(batch.tokens, llama_cpp.llama_token),
        embd=None,
        pos=_pointer(batch.positions, llama_cpp.llama_pos),
        n_seq_id=_pointer(batch.counts, ctypes.c_int32),
        seq_id=_pointer(batch.sequence_places, ctypes.POINTER(llama_cpp.llama_seq_id)),
        logits=_pointer(batch.wanted, ctypes.c_int8),
    )


def _pointer(array: NDArray[np.generic], kind: type) -> ctypes._Pointer:  # type: ignore[type-arg]
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
