"""One loaded GGUF model: the only module that touches llama.cpp, imported when a model is loaded.

Not thread-safe but for `tokenize` and `render`; its owner lets one answer run at a time.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import threading
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any

import jinja2
import llama_cpp
from llama_cpp import _internals as llama_internals
from llama_cpp import llama as llama_high_level
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from llm.base import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from llm.base import ModelSettings

log = logging.getLogger(__name__)

LOG_LEVEL_ERROR = 4  # enum ggml_log_level: none, debug, info, warn, error, cont
PIECE_BYTES = 64
WORD_JOINER = "\u2060"


class _ErrorLines(threading.local):
    """The last error lines of llama.cpp in this thread, for the reason of a failure."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=8)


_errors = _ErrorLines()


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _on_log(level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
    """Keeps llama.cpp's hundreds of lines out of the daemon's log."""
    line = text.decode(errors="replace").strip()
    log.debug("llama.cpp: %s", line)
    if level == LOG_LEVEL_ERROR and line:
        _errors.lines.append(line)


llama_cpp.llama_log_set(_on_log, ctypes.c_void_p(0))

# With verbose=False the library points the process's stdout and stderr at /dev/null while it loads. That
# swallows other threads' lines, and two loads at once can leave it so for good. The callback above suffices.
for _module in (llama_internals, llama_high_level):
    vars(_module)["suppress_stdout_stderr"] = lambda disable=True: contextlib.nullcontext(disable)


class _CountingLlama(llama_cpp.Llama):
    """Counts the tokens that were really computed."""

    computed = 0

    def eval(self, tokens: Sequence[int]) -> None:
        self.computed += len(tokens)
        super().eval(tokens)


class LlamaCppModel:
    """Weights, context and KV cache of one model; freed when the last reference goes.

    Attributes:
        context_tokens: the context window in tokens.
        cached_tokens: how many tokens of the last prompt were in the KV cache already.
    """

    def __init__(self, settings: ModelSettings, *, context_tokens: int, template: str | None) -> None:
        """Loads the weights (seconds to minutes).

        Raises:
            ModelError: llama.cpp can't load the file, or the template isn't Jinja.
        """
        self.context_tokens = context_tokens
        self.cached_tokens = 0
        threads = settings.threads or len(os.sched_getaffinity(0))
        _errors.lines.clear()
        try:
            self._llama = _CountingLlama(
                str(settings.path),
                n_ctx=context_tokens,
                n_gpu_layers=settings.gpu_layers,
                n_threads=threads,
                n_threads_batch=threads,
                swa_full=True,  # else a sliding-window cache can't be cut back to a shared prefix
                verbose=False,
            )
        except (ValueError, RuntimeError) as error:
            raise ModelError(" ".join([f"{error}.", *_errors.lines])) from error
        except jinja2.TemplateError as error:
            raise ModelError(f"the chat template in {settings.path} is broken: {error}") from error
        self._vocab = self._llama._model.vocab  # noqa: SLF001  (no public way to the vocabulary)
        self._formatter = self._compile(template) if template else None

    @property
    def end_token(self) -> int:
        """The token that ends an answer."""
        return max(self._llama.token_eos(), 0)

    @property
    def has_template(self) -> bool:
        """Whether `render` can be used."""
        return self._formatter is not None

    def render(self, messages: list[dict[str, Any]]) -> str:
        """Puts messages (made `harmless`) through the chat template (sandboxed Jinja).

        Raises:
            ValueError: the template refuses the conversation.
        """
        if self._formatter is None:
            raise ValueError("no chat template")
        chat: list[Any] = messages
        try:
            return str(self._formatter(messages=chat).prompt)
        except (jinja2.TemplateError, TypeError) as error:
            raise ValueError(str(error)) from error

    def harmless(self, text: str, marks: Sequence[str] = ()) -> str:
        """A message's text, with each mark and each control token that it spells out broken by a word joiner.

        A chat template's text is tokenised as a whole; nobody's words may end a turn or open the system's.
        """
        text = _broken(text, marks)
        while controls := [token for token in self.tokenize(text, control=True) if self._is_control(token)]:
            before = text
            text = _broken(text, {self._token_text(token) for token in controls})
            if text == before:  # a character that the vocabulary lacks is an unknown token, spelt by nobody
                break
        return text

    def tokenize(self, text: str, *, control: bool = False) -> list[int]:
        """Token ids of a text, without a start token; `control`: whether control tokens are meant as such."""
        return self._llama.tokenize(text.encode(errors="replace"), add_bos=False, special=control)

    def prompt_tokens(self, text: str, *, control: bool) -> list[int]:
        """Token ids of a whole prompt; the start token comes first, once, where the model wants one."""
        tokens = self.tokenize(text, control=control)
        bos = self._llama.token_bos()
        if llama_cpp.llama_vocab_get_add_bos(self._vocab) and tokens[:1] != [bos]:
            tokens.insert(0, bos)
        return tokens

    def answer(self, prompt: list[int], *, temperature: float, seed: int) -> Generator[int]:
        """The tokens of a free answer, up to the model's own end.

        Whatever the KV cache holds of the prompt's beginning is used again.

        Raises:
            ModelError: llama.cpp failed; the next answer starts afresh.
        """
        self._llama.set_seed(seed)
        with self._started(prompt, temperature) as tokens:
            for token in tokens:
                if llama_cpp.llama_vocab_is_eog(self._vocab, token):
                    return
                yield token

    def choose(self, prompt: list[int], next_tokens: Callable[[Sequence[int]], list[int]]) -> Generator[int]:
        """The likeliest token of those that `next_tokens` allows after the ones before, as often as asked.

        Raises:
            ModelError: llama.cpp failed; the next answer starts afresh.
        """
        said: list[int] = []
        with self._started(prompt):
            while True:
                likelihood = llama_cpp.llama_get_logits_ith(self._llama.ctx, -1)
                token = max(next_tokens(said), key=likelihood.__getitem__)
                yield token
                said.append(token)
                self._llama.eval([token])

    @contextlib.contextmanager
    def _started(self, prompt: list[int], temperature: float = 0.0) -> Generator[Iterator[int]]:
        """Computes the prompt; the tokens that llama.cpp then samples, if they are taken."""
        self._llama.computed = 0
        try:
            with contextlib.closing(self._llama.generate(prompt, temp=max(temperature, 0.0))) as tokens:
                first = next(tokens)
                self.cached_tokens = len(prompt) - self._llama.computed
                yield chain([first], tokens)
        except RuntimeError as error:
            self._llama.reset()  # type: ignore[no-untyped-call]
            raise ModelError(" ".join([f"llama.cpp failed: {error}.", *_errors.lines])) from error

    def forget(self) -> None:
        """Empties the KV cache and the list of its tokens, numbers and all."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._llama.ctx), True)
        self._llama.input_ids.fill(0)
        self._llama.reset()  # type: ignore[no-untyped-call]

    def token_bytes(self, token: int) -> bytes:
        """What a token says, often a part of a character; control tokens are spelt out.

        The library's own `detokenize` returns b"" for a token of more than 32 bytes.
        """
        size = PIECE_BYTES
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, True)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def _compile(self, template: str) -> Jinja2ChatFormatter:
        try:
            return Jinja2ChatFormatter(
                template,
                eos_token=self._token_text(self._llama.token_eos()),
                bos_token=self._token_text(self._llama.token_bos()),
            )
        except jinja2.TemplateError as error:
            raise ModelError(f"the chat template is broken: {error}") from error

    def _is_control(self, token: int) -> bool:
        control = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
        return bool(llama_cpp.llama_vocab_get_attr(self._vocab, token) & control)

    def _token_text(self, token: int) -> str:
        return "" if token < 0 else llama_cpp.llama_vocab_get_text(self._vocab, token).decode()


def _broken(text: str, marks: Iterable[str]) -> str:
    """The text with a word joiner after the first character of each mark; a lone character has no inside."""
    for mark in marks:
        if len(mark) > 1:
            text = text.replace(mark, mark[:1] + WORD_JOINER + mark[1:])
    return text
