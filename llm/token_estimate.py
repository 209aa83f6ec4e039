"""How many tokens a text has, roughly, for a model whose tokenizer is elsewhere."""

from __future__ import annotations

import re

# Counted with Llama 3's, Qwen 2.5's and Gemma 3's tokenizers in mind, and rather high: a prompt that is counted too
# long leaves a memory out, one that is counted too short is refused.
PER_LETTER = 0.3
PER_HANGUL = 0.9
PER_IDEOGRAPH = 1.2
PER_OTHER = 1.0

LATIN = re.compile(r"[^\W\d_]|\s", re.ASCII)
HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


def estimate_tokens(text: str) -> int:
    """An estimate that is rather too high; at least 1 for a text that is not empty.

    Latin letters and white space count least, a Hangul syllable about one, digits, signs and other scripts one each.
    """
    latin, hangul, ideographs = (len(kind.findall(text)) for kind in (LATIN, HANGUL, IDEOGRAPH))
    other = len(text) - latin - hangul - ideographs
    cost = latin * PER_LETTER + hangul * PER_HANGUL + ideographs * PER_IDEOGRAPH + other * PER_OTHER
    return max(round(cost), 1) if text else 0
