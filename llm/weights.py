"""The weights of one GGUF file with its vocabulary and chat template; any thread may use it.

path ──load (progress 0 … 1)──▶ Weights ─┬─ text ◀──▶ tokens
                                         ├─ messages ──chat template──▶ text
                                         └─ Context (llm.context): what the engine computes with
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jinja2
import llama_cpp
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from llm.base import ModelError
from llm.llama_log import forget_errors, last_errors
from llm.processor import missing_instructions
from llm.prompt import WORD_JOINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

PIECE_BYTES = 64
SENTINEL = "\n"  # joins with nothing


class Weights:
    """One loaded file; freed when the last reference goes, since any thread may be reading tokens."""

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int,
        template: str | None,
        progress: Callable[[float], bool] = lambda _share: True,
        vocabulary_only: bool = False,
    ) -> None:
        """Loads the file (seconds to minutes).

        Args:
            path: a GGUF file that `read_gguf` found whole.
            gpu_layers: layers kept on the GPU; -1 for all of them.
            template: the Jinja chat template, None for a model that continues transcripts.
            progress: told the share that is loaded, 0 to 1; False stops the loading.
            vocabulary_only: leaves the weights out: it tokenises, and can't compute.

        Raises:
            ModelError: llama.cpp can't load the file or not run on this processor, or the template isn't Jinja.
        """
        # Before anything of the library runs, be it for the vocabulary alone.
        if lacking := missing_instructions():
            raise ModelError(
                f"llama.cpp was compiled for a processor with {', '.join(lacking)}, which this one lacks; it would end"
                " the process. Run make setup, which compiles it for this machine, then start memoryd again."
            )
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers if gpu_layers >= 0 else 0x7FFFFFFF
        params.vocab_only = vocabulary_only
        on_progress = llama_cpp.llama_progress_callback(lambda share, _data: progress(share))
        params.progress_callback = on_progress
        forget_errors()
        self.handle = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise ModelError(
                f"llama.cpp can't load {path}: {last_errors() or 'it does not say why'}."
                " Copy the model again, or convert it anew."
            )
        weakref.finalize(self, llama_cpp.llama_model_free, self.handle)
        self.vocab = llama_cpp.llama_model_get_vocab(self.handle)
        self.vocab_size: int = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.window: int = llama_cpp.llama_model_n_swa(self.handle)  # tokens that a layer sees, 0 for all
        self.path = path
        self._formatter = self._compile(template) if template else None

    @cached_property
    def end_token(self) -> int:
        """The token that ends an answer."""
        return max(int(llama_cpp.llama_vocab_eos(self.vocab)), 0)

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
        except (
            Exception
        ) as error:  # the file's own code: it divides by zero, recurses, asks for what isn't there
            raise ValueError(str(error) or repr(error)) from error

    def harmless(self, text: str, marks: Sequence[str] = ()) -> str:
        """A message's text, with each mark and each control token that it spells out broken by a word joiner.

        A chat template's text is tokenised as a whole; nobody's words may end a turn or open the system's.
        """
        text = _broken(text, marks)
        while controls := [token for token in self.tokenize(text, control=True) if self._is_control(token)]:
            before = text
            text = _broken(text, {self.token_text(token) for token in controls})
            if text == before:  # a character that the vocabulary lacks is an unknown token, spelt by nobody
                break
        return text

    def tokenize(self, text: str, *, control: bool = False) -> list[int]:
        """Token ids of a text, without a start token; `control`: whether control tokens are meant as such."""
        data = text.encode(errors="replace")
        room = len(data) + 8
        while True:
            tokens = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(self.vocab, data, len(data), tokens, room, False, control)
            if count >= 0:
                return tokens[:count]
            room = -count

    def prompt_tokens(self, text: str, *, control: bool) -> list[int]:
        """Token ids of a prompt's beginning; the start token comes first, once, where the model wants one."""
        tokens = self.tokenize(text, control=control)
        start = llama_cpp.llama_vocab_bos(self.vocab)
        if llama_cpp.llama_vocab_get_add_bos(self.vocab) and tokens[:1] != [start]:
            tokens.insert(0, start)
        return tokens

    def tail_tokens(self, text: str, *, control: bool) -> list[int]:
        """Token ids of a text that goes on from another: without the space that some put before the first word."""
        if self._puts_a_space_first:
            tokens = self.tokenize(SENTINEL + text, control=control)
            if tokens[: len(self._sentinel)] == self._sentinel:
                return tokens[len(self._sentinel) :]
        return self.tokenize(text, control=control)

    @cached_property
    def _sentinel(self) -> list[int]:
        return self.tokenize(SENTINEL)

    @cached_property
    def _puts_a_space_first(self) -> bool:
        return self.token_bytes(self._sentinel[0]).startswith(b" ") if self._sentinel else False

    def ends(self, token: int) -> bool:
        """Whether a token ends the model's turn."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def token_bytes(self, token: int) -> bytes:
        """What a token says, often a part of a character; control tokens are spelt out."""
        size = PIECE_BYTES
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, size, 0, True)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def token_text(self, token: int) -> str:
        """A token as the vocabulary spells it; "" for none (-1)."""
        return "" if token < 0 else llama_cpp.llama_vocab_get_text(self.vocab, token).decode(errors="replace")

    def _compile(self, template: str) -> Jinja2ChatFormatter:
        try:
            return Jinja2ChatFormatter(
                template,
                eos_token=self.token_text(llama_cpp.llama_vocab_eos(self.vocab)),
                bos_token=self.token_text(llama_cpp.llama_vocab_bos(self.vocab)),
            )
        except jinja2.TemplateError as error:
            raise ModelError(f"the chat template in {self.path} is broken: {error}") from error

    def _is_control(self, token: int) -> bool:
        control = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
        return bool(llama_cpp.llama_vocab_get_attr(self.vocab, token) & control)


def _broken(text: str, marks: Iterable[str]) -> str:
    """The text with a word joiner after the first character of each mark; a lone character has no inside."""
    for mark in marks:
        if len(mark) > 1:
            text = text.replace(mark, mark[:1] + WORD_JOINER + mark[1:])
    return text
