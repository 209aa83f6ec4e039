"""Drawing the next token from the logits: greedy at once, else llama.cpp's chain of samplers, within a grammar.

logits ─▶ repetition ─▶ top-k ─▶ top-p ─▶ min-p ─▶ temperature ─▶ draw ─▶ does the grammar take it?
             └────────────── again, with the grammar first ◀── no ───────────────┘
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np

from llm.base import BadGrammarError
from llm.llama_log import forget_errors, last_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llm.base import Sampling
    from llm.weights import Weights

REPETITION_WINDOW = 64
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class GrammarEndsError(Exception):
    """No token of the vocabulary can go on from here."""


class _Scratch(threading.local):
    """One table of candidates a thread: three megabytes for each request would leave the heap in pieces."""

    def __init__(self) -> None:
        self._table = np.zeros(0, CANDIDATE)

    def candidates(self, count: int) -> NDArray[np.void]:
        """A table of so many rows, whatever stands in it."""
        if len(self._table) < count:
            self._table = np.zeros(count, CANDIDATE)
        return self._table[:count]


_scratch = _Scratch()


class Sampler:
    """Draws one sequence's tokens; each drawn token is remembered for the repetition penalty and the grammar."""

    def __init__(self, weights: Weights, sampling: Sampling, grammar: str = "") -> None:
        """Builds the chain.

        Args:
            weights: whose vocabulary it is.
            sampling: how to draw.
            grammar: GBNF with a rule `root` (from `llm.grammar`); "" for none.

        Raises:
            BadGrammarError: the grammar can't be parsed.
        """
        self._weights = weights
        greedy = sampling.temperature <= 0 and sampling.repetition == 1.0 and not grammar
        self._chain = None if greedy else _chain(self, weights.vocab_size, sampling)
        self._grammar = _grammar(self, weights, grammar) if grammar else None

    def draw(self, logits: NDArray[np.float32]) -> int:
        """The next token, from logits of shape (vocabulary,).

        Raises:
            GrammarEndsError: the grammar has no way on, not even the end.
        """
        if self._chain is None:
            return int(logits.argmax())
        token = self._apply(logits, within_grammar=False)
        if self._grammar is not None:
            if not self._allowed(token):
                token = self._apply(logits, within_grammar=True)
            # llama.cpp ends the process where a grammar is given a token that it doesn't take.
            if not self._allowed(token):
                raise GrammarEndsError
            if not self._weights.ends(token):
                llama_cpp.llama_sampler_accept(self._grammar, token)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def _apply(self, logits: NDArray[np.float32], *, within_grammar: bool) -> int:
        candidates = _scratch.candidates(len(logits))
        candidates["id"] = np.arange(len(candidates), dtype=np.int32)
        candidates["logit"] = logits
        array = _as_llama(candidates)
        if within_grammar:
            llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(array))
            if np.isneginf(candidates["logit"]).all():
                raise GrammarEndsError
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[max(array.selected, 0)].id)

    def _allowed(self, token: int) -> bool:
        one = np.array([(token, 1.0, 0.0)], CANDIDATE)
        llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(_as_llama(one)))
        return not np.isneginf(one["logit"][0])


def _chain(owner: Sampler, vocabulary: int, sampling: Sampling) -> Any:
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    weakref.finalize(owner, llama_cpp.llama_sampler_free, chain)

    def add(sampler: Any) -> None:
        llama_cpp.llama_sampler_chain_add(chain, sampler)

    if sampling.repetition != 1.0:
        add(llama_cpp.llama_sampler_init_penalties(vocabulary, REPETITION_WINDOW, sampling.repetition, 0, 0))
    if sampling.temperature <= 0:
        add(llama_cpp.llama_sampler_init_greedy())
        return chain
    if sampling.top_k > 0:
        add(llama_cpp.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        add(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        add(llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1))
    add(llama_cpp.llama_sampler_init_temp(sampling.temperature))
    add(llama_cpp.llama_sampler_init_dist(sampling.seed & 0xFFFFFFFF))
    return chain


def _grammar(owner: Sampler, weights: Weights, grammar: str) -> Any:
    forget_errors()
    sampler = llama_cpp.llama_sampler_init_grammar(weights.vocab, grammar.encode(errors="replace"), b"root")
    if not sampler:
        why = last_errors() or "it has no rule named root, or is not GBNF"
        raise BadGrammarError(f"The grammar can't be used: {why}.")
    weakref.finalize(owner, llama_cpp.llama_sampler_free, sampler)
    return sampler


def _as_llama(candidates: NDArray[np.void]) -> llama_cpp.llama_token_data_array:
    data = ctypes.cast(candidates.ctypes.data, ctypes.POINTER(llama_cpp.llama_token_data))
    return llama_cpp.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)
