"""Reads which emotion words speak of, from the vectors that recall made of them already.

lines of emotion_lines.tsv ──embedder──▶ vectors ─┐
                    └── pieces of 1–3 letters ────┴─▶ one ridge regression on both kernels ─▶ seven probabilities

It is kernel ridge regression (Saunders, Gammerman & Vovk 1998) on some 1,600 lines written for this, Korean, English
and mixed: a Gaussian kernel on the embedder's unit vectors, and, where the words themselves are at hand, a linear one
on their letter n-grams (Cavnar & Trenkle 1994), which sees ㅠㅠ, "?!" and -잖아 that a vector of meaning blurs. Scores
become probabilities by one temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks"), chosen on what
each line gets from all the others. Valence and arousal are where Russell 1980, "A Circumplex Model of Affect", puts the
words for the seven. It says what words look like, and how sure that is; it knows nothing of what anybody feels.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from memoryd.errors import EmbedderError
from memoryd.mood_words import EMOTIONS

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from memoryd.embedder import Embedder

# Russell's angles in degrees for delighted, sad, angry, afraid, astonished; affection is not among his 28 words and
# stands at pleased. Neutral is the middle.
ANGLES = (24.9, 207.5, 99.0, 116.0, 69.8, 353.2)
LINES = Path(__file__).with_name("emotion_lines.tsv")
# How fast likeness falls with distance, what letters weigh beside meaning, and how far single lines are believed:
# docs/mood.md has the figures that chose them.
NEARNESS = 1.0
LETTERS = 0.5
RIDGE = 0.1
LONGEST_PIECE = 3
LONGEST_TEXT = 2000  # of a text, what its letters are looked at
LEAST_LINES = 2  # that a piece must be in to count
TEMPERATURES = np.arange(2.0, 20.0, 0.5)
_REPEATED = re.compile(r"(.)\1{2,}")


@dataclass(frozen=True, slots=True)
class _Fit:
    """What a fit keeps: n lines, d dimensions, p pieces of one to three letters, c emotions; numbers are float32.

    Attributes:
        lines: their unit vectors, (n, d).
        meaning: weights of the lines where there are vectors alone, (n, c).
        both: the same where there are words too, (n, c).
        pieces: those of the lines, (p,) of str.
        rarity: what each counts, (p,).
        letters: their weights, (p, c).
        temperatures: of the scores without words and with them, (2,).
    """

    lines: NDArray[np.float32]
    meaning: NDArray[np.float32]
    both: NDArray[np.float32]
    pieces: NDArray[np.str_]
    rarity: NDArray[np.float32]
    letters: NDArray[np.float32]
    temperatures: NDArray[np.float32]


class EmotionReader:
    """Emotions by vectors of one embedder, memories' vectors, as `embed_passages` makes them.

    Making one embeds the lines the first time, seconds to half a minute of processor time.

    Args:
        kept_in: where the fit is kept for the next start, if anywhere.
        stopping: ends the learning soon, once it is set.

    Raises:
        EmbedderError: it was ended.
    """

    def __init__(
        self, embedder: Embedder, *, kept_in: Path | None = None, stopping: threading.Event | None = None
    ) -> None:
        content = LINES.read_bytes()
        file = kept_in and kept_in / f"emotions-{reader_id(embedder.id)}.npz"
        fit = _kept(file)
        if fit is None:
            emotions, texts = zip(*authored_lines(content.decode()), strict=True)
            fit = _fitted(_embedded(texts, embedder, stopping), texts, emotions)
            _keep(fit, file)
        self._fit = fit
        self._places = {str(piece): place for place, piece in enumerate(self._fit.pieces)}

    def read(self, vectors: NDArray[np.float32], texts: Sequence[str] | None = None) -> NDArray[np.float32]:
        """How likely each emotion is, (n, 7) float32 in the order of `EMOTIONS`, each row with the sum 1.

        Args:
            vectors: unit vectors, (n, d) float32.
            texts: the words of each, where they are at hand: it is surer with them.
        """
        fit = self._fit
        if not len(vectors):
            return np.zeros((0, len(EMOTIONS)), np.float32)
        near = _nearness(vectors, fit.lines)
        if texts is None:
            return _probabilities(near @ fit.meaning, fit.temperatures[0])
        scores = near @ fit.both + LETTERS * (_letters(texts, self._places, fit.rarity) @ fit.letters)
        return _probabilities(scores, fit.temperatures[1])


def reader_id(embedder: str) -> str:
    """Names what reads, known before it has learned: the embedder, the lines and the settings."""
    settings = f"{embedder} {NEARNESS} {LETTERS} {RIDGE} {LONGEST_PIECE} {LEAST_LINES}"
    return hashlib.sha256(settings.encode() + LINES.read_bytes()).hexdigest()[:16]


def circumplex(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Valence and arousal, each -1 to 1: (n, 7) probabilities to (n, 2)."""
    angles = np.radians(ANGLES)
    places = np.zeros((len(EMOTIONS), 2), np.float32)
    places[: len(ANGLES)] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    placed: NDArray[np.float32] = probabilities @ places
    return placed


def authored_lines(content: str) -> list[tuple[int, str]]:
    """(emotion, line) of each line of `emotion_lines.tsv`."""
    rows = [line.split("\t", 1) for line in content.splitlines() if line and not line.startswith("#")]
    return [(EMOTIONS.index(emotion), line) for emotion, line in rows]


def _kept(file: Path | None) -> _Fit | None:
    if file:
        with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile), np.load(file) as kept:
            return _Fit(*(kept[name] for name in _Fit.__slots__))
    return None


def _keep(fit: _Fit, file: Path | None) -> None:
    if file:
        partial = file.with_name(f".{os.getpid()}-{file.name}")
        with suppress(OSError):  # a folder that can't be written costs the lines' embedding at each start
            np.savez(partial, **{name: getattr(fit, name) for name in _Fit.__slots__})
            partial.replace(file)


def _embedded(
    texts: Sequence[str], embedder: Embedder, stopping: threading.Event | None
) -> NDArray[np.float32]:
    vectors = np.zeros((len(texts), embedder.dimension), np.float32)
    with closing(embedder.embed_batches(texts)) as batches:
        for places, made in batches:
            vectors[places] = made
            if stopping and stopping.is_set():
                raise EmbedderError("Learning to read emotions was ended. The next start begins again.")
    return vectors


def _fitted(lines: NDArray[np.float32], texts: Sequence[str], emotions: Sequence[int]) -> _Fit:
    lines_with = Counter(piece for text in texts for piece in _pieces(text))
    pieces = sorted(piece for piece, count in lines_with.items() if count >= LEAST_LINES)
    rarity = np.array([np.log(len(texts) / lines_with[piece]) for piece in pieces], np.float32)
    letters = _letters(texts, {piece: place for place, piece in enumerate(pieces)}, rarity)
    wanted = np.eye(len(EMOTIONS), dtype=np.float32)[list(emotions)]
    near = _nearness(lines, lines)
    meaning, alone = _ridge(near, wanted)
    both, with_words = _ridge(near + LETTERS * (letters @ letters.T), wanted)
    return _Fit(
        lines=lines,
        meaning=meaning,
        both=both,
        pieces=np.array(pieces),
        rarity=rarity,
        letters=letters.T @ both,
        temperatures=np.array([_temperature(each, wanted) for each in (alone, with_words)], np.float32),
    )


def _ridge(
    kernel: NDArray[np.float32], wanted: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The lines' weights, and the score that each line gets from a fit without it, both (n, c)."""
    inverse = np.linalg.inv(kernel.astype(np.float64) + RIDGE * np.eye(len(kernel)))
    centred = wanted - 1 / wanted.shape[1]
    weights = inverse @ centred
    left_out = centred - weights / np.diag(inverse)[:, None]
    return weights.astype(np.float32), left_out.astype(np.float32)


def _temperature(scores: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """The factor under which what was said of lines that were left out was likeliest."""
    likelihoods = [
        np.log((_probabilities(scores, each) * wanted).sum(axis=1)).mean() for each in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmax(likelihoods))])


def _probabilities(scores: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    powers = np.exp(factor * (scores - scores.max(axis=1, keepdims=True)))
    shares: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _nearness(vectors: NDArray[np.float32], lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 for the same unit vector, falling with the square of the distance, (n, lines)."""
    near: NDArray[np.float32] = np.exp(-2 * NEARNESS * (1 - vectors @ lines.T))
    return near


def _letters(
    texts: Sequence[str], places: Mapping[str, int], rarity: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Which of p pieces are in each text, as unit vectors, (n, p)."""
    found = np.zeros((len(texts), len(rarity)), np.float32)
    for row, text in enumerate(texts):
        known = [places[piece] for piece in _pieces(text) if piece in places]
        found[row, known] = rarity[known]
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    unit: NDArray[np.float32] = found / np.maximum(lengths, np.float32(1e-6))
    return unit


def _pieces(text: str) -> set[str]:
    """The pieces of one to three letters of a text; however long ㅋㅋㅋㅋ is, it is one thing."""
    words = " " + _REPEATED.sub(r"\1\1", " ".join(text[:LONGEST_TEXT].lower().split())) + " "
    return {
        words[at : at + long] for long in range(1, LONGEST_PIECE + 1) for at in range(len(words) - long + 1)
    }
