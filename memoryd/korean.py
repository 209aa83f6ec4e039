"""Words of a text for the lexical index: Kiwi morphemes and Hangul bigrams, Latin words and numbers beside them.

    "역사를 RunPod에서 봤어" ──▶ morphemes "역사 보 runpod"   bigrams "역사 사를 에서 봣어", and the sound of RunPod

Two columns because each finds what the other can't: morphemes see through particles and endings, bigrams find
a fragment (서울 in 서울대학교) that the morpheme analyser keeps whole. Bigrams are of the folded spelling, and so are
long morphemes; Kiwi itself reads the text as it was written. What a text's words may be asked for as stands after them
(the value of 680만 after its words, the sounds of names after the bigrams, where they weigh least).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version

from memoryd.bilingual import meanings
from memoryd.kiwi import KIWI, KiwiProcess
from memoryd.numerals import number_variants, number_words
from memoryd.spellings import fold, indexed
from memoryd.transliteration import sound_keys

HANGUL_RUN = re.compile(r"[가-힣]+")
# English words that say nothing: in a memory in Korean, which has none of them, they would be the rarest of all.
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
        a an the this that these those is am are was were be been being do does did doing done have has had having
        i me my mine you your yours he him his she her hers it its we us our ours they them their theirs
        what which who whom whose when where why how and or but nor not so than too very can could will would
        shall should may might must of in on at to for from by with about into over under as if then there here
        any some all both
        """,
    )
)
# Not the first word of a sentence, unless all of it is in capitals.
CAPITALISED = re.compile(r"(?<=[a-z,] )[A-Z][A-Za-z]+|\b[A-Z]{2,}\b")
LETTER = re.compile(r"[^\W\d_]")
LATIN_OR_NUMBER = re.compile(r"[^\W_가-힣ㄱ-ㆎ]+")
PROPER_NOUN = "NNP"
COMMON_NOUN = "NNG"
# Syllables that loanwords have and Korean words hardly ever: a long noun with one is written in Latin letters as well.
LOAN_SYLLABLE = re.compile("[카-킿스즈츠트드프브르터테텔템티튜퍼페펜플]")
FEWEST_OF_A_LOANWORD = 3
# Hangul letters of their own (ㅋㅋ): compatibility forms too, but of nothing that is meant.
NOT_A_LETTER = re.compile(r"[^ㄱ-ㆎ]+")
SENTENCE_END = re.compile(r"([.!?。…][\"'”’)\]]*)\s+")
QUESTION_END = re.compile(r"[?？]\s*[\"'”’)\]]*\s*$")
# Tokens a character, measured on the bundled models' tokenizers: Korean is dense.
TOKENS_PER_HANGUL = 0.75
TOKENS_PER_OTHER = 0.3


@dataclass(frozen=True, slots=True)
class Words:
    """A text's two lexical columns, words separated by spaces.

    Attributes:
        meanings: of a question, what its words are in the other language; nothing for one that says nothing itself.
    """

    morphemes: str
    bigrams: str
    meanings: tuple[tuple[str, tuple[str, ...]], ...] = ()


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


def joined_bigrams(text: str) -> list[str]:
    """Bigrams of the folded spelling; a lone syllable also makes one with its neighbour beyond a space (할 수 있다).

    For itself a lone syllable stands as it is: folded it would be another word (내 and 네).
    """
    pairs: list[str] = []
    end, last, lone = -2, "", False
    for found in HANGUL_RUN.finditer(text):
        run = _folded_run(found[0])
        if (lone or len(run) == 1) and found.start() == end + 1 and text[end].isspace():
            pairs.append(last + run[0])
        pairs += [run[i : i + 2] for i in range(len(run) - 1)] or [found[0]]
        end, last, lone = found.end(), run[-1], len(run) == 1
    return pairs


@lru_cache(maxsize=2**14)
def _folded_run(run: str) -> str:
    return fold(run)


def compatible(text: str) -> str:
    """A text with full-width letters and the like as ordinary ones (NFKC); ㅋㅋ stays what it is."""
    text = normalise(text)
    if unicodedata.is_normalized("NFKC", text):
        return text
    return NOT_A_LETTER.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)


def plain_words(text: str) -> Words:
    """What both columns hold of a part of a text in one row: the words that need no Kiwi, without their variants."""
    text = compatible(text)
    return Words(" ".join(number_words(text)), " ".join(joined_bigrams(text)))


def latin_words(text: str) -> list[str]:
    """Lower-cased words and numbers of every script but Hangul."""
    return [word.lower() for word in LATIN_OR_NUMBER.findall(text)]


class WordSplitter:
    """Makes the lexical columns, with Kiwi in its child process (seconds to load). Any thread may call it.

    Args:
        kiwi: the one that all of this process share, or one of its own.
    """

    def __init__(self, kiwi: KiwiProcess = KIWI) -> None:
        self._kiwi = kiwi

    @property
    def version(self) -> str:
        """What made the columns; when it changes, the index is made anew."""
        return f"kiwi {version('kiwipiepy')} {version('kiwipiepy_model')}, columns 2"

    def load(self) -> None:
        """Waits until Kiwi has loaded, so that the first text need not.

        Raises:
            KiwiError: it can't be loaded.
        """
        self._kiwi.load()

    def words(self, text: str) -> Words:
        """The lexical columns of a text. Text without Hangul never waits for Kiwi.

        Raises:
            KiwiError: Kiwi can't be loaded, or can't read this text.
        """
        text = normalise(text)
        spelled = compatible(text)
        morphemes: list[str] = []
        pairs: list[str] = []
        names: list[str] = []
        if HANGUL_RUN.search(spelled):
            morphemes, names = self._morphemes(text)
            pairs = joined_bigrams(spelled)
        morphemes += number_words(spelled) + number_variants(spelled)
        return Words(" ".join(morphemes), " ".join(pairs + sound_keys(spelled, names)))

    def asked(self, question: str) -> Words:
        """The words of a question, and what they are in the other language.

        Raises:
            KiwiError: as in `words`.
        """
        words = self.words(question)
        said = words.morphemes.split()
        names = {name.lower() for name in CAPITALISED.findall(question)}
        idle = [] if HANGUL_RUN.search(question) else _idle(said, names)
        telling = [word for word in said if word not in idle]
        return replace(words, meanings=(*meanings(telling, names), *((word, ()) for word in idle)))

    def _morphemes(self, text: str) -> tuple[list[str], list[str]]:
        """The words that carry meaning, and the names among them."""
        morphemes, names = [], []
        for form, tag in self._kiwi.morphemes(text):
            morphemes.append(indexed(form.lower()))
            if _is_name(form, tag):
                names.append(form)
        return morphemes, names


def _idle(words: list[str], names: set[str]) -> list[str]:
    """The words of an English question that say nothing; "it" is no IT, and "will" no Will."""
    return [word for word in dict.fromkeys(words) if word in FUNCTION_WORDS and word not in names]


def _is_name(form: str, tag: str) -> bool:
    """Whether a morpheme is a name or a loanword, that Latin letters may stand for elsewhere."""
    if tag == PROPER_NOUN:
        likely = len(form) > 1
    else:
        likely = tag == COMMON_NOUN and len(form) >= FEWEST_OF_A_LOANWORD and bool(LOAN_SYLLABLE.search(form))
    return likely and HANGUL_RUN.fullmatch(form) is not None
