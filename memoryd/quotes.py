"""Sentences of the recalled passages that answer a question best: what the built-in model chooses from.

The built-in language model is small and does not follow instructions; its free prose is poor. A sentence that was
really said, chosen by nearness to the question, is short, clean and true.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.korean import hangul_share, sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memoryd.embedder import Embedder
    from memoryd.korean import WordSplitter
    from memoryd.recall import Hit

MOST_CANDIDATES = 60
SHORTEST = 4
LONGEST = 300
# A sentence competes with the best one while it is this near to it.
MARGIN = 0.03
MOST_CHOICES = 3
# What a shared word and the passage's own rank add to the cosine.
WORD_WEIGHT = 0.25
RANK_WEIGHT = 0.15
# Below this a sentence has nothing to do with the question.
RELEVANT = 0.35
BULLET = re.compile(r"^[\s\-–—*•·→↪>#|✔①-⑩]+|^\d+[.)]\s+|^\[[^\]]{0,3}\]\s*")
QUESTION = re.compile(r"[?？]\s*[\"'”’)]*$")
NOTHING_KO = "그것에 대한 기억이 없어요."
NOTHING_EN = "I have no memory of that."


@dataclass(frozen=True, slots=True)
class _Candidate:
    text: str
    rank: int


class Quotes:
    """Chooses sentences by meaning, shared words, and the rank of the passage that they stand in."""

    def __init__(self, *, embedder: Embedder, words: WordSplitter) -> None:
        self._embedder = embedder
        self._words = words

    def choices(self, question: str, hits: Sequence[Hit]) -> tuple[str, ...]:
        """One to three sentences, best first; one that admits to remembering nothing where none fits."""
        candidates = _candidates(hits)
        if candidates:
            scored = self._score(question, candidates)
            best = scored[0][0]
            if best >= RELEVANT:
                return tuple(text for score, text in scored[:MOST_CHOICES] if score >= best - MARGIN)
        return (NOTHING_KO if hangul_share(question) > 0 else NOTHING_EN,)

    def _score(self, question: str, candidates: Sequence[_Candidate]) -> list[tuple[float, str]]:
        cosines = self._embedder.embed_passages([each.text for each in candidates]) @ self._embedder.embed_query(question)
        asked = self._terms(question)
        scored = []
        for candidate, cosine in zip(candidates, cosines, strict=True):
            shared = len(asked & self._terms(candidate.text)) / len(asked) if asked else 0.0
            score = float(cosine) + WORD_WEIGHT * shared + RANK_WEIGHT / (1 + candidate.rank)
            scored.append((score, candidate.text))
        return sorted(scored, key=lambda pair: (-pair[0], pair[1]))

    def _terms(self, text: str) -> set[str]:
        return set(self._words.words(text).morphemes.split())


def clean(line: str) -> str:
    """A line without what only its layout needed: bullets, numbering, table tabs, emphasis."""
    text = " ".join(line.replace("\t", " · ").replace("**", "").replace("`", "").split())
    while (bare := BULLET.sub("", text)) != text:
        text = bare
    return text.strip()


def _candidates(hits: Sequence[Hit]) -> list[_Candidate]:
    """Each sentence of the hits once, questions and headings left out, best passages first."""
    found: dict[str, _Candidate] = {}
    for rank, hit in enumerate(hits):
        for turn in hit.passage.turns:
            for sentence in sentences(_part_of(hit, turn.text)):
                text = clean(sentence)
                if SHORTEST <= len(text) <= LONGEST and not QUESTION.search(text) and not text.endswith(":"):
                    found.setdefault(text, _Candidate(text, rank))
    return list(found.values())[:MOST_CANDIDATES]


def _part_of(hit: Hit, turn_text: str) -> str:
    """The lines of a turn that the passage holds: a long turn is spread over several passages."""
    return "\n".join(line for line in sentences(turn_text) if line in hit.passage.text)
