"""Words of a text for the lexical index: Kiwi morphemes and Hangul bigrams, Latin words and numbers beside them.

    "역사를 RunPod에서 봤어" ──▶ morphemes "역사 runpod 보"   bigrams "역사 사를 에서 봤어"

Two columns because each finds what the other can't: morphemes see through particles and endings, bigrams find
a fragment (서울 in 서울대학교) that the morpheme analyser keeps whole.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

HANGUL_RUN = re.compile(r"[가-힣]+")
LETTER = re.compile(r"[^\W\d_]")
LATIN_OR_NUMBER = re.compile(r"[^\W_가-힣ㄱ-ㆎ]+")
# Kiwi's tags for words that carry meaning: nouns, verbs and adjectives, adverbs, roots, foreign words.
CONTENT_TAGS = ("N", "VV", "VA", "MAG", "XR", "SH")
SENTENCE_END = re.compile(r"([.!?。…][\"'”’)\]]*)\s+")
QUESTION_END = re.compile(r"[?？]\s*[\"'”’)\]]*\s*$")
# Tokens a character, measured on the bundled models' tokenizers: Korean is dense.
TOKENS_PER_HANGUL = 0.75
TOKENS_PER_OTHER = 0.3


@dataclass(frozen=True, slots=True)
class Words:
    """A text's two lexical columns, words separated by spaces."""

    morphemes: str
    bigrams: str


def normalise(text: str) -> str:
    """NFC, so that Hangul written as letters (as macOS names files) matches Hangul written as syllables."""
    return unicodedata.normalize("NFC", text)


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, stripped, none empty; joined they hold all of it but white space."""
    return [part.strip() for part in SENTENCE_END.sub(r"\1\n", text).split("\n") if part.strip()]


def estimate_tokens(text: str) -> int:
    """Roughly how many tokens a language model makes of a text; the same on every machine."""
    hangul = sum(len(run) for run in HANGUL_RUN.findall(text))
    return round(hangul * TOKENS_PER_HANGUL + (len(text) - hangul) * TOKENS_PER_OTHER)


def hangul_share(text: str) -> float:
    """The part of a text's letters that is Hangul, 0 to 1; 0 for a text without letters."""
    text = normalise(text)
    letters = len(LETTER.findall(text))
    return sum(len(run) for run in HANGUL_RUN.findall(text)) / letters if letters else 0.0


def bigrams(text: str) -> list[str]:
    """Overlapping pairs of Hangul syllables; a lone syllable stands for itself."""
    pairs: list[str] = []
    for run in HANGUL_RUN.findall(text):
        pairs += [run[i : i + 2] for i in range(len(run) - 1)] if len(run) > 1 else [run]
    return pairs


def latin_words(text: str) -> list[str]:
    """Lower-cased words and numbers of every script but Hangul."""
    return [word.lower() for word in LATIN_OR_NUMBER.findall(text)]


class WordSplitter:
    """Kiwi behind a lock, loaded at first use (about two seconds, so never on the way to the open port)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kiwi: Kiwi | None = None

    @property
    def version(self) -> str:
        """What made the columns; when it changes, the index is made anew."""
        return f"kiwi {version('kiwipiepy')} {version('kiwipiepy_model')}, columns 1"

    def load(self) -> None:
        """Loads Kiwi now instead of at first use."""
        with self._lock:
            self._loaded()

    def words(self, text: str) -> Words:
        """The lexical columns of a text. Text without Hangul never waits for Kiwi."""
        text = normalise(text)
        latin = latin_words(text)
        if not HANGUL_RUN.search(text):
            return Words(" ".join(latin), "")
        return Words(" ".join(self._morphemes(text) + latin), " ".join(bigrams(text)))

    def _morphemes(self, text: str) -> list[str]:
        with self._lock:
            tokens = self._loaded().tokenize(text)
        return [token.form.lower() for token in tokens if token.tag.startswith(CONTENT_TAGS)]

    def _loaded(self) -> Kiwi:
        if self._kiwi is None:
            from kiwipiepy import Kiwi

            kiwi = Kiwi()
            # The first text costs as much as Kiwi itself; nobody is to wait for that with a question.
            kiwi.tokenize("가")
            self._kiwi = kiwi
        return self._kiwi
