"""Sentences of the recalled passages that answer a question best: what the built-in model chooses from.

The built-in language model is small and does not follow instructions; its free prose is poor. A sentence that was
really said, chosen by nearness to the question, is short, clean and true.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.korean import QUESTION_END, hangul_share, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memoryd.embedder import Embedder
    from memoryd.korean import WordSplitter
    from memoryd.recall import Hit

MOST_CANDIDATES = 60
SHORTEST = 4
LONGEST = 300
# What is added to a sentence's cosine: for rare words that it shares with the question, for being said by one whom the
# question names, for its passage's place, and for holding the kind of thing that was asked for. How they were
# chosen, and how little that proves: docs/architecture.md.
WORD_WEIGHT = 1.0
# The power to which a word's rarity is taken: one that two sentences have says much more than one that ten have.
# Whether anything fits at all is told by all shared words, each by its plain rarity.
RARITY_POWER = 4
FIT_WEIGHT = 0.8
SPEAKER_WEIGHT = 0.6
PASSAGE_WEIGHT = 0.3
# A hit so far down is worth half of the first one.
PRIOR_RANKS = 11
KIND_WEIGHT = 0.2
# A sentence competes with the best one while it is this near to it: the built-in model, shown four, picks the right
# one in 8 of 16 tries, so it is left only what the scores can't tell apart.
MARGIN = 0.005
MOST_CHOICES = 3
# Below this (cosine and shared words alone) no sentence has anything to do with the question: of questions that their
# memory answers one in ten lies below in ko_memory dev and none in LoCoMo dev; of others' questions, four in five do.
RELEVANT = 0.35
BULLET = re.compile(r"^(?:[-–—*•·→↪>#|✔①-⑩]+|\d+[.)]|\[.?\])\s+|^→")
# What a chat page writes above a block of code, and copies along with it.
LAYOUT = frozenset(
    re.split(
        r"\|",
        "복사|편집|실행|코드 복사|Copy|Edit|Run|Copy code|plaintext|"
        "python|bash|shell|sh|json|yaml|toml|javascript|typescript|sql|html|css|c|cpp",
    )
)
CODE = re.compile(
    r"[\w.\[\]\"']+ ?=(?!=) ?\S|import \w|from [\w.]+ import |(?:async )?def \w+\(|class \w+[:(]|[\w.]+\(.*\):?$"
)
# Not within quotation marks, and no // of a division.
COMMENT = re.compile(r"\s+#\s[^\"']*$")
ARROW = "→"
ASSISTANT = "assistant"
FEWEST_OF_A_NAME = 2
# Lines that announce or break off rather than say: "기능 목록:", "…되고,", "[추가 옵션]".
UNFINISHED = re.compile(r"[,:;→]$|^\[[^\]]*\]:?$")
# Pairs of what a question asks for and what an answer to it holds.
KINDS = (
    (
        re.compile(
            r"몇|얼마|언제|며칠|how (many|much|long|old|often)|\bwhen\b|what (time|date|year)", re.IGNORECASE
        ),
        re.compile(r"\d|[한두세네] ?[개명번시달]|[일이삼사오육칠팔구십]+ ?[월일시년]"),
    ),
    (
        re.compile(
            r"폴더|경로|디렉[터토]리|주소|파일|folder|path|director|\bfile|url|address", re.IGNORECASE
        ),
        re.compile(r"(/[\w.-]+){2,}|\w\.(com|io|net|org|kr)\b"),
    ),
    (
        re.compile(r"왜|이유|\bwhy\b|\breason", re.IGNORECASE),
        re.compile(
            r"때문|니까|므로|이유|려고|[해아어라]서|느라|보다 |나을|\b(because|since|so that)\b|\bto \w+",
            re.IGNORECASE,
        ),
    ),
)
# Words that nearly every sentence or question has; sharing one says nothing.
LIGHT_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
        있 없 하 되 같 보 주 어떻 그렇 이렇 뭐 무엇 누구 어디 언제 왜 거 것 수 때 좀 그 이 저 나 너 우리
        a an the is are was were be been do does did have has had i you he she it we they my your his her our
        their of to in on at for from by with as and or but not that this there what which who whom whose when
        where why how many much may can could will would should
        """,
    )
)
NOTHING_KO = "그것에 대한 기억이 없어요."
NOTHING_EN = "I have no memory of that."
# Where there are memories: one of them may hold the answer all the same, and whoever asked is shown them.
NO_SENTENCE_KO = "가까운 기억은 있지만, 그 물음에 답하는 문장은 찾지 못했어요."
NO_SENTENCE_EN = "I have memories near that, but find no sentence in them that answers it."


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence, the person who says it ("" for an assistant), and its passage's worth by place: 1 for the first."""

    text: str
    speaker: str
    prior: float


@dataclass(frozen=True, slots=True)
class _Scored:
    """A sentence, how well it fits the question, and its score among the others."""

    text: str
    fit: float
    score: float


class Quotes:
    """Chooses sentences by meaning, shared words, who says them, the passage's place, and the kind asked for."""

    def __init__(self, *, embedder: Embedder, words: WordSplitter) -> None:
        self._embedder = embedder
        self._words = words

    def choices(self, question: str, hits: Sequence[Hit]) -> tuple[str, ...]:
        """One to three sentences, best first; one that admits to it where none fits."""
        candidates = _candidates(hits)
        if candidates:
            scored = self._score(question, candidates)
            if max(each.fit for each in scored) >= RELEVANT:
                least = scored[0].score - MARGIN
                near = [each for each in scored[:MOST_CHOICES] if each.score >= least]
                return tuple(each.text for each in near)
        korean = hangul_share(question) > 0
        if candidates:
            return (NO_SENTENCE_KO if korean else NO_SENTENCE_EN,)
        return (NOTHING_KO if korean else NOTHING_EN,)

    def _score(self, question: str, candidates: Sequence[_Candidate]) -> list[_Scored]:
        vectors = self._embedder.embed_passages([each.text for each in candidates])
        cosines = vectors @ self._embedder.embed_query(question)
        said = [self._terms(each.text) for each in candidates]
        rarity = _rarity(self._terms(question), said)
        telling = {term: rare**RARITY_POWER for term, rare in rarity.items()}
        scored = []
        for candidate, cosine, terms in zip(candidates, cosines, said, strict=True):
            score = float(cosine) + WORD_WEIGHT * _share(terms, telling)
            score += SPEAKER_WEIGHT * _names(question, candidate.speaker)
            score += PASSAGE_WEIGHT * candidate.prior
            score += KIND_WEIGHT * _is_of_kind_asked(question, candidate.text)
            fit = float(cosine) + FIT_WEIGHT * _share(terms, rarity)
            scored.append(_Scored(candidate.text, fit, score))
        return sorted(scored, key=lambda each: (-each.score, each.text))

    def _terms(self, text: str) -> set[str]:
        words = self._words.words(text)
        return {*words.morphemes.split(), *words.bigrams.split()} - LIGHT_WORDS


def clean(line: str) -> str:
    """A line without what only its layout needed: bullets, numbering, table tabs, emphasis."""
    text = " ".join(line.replace("\t", " · ").replace("**", "").replace("`", "").split())
    while (bare := BULLET.sub("", text)) != text:
        text = bare
    return text.strip()


def _rarity(asked: set[str], said: Sequence[set[str]]) -> dict[str, float]:
    """How much each of the question's words tells the sentences apart (inverse document frequency)."""
    spread = {term: sum(term in terms for terms in said) for term in sorted(asked)}
    return {term: math.log1p(len(said) / (1 + count)) for term, count in spread.items()}


def _share(terms: set[str], weights: Mapping[str, float]) -> float:
    """The part of the question's words that a sentence has, by weight."""
    total = sum(weights.values())
    return sum(weights[term] for term in weights if term in terms) / total if total else 0.0


def _names(question: str, speaker: str) -> bool:
    """Whether the question names the speaker; a name of one letter ("나") stands in too many words.

    Korean puts its particles right behind a name, English nothing but an s.
    """
    name = speaker.strip().casefold()
    if len(name) < FEWEST_OF_A_NAME:
        return False
    return re.search(rf"(?<!\w){re.escape(name)}(?!(?!s\b)[a-z])", question.casefold()) is not None


def _is_of_kind_asked(question: str, sentence: str) -> bool:
    return any(asks.search(question) and holds.search(sentence) for asks, holds in KINDS)


def _candidates(hits: Sequence[Hit]) -> list[_Candidate]:
    """Each sentence of the hits once, questions and headings left out, best passages first."""
    found: dict[str, _Candidate] = {}
    for rank, hit in enumerate(hits):
        prior = PRIOR_RANKS / (PRIOR_RANKS + rank)
        for turn in hit.passage.turns:
            # A long turn is spread over several passages; only this one's part of it was found.
            part = [sentence for sentence in sentences(turn.text) if sentence in hit.passage.text]
            for text in statements(part):
                if SHORTEST <= len(text) <= LONGEST:
                    person = "" if turn.role == ASSISTANT else turn.speaker
                    found.setdefault(text, _Candidate(text, person, prior))
    return list(found.values())[:MOST_CANDIDATES]


def statements(lines: Sequence[str]) -> list[str]:
    """What the lines say, each readable alone; questions and headings are left out.

    A line of code says nothing without what announces it, so it stands after that; a lone arrow between two lines
    makes one of them:

        1. 경로 변환
        python
        MODELS = "./models"                    경로 변환: MODELS = "./models" → MODELS = "/workspace/llm_models"
        →
        MODELS = "/workspace/llm_models"
    """
    said: list[str] = []
    announced = ""
    arrow = False
    for line in lines:
        text = clean(line)
        if line.strip() == ARROW:
            arrow = True
        elif line.strip() not in LAYOUT:
            is_code = CODE.match(text) is not None
            text = COMMENT.sub("", text) if is_code else text
            if arrow and said:
                said[-1] = f"{said[-1]} {ARROW} {text}"
            elif is_code and announced:
                said.append(f"{announced}: {text}")
            elif not QUESTION_END.search(text) and not UNFINISHED.search(text):
                said.append(text)
            if not is_code:
                announced = text.rstrip(":： ")
            arrow = False
    return said
