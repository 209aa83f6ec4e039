"""How well emotions are read, beside always saying the commonest and beside a list of words.

`python -m bench.mood --data FILE`: JSON Lines with `text`, `lang` (ko, en, mixed) and `emotion`. Accuracy and macro-F1
in per cent, languages apart; a table, and one JSON line last. "ours" has a line's words and its vector, "ours_vectors"
the vector alone, "ours_stored" both of the line as a passage holds it, its speaker's name before it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.daemon import REPOSITORY
from bench.machine import describe_machine
from memoryd.config import Config, Paths
from memoryd.embedder import open_embedder
from memoryd.emotions import EmotionReader
from memoryd.mood_words import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memoryd.embedder import Embedder

# Words and beginnings of words that name an emotion, written before any line of a data set was read.
WORDS = {
    "joy": (
        "기뻐, 기쁘, 기쁜, 기쁨, 행복, 신나, 신난, 즐거, 즐겁, 좋아, 좋다, 좋네, 최고, 만세, 대박, "
        "다행, 성공, 합격, 축하, 뿌듯, 설레, 재밌, 재미있, 야호, 웃겨, 상쾌, 만족, happy, glad, joy, "
        "delighted, great, awesome, amazing, wonderful, yay, excited, thrilled, fun, fantastic, "
        "love it, proud, celebrat, congrat, cheerful, pleased, enjoy, best, finally, lucky, relieved, "
        "lol, haha"
    ),
    "sadness": (
        "슬퍼, 슬프, 슬픈, 슬픔, 우울, 눈물, 울었, 울고, 울컥, 외로, 외롭, 그리워, 그립, 힘들, 힘드, "
        "속상, 허전, 공허, 서럽, 서러, 아쉽, 아쉬, 실망, 쓸쓸, 괴로, 괴롭, 상실, 절망, 후회, ㅠㅠ, sad, "
        "unhappy, depress, cry, crying, cried, tears, lonely, alone, miss, heartbroken, grief, gloomy, "
        "disappoint, hopeless, sorrow, hurt, lost, regret, miserable, empty"
    ),
    "anger": (
        "화나, 화가, 화났, 짜증, 열받, 빡치, 빡쳐, 분노, 미치겠, 어이없, 억울, 불쾌, 싫어, 증오, 괘씸, "
        "열불, 역겨, 화내, 뻔뻔, 무례, angry, mad, furious, annoy, hate, rage, outrage, pissed, "
        "irritat, frustrat, ridiculous, unacceptable, rude, disgust, damn, fed up, sick of, stupid, "
        "idiot, unfair"
    ),
    "fear": (
        "무서, 무섭, 두려, 두렵, 겁나, 겁이, 걱정, 불안, 떨려, 떨린, 초조, 공포, 소름, 긴장, 위험, "
        "조마조마, afraid, scared, scary, fear, terrif, worried, worry, worries, anxious, anxiety, "
        "nervous, panic, frighten, dread, horrified, unsafe, danger"
    ),
    "surprise": (
        "놀라, 놀랐, 놀랍, 깜짝, 헐, 세상에, 설마, 진짜?, 정말?, 뭐라고, 믿기지, 충격, 어머, 갑자기, "
        "예상 못, 뜻밖, 엥, surpris, shock, wow, whoa, omg, unexpected, unbelievable, suddenly, no way, "
        "can't believe, astonish, stunned, really?, seriously?, out of nowhere"
    ),
    "affection": (
        "사랑, 보고 싶, 보고싶, 고마워, 고맙, 감사, 소중, 아껴, 안아, 귀여, 귀엽, 다정, 따뜻, 내 편, "
        "곁에, 예뻐, 정들, 애정, 든든, love you, dear, darling, sweetheart, thank, grateful, hug, kiss, "
        "cherish, adore, fond, cute, care about, miss you, precious, means a lot, by your side, xoxo"
    ),
}
LANGUAGES = ("ko", "en", "mixed")
SPEAKER = "user"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.mood", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, required=True, help="the labelled lines")
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models", help="where the models are")
    options = parser.parse_args(arguments)
    rows = [
        json.loads(line) for line in options.data.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    wanted = [row["emotion"] for row in rows]
    languages = [row["lang"] for row in rows]
    commonest = Counter(wanted).most_common(1)[0][0]
    texts = [row["text"] for row in rows]
    answers = {
        "majority": [commonest] * len(rows),
        "word_list": [by_words(text) for text in texts],
        **read(texts, open_embedder(Config(paths=Paths(models=options.models))), options.models),
    }
    figures = {name: scores(wanted, given, languages) for name, given in answers.items()}
    sys.stderr.write(table(figures))
    print(json.dumps({"lines": len(rows), **figures, "machine": describe_machine()}, ensure_ascii=False))
    return 0


def read(texts: Sequence[str], embedder: Embedder, kept_in: Path) -> dict[str, list[str]]:
    """What is read in each text: with its words, by the vector alone, and as a passage holds it."""
    begun = time.perf_counter()
    reader = EmotionReader(embedder, kept_in=kept_in)
    sys.stderr.write(f"learned or loaded in {time.perf_counter() - begun:.1f} s\n")
    vectors = embedder.embed_passages(texts)
    stored = embedder.embed_passages([f"{SPEAKER}: {text}" for text in texts])
    likely = {
        "ours": reader.read(vectors, texts),
        "ours_vectors": reader.read(vectors),
        "ours_stored": reader.read(stored, texts),
    }
    return {name: [EMOTIONS[each] for each in shares.argmax(axis=1)] for name, shares in likely.items()}


def by_words(text: str) -> str:
    """The emotion with the most of its words in a text; neutral where it has none.

    A Korean word may stand within another, an English one only begin it.
    """
    lowered = text.lower()
    counts = {
        emotion: sum(
            re.search(rf"(?<![a-z]){re.escape(word)}", lowered) is not None for word in words.split(", ")
        )
        for emotion, words in WORDS.items()
    }
    best = max(counts, key=lambda emotion: counts[emotion])
    return best if counts[best] else "neutral"


def scores(
    wanted: Sequence[str], given: Sequence[str], languages: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Accuracy and macro-F1 in per cent, of all lines and of each language's."""
    groups = {"all": [True] * len(wanted)}
    groups |= {name: [each == name for each in languages] for name in LANGUAGES if name in languages}
    found = {}
    for name, chosen in groups.items():
        pairs = [(w, g) for w, g, here in zip(wanted, given, chosen, strict=True) if here]
        right = sum(w == g for w, g in pairs)
        found[name] = {"accuracy": round(100 * right / len(pairs), 1), "macro_f1": round(macro_f1(pairs), 1)}
    return found


def macro_f1(pairs: Sequence[tuple[str, str]]) -> float:
    """The mean of the F1 of every emotion that is wanted, in per cent; pairs are (wanted, given)."""
    each = []
    for emotion in sorted({wanted for wanted, _ in pairs}):
        hits = sum(w == g == emotion for w, g in pairs)
        named = sum((w == emotion) + (g == emotion) for w, g in pairs)
        each.append(2 * hits / named)
    return float(100 * np.mean(each))


def table(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Markdown: accuracy / macro-F1 of each way, a column for all lines and for each language's."""
    columns = list(next(iter(figures.values())))
    lines = [f"| accuracy / macro-F1 | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name, row in figures.items():
        cells = [f"{each['accuracy']:.1f} / {each['macro_f1']:.1f}" for each in row.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
