"""Everything of one loaded model in one place: weights, context, batcher, prompts, identities on disk.

Imported when a model is loaded, since it brings llama.cpp with it.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from llm.answer import Answer, Choosing, Writing
from llm.base import ModelError
from llm.batch import Batch
from llm.context import Context
from llm.engine.batcher import Batcher
from llm.engine.identity_file import IdentityFiles
from llm.engine.pins import Pin
from llm.engine.sizes import BATCH_TOKENS, sequences
from llm.grammar import grammar_of
from llm.plan import cells_of
from llm.prompter import Prompter
from llm.sampler import Sampler
from llm.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from llm.base import GenerateRequest, Identity, ModelSettings
    from llm.choices import Choices
    from llm.engine.identity_file import StoredIdentity
    from llm.family import Family
    from llm.gguf import GgufInfo
    from llm.prompt import Prompt

log = logging.getLogger(__name__)


class LoadedModel:
    """A model in memory: the engine's `detach` frees the context, the last reference the weights."""

    def __init__(
        self,
        weights: Weights,
        batcher: Batcher,
        prompter: Prompter,
        files: IdentityFiles | None,
        *,
        context_tokens: int,
    ) -> None:
        self.weights = weights
        self.batcher = batcher
        self.prompter = prompter
        self.context_tokens = context_tokens
        self._files = files
        self._pinned: NDArray[np.int32] | None = None

    @classmethod
    def open(
        cls,
        name: str,
        family: Family,
        settings: ModelSettings,
        info: GgufInfo,
        *,
        gpu_layers: int,
        threads: int,
        progress: Callable[[float], bool],
        on_pinned: Callable[[int], None],
    ) -> LoadedModel:
        """Loads weights and context.

        Raises:
            ModelError: llama.cpp can't, or `progress` said to stop.
        """
        weights = Weights(
            settings.path,
            gpu_layers=gpu_layers,
            template=info.chat_template or family.template,
            progress=progress,
        )
        context_tokens = min(settings.context_tokens, info.context_length or settings.context_tokens)
        context = Context(
            weights,
            cells=cells_of(settings, info.context_length),
            sequences=sequences(settings.parallel),
            batch_tokens=BATCH_TOKENS,
            threads=threads,
            kv_type=settings.kv_type,
        )
        files = None
        if settings.states is not None:
            files = IdentityFiles(settings.states, settings.path, kv_type=settings.kv_type)
        batcher = Batcher(
            name,
            context,
            Batch(BATCH_TOKENS),
            parallel=settings.parallel,
            waiting=settings.waiting,
            on_pinned=on_pinned,
            on_computed=_saver(files),
        )
        return cls(weights, batcher, Prompter(weights, family), files, context_tokens=context_tokens)

    def writing(self, prompt: Prompt, request: GenerateRequest) -> Answer:
        """A free answer to a request.

        Raises:
            BadGrammarError: its grammar can't be used.
        """
        grammar = grammar_of(request.grammar, request.json_schema)
        return Writing(
            self.weights,
            Sampler(self.weights, request.sampling, grammar),
            self.prompter.answer_text(prompt, request),
            max_tokens=request.max_tokens,
            logprobs=request.logprobs,
        )

    def choosing(self, choices: Choices) -> Answer:
        """One of a few sentences."""
        return Choosing(choices)

    def pin(self, identity: Identity) -> Pin:
        """The identity's tokens, with what an earlier run computed of them.

        Raises:
            ModelError: it leaves no room for a question.
        """
        tokens = self.prompter.identity(identity)
        self._pinned = tokens
        if not len(tokens):
            raise ModelError("it is empty.")
        if len(tokens) >= self.context_tokens:
            raise ModelError(
                f"it has {len(tokens)} tokens and the context {self.context_tokens}. "
                "Lower replay.token_budget or raise llm.context_tokens."
            )
        cells = self.batcher.cache.cells.total
        if len(tokens) >= cells:
            raise ModelError(f"it has {len(tokens)} tokens and the cache {cells}. Raise llm.cache_tokens.")
        stored = self._files.load(tokens) if self._files else None
        return Pin(version=identity.version, tokens=tokens, stored=stored)

    def has_moved_on(self, identity: Identity) -> bool:
        """Whether prompts with this identity begin with other tokens than were pinned."""
        pinned = self._pinned
        return pinned is not None and not np.array_equal(pinned, self.prompter.identity(identity))

    def forget(self) -> None:
        """Drops texts and files of earlier identities."""
        self.forget_texts()
        if self._files is not None:
            self._files.remove()

    def forget_texts(self) -> None:
        """Drops what is remembered of earlier identities in memory."""
        self._pinned = None
        self.prompter.forget()


def _saver(files: IdentityFiles | None) -> Callable[[NDArray[np.int32], StoredIdentity], None] | None:
    """Writes in a thread of its own: a gigabyte takes seconds, which the engine hasn't."""
    if files is None:
        return None

    def save(tokens: NDArray[np.int32], stored: StoredIdentity) -> None:
        write = partial(files.save, tokens, stored, removals=files.removals)
        threading.Thread(target=write, name="identity-file", daemon=True).start()

    return save
