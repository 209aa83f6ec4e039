"""Vocabularies in the families' own forms and in any size: they tokenise every text and give it back byte for byte.

    byte_level(…)      every byte, Hangul syllables, words, then pairs of syllables up to the size; merges
    sentence_piece(…)  <unk> <s> </s>, byte tokens, characters, the same words and pairs; scores

Words are those of `bench.invented`, so that Korean and English text is more than single bytes even in a tiny one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, product
from typing import TYPE_CHECKING

from gguf import TokenType

from bench.invented import ENGLISH, KOREAN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SYLLABLES = tuple(chr(code) for code in range(0xAC00, 0xD7A4))
ASCII = tuple(chr(code) for code in range(0x20, 0x7F))
EXTRA = "안녕 나는 너는 우리 오늘 내일 기억 이름 정말 있어 없어 했어 뭐야 the and you that this what remember name"
WORDS = tuple(
    dict.fromkeys(
        [
            *EXTRA.split(),
            *(word for options in (*KOREAN, *ENGLISH) for word in options.replace("|", " ").split()),
        ]
    )
)
BYTES = 256
SPACE = "▁"  # how SentencePiece writes a space
PADDING = "[PAD{}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Special:
    """A token beside the text's own; `<think>` and the like are user-defined, marks of turns control."""

    text: str
    kind: TokenType = TokenType.CONTROL


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a GGUF file holds under `tokenizer.ggml`.

    Attributes:
        model: llama.cpp's name of the algorithm: `gpt2` (byte-level BPE) or `llama` (SentencePiece).
        pre: its name of the rule that cuts a text into words; "" where the algorithm has none.
        tokens: in the order of their ids, no two alike.
        types: `gguf.TokenType` of each.
        scores: of each, SentencePiece only; the higher is joined first.
        merges: byte-level BPE only; the earlier is joined first.
        bos: id of the token that starts a prompt.
        eos: id of the token that ends an answer.
    """

    model: str
    pre: str
    tokens: tuple[str, ...]
    types: tuple[TokenType, ...]
    scores: tuple[float, ...] = ()
    merges: tuple[str, ...] = ()
    bos: int
    eos: int

    @property
    def unsayable(self) -> list[int]:
        """Ids that no text is made of: control tokens, the unknown token, padding."""
        silent = {TokenType.CONTROL, TokenType.UNKNOWN, TokenType.UNUSED}
        return [number for number, kind in enumerate(self.types) if kind in silent]


def byte_level(
    specials: Sequence[Special], *, pre: str, bos: str, eos: str, text_tokens: int = 0, size: int = 0
) -> Vocabulary:
    """A byte-level BPE vocabulary (GPT-2's form): text tokens, then `specials`, then padding up to `size`.

    Args:
        text_tokens: how many tokens before the specials; 0 for as few as the words need.
        size: how many tokens in all; 0 for no padding.
    """
    text = _Joined(tokens=[_BYTE_CHARACTERS[byte] for byte in range(BYTES)])
    room = text_tokens or None
    for units in _spellings(every_syllable=bool(text_tokens)):
        if room is not None and len(text.tokens) >= room:
            break
        text.add(["".join(_BYTE_CHARACTERS[byte] for byte in unit.encode()) for unit in units], room)
    tokens = [*text.tokens, *(special.text for special in specials)]
    types = [TokenType.NORMAL] * len(text.tokens) + [special.kind for special in specials]
    padding = max(size - len(tokens), 0)
    tokens += [PADDING.format(len(tokens) + number) for number in range(padding)]
    return Vocabulary(
        model="gpt2",
        pre=pre,
        tokens=tuple(tokens),
        types=(*types, *[TokenType.UNUSED] * padding),
        merges=tuple(text.merges),
        bos=tokens.index(bos),
        eos=tokens.index(eos),
    )


def sentence_piece(*, size: int = 0) -> Vocabulary:
    """A SentencePiece vocabulary with byte tokens (Llama 2's and Mistral's form).

    Args:
        size: how many tokens in all; 0 for as few as the words need.
    """
    heads = ["<unk>", "<s>", "</s>"]
    heads += [f"<0x{byte:02X}>" for byte in range(BYTES)]
    text = _Joined(tokens=[*heads, SPACE, *ASCII[1:]])
    room = size or None
    for units in _spellings(every_syllable=bool(size)):
        if room is not None and len(text.tokens) >= room:
            break
        text.add([unit.replace(" ", SPACE) for unit in units], room)
    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, *[TokenType.BYTE] * BYTES]
    pieces = len(text.tokens) - len(heads)
    return Vocabulary(
        model="llama",
        pre="",
        tokens=tuple(text.tokens),
        types=(*types, *[TokenType.NORMAL] * pieces),
        scores=(*[0.0] * len(heads), *(float(-rank) for rank in range(pieces))),
        bos=1,
        eos=2,
    )


@dataclass(slots=True)
class _Joined:
    """Tokens that grow by joining two that are there."""

    tokens: list[str]
    merges: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.known.update(self.tokens)

    def add(self, units: Sequence[str], room: int | None) -> None:
        """Adds `units` as one token, with what is needed to join it from its single units, left to right."""
        for unit in units:
            if unit not in self.known:
                self._chain(unit, room)
        for left, right in zip(accumulate(units), units[1:], strict=False):
            self._join(left, right, room)

    def _chain(self, unit: str, room: int | None) -> None:
        if len(unit) == 1:  # SentencePiece: a character that bytes stand for until now
            self._append(unit, room)
            return
        for left, right in zip(accumulate(unit), unit[1:], strict=False):
            self._join(left, right, room)

    def _join(self, left: str, right: str, room: int | None) -> None:
        if left + right not in self.known and self._append(left + right, room):
            self.merges.append(f"{left} {right}")

    def _append(self, token: str, room: int | None) -> bool:
        if room is not None and len(self.tokens) >= room:
            return False
        self.tokens.append(token)
        self.known.add(token)
        return True


def _spellings(*, every_syllable: bool) -> Iterator[Sequence[str]]:
    """What becomes a token, most wanted first, each as the units that it is joined from."""
    used = list(dict.fromkeys(unit for word in WORDS for unit in word if _is_hangul(unit)))
    syllables = SYLLABLES if every_syllable else used
    yield from ([syllable] for syllable in syllables)
    for word in WORDS:
        yield [" ", *word]
        yield list(word)
    if every_syllable:
        yield from ([" ", syllable] for syllable in syllables)
        yield from product(used, repeat=2)
        yield from product(syllables, used)


def _is_hangul(character: str) -> bool:
    return SYLLABLES[0] <= character <= SYLLABLES[-1]


def _byte_characters() -> list[str]:
    """GPT-2's printable stand-in for each byte (`bytes_to_unicode` in its encoder.py)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(BYTES, 2 * BYTES))
    return [chr(byte if byte in printable else next(others)) for byte in range(BYTES)]


_BYTE_CHARACTERS = _byte_characters()
