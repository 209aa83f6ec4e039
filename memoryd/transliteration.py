"""Names and loanwords by their sound, so that 런포드 finds RunPod and "Jihoon" finds 지훈.

    런포드 ──syllables──▶ ㄹㅏㄴㅍㅗㄷ ─┐
                                    ├─▶ ㄹㄴㅍㄷ, in letters that no other word of the index is written in
    RunPod ──spelling───▶ ㄹㅗㄴㅍㅗㄷ ─┘

A sound keeps the consonants, and three kinds of vowels; of a word with many consonants only the vowel it begins with.
Aspirated ones (ㅋ) are apart from plain ones (ㄱ) where a vowel follows. English spelling leaves open how it is read,
so a Latin word has up to three sounds.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from memoryd.spellings import FINALS, FIRST_SYLLABLE, VOWELS_AND_FINALS

if TYPE_CHECKING:
    from collections.abc import Iterable

# By a syllable's parts, as their numbers in it go; "" for what is not heard, or only between consonants (ㅡ).
ONSETS = (
    *("ㄱ", "ㅋ", "ㄴ", "ㄷ", "ㅌ", "ㄹ", "ㅁ", "ㅂ", "ㅍ", "ㅅ"),
    *("ㅅ", "", "ㅈ", "ㅈ", "ㅊ", "ㅋ", "ㅌ", "ㅍ", "ㅎ"),
)
VOWEL_KINDS = (
    *("ㅏ", "ㅔ", "ㅏ", "ㅔ", "ㅏ", "ㅔ", "ㅏ", "ㅔ", "ㅗ", "ㅏ", "ㅔ"),
    *("ㅔ", "ㅗ", "ㅗ", "ㅏ", "ㅔ", "ㅣ", "ㅗ", "", "ㅣ", "ㅣ"),
)
CODAS = (
    *("", "ㄱ", "ㄱ", "ㄱ", "ㄴ", "ㄴ", "ㄴ", "ㄷ", "ㄹ", "ㄱ", "ㅁ", "ㅂ", "ㄹ", "ㄹ"),
    *("ㅂ", "ㄹ", "ㅁ", "ㅂ", "ㅂ", "ㄷ", "ㄷ", "ㄴㄱ", "ㄷ", "ㄷ", "ㄱ", "ㄷ", "ㅂ", "ㄷ"),
)
# How English letters are read, the first that fits from left to right: letters, sound, and another sound they may have.
SPELLINGS = (
    ("^kn|^gn|gn$", "ㄴ"),
    ("^wr", "ㄹ"),
    ("^ps", "ㅅ"),
    ("^x", "ㅈ"),
    ("^ch(?=[rl])|ck|qu?", "ㅋ"),
    ("tch", "ㅊ"),
    ("sch", "ㅅㅋ"),
    ("sh", "ㅅ"),
    ("ch", "ㅊ", "ㅋ"),
    ("ph", "ㅍ"),
    ("th", "ㅅ", "ㅌ"),
    ("(?<=[aiou])gh(?=t|$)", ""),
    ("dge|dj", "ㅈ"),
    ("[td]z|zz|ts$", "ㅊ"),
    ("[st]sion|[st]ion", "ㅅㅏㄴ"),
    ("(?<=[aeiour])sion", "ㅈㅏㄴ"),
    ("[ct]ia", "ㅅㅏ"),
    ("ture$", "ㅊㅏ"),
    ("mb$", "ㅁ"),
    ("x", "ㄱㅅ"),
    ("cc(?=[eiy])", "ㄱㅅ"),
    ("sc(?=[eiy])|c(?=[eiy])", "ㅅ"),
    ("[ck]", "ㅋ"),
    ("ge$", "ㅈ"),
    ("g(?=[eiy])", "ㅈ", "ㄱ"),
    ("g", "ㄱ"),
    ("(?<=[aeiouy])s(?=[aeiouy])", "ㅅ", "ㅈ"),
    ("s", "ㅅ"),
    ("[jz]", "ㅈ"),
    ("d", "ㄷ"),
    ("t", "ㅌ"),
    ("[bv]", "ㅂ"),
    ("[pf]", "ㅍ"),
    ("m", "ㅁ"),
    ("n", "ㄴ"),
    ("al(?=[km])", "ㅗ"),
    ("l", "ㄹ"),
    ("w?[eiu]re?(?![aeiouy])|or$", "ㅏ"),
    ("re$", ""),
    ("rr?(?=[aeiouy])", "ㄹ"),
    ("r", ""),
    ("(?<![rgkd])h(?=[aeiouy])", "ㅎ"),
    ("you(?=ng)|yeo|eo|wo(?!o)", "ㅏ"),
    ("you|w?oo|ou|ew|eu$|yu|oa|ow|au|aw|yo", "ㅗ"),
    ("eu", ""),
    ("ay|ey|ai|ae|oe|ei|ye|we", "ㅔ"),
    ("ee|ea|ie|ui|wi", "ㅣ"),
    ("wa|ya|a", "ㅏ"),
    ("e$", ""),
    ("e", "ㅔ"),
    ("[iy]", "ㅣ"),
    ("o", "ㅗ", "ㅏ"),
    ("u", "ㅗ", "ㅏ"),
    ("[hw]", ""),
)
SPELLING = re.compile("|".join(f"({letters})" for letters, *_ in SPELLINGS))
HANGUL = re.compile("[가-힣]")
VOWEL = "ㅏㅔㅣㅗ"
# 아이 for an i, 에이 for an a, 에어 for air.
SAME_VOWELS = (("ㅏㅣ", "ㅣ"), ("ㅔㅣ", "ㅔ"), ("ㅔㅏ", "ㅔ"), ("ㅔ", "ㅏ"))
UNVOICED = str.maketrans("ㅋㅌㅍㅊ", "ㄱㄷㅂㅈ")
NOT_BEFORE_VOWEL = re.compile(rf"[ㅋㅌㅍㅊ](?![{VOWEL}])")
TWICE = re.compile(
    r"[ㄱㅋ]+(?=[ㄱㅋ])|[ㄷㅌ]+(?=[ㄷㅌ])|[ㅂㅍ]+(?=[ㅂㅍ])|[ㅈㅊ]+(?=[ㅈㅊ])|([ㄴㄹㅁㅅㅎ])(?=\1)"
)
SECOND_VOWEL = re.compile(rf"(?<=[{VOWEL}])[{VOWEL}]")
INNER_VOWEL = re.compile(rf"(?<=.)[{VOWEL}]")
FEWEST_CONSONANTS = 2
SHORTEST_SOUND = 4
# So many consonants tell words apart without their vowels.
ENOUGH_CONSONANTS = 4

# Well-known names whose spelling no rule leads to, and those that Kiwi takes for other words.
KNOWN = {
    "깃허브": "github",
    "깃헙": "github",
    "깃랩": "gitlab",
    "도커": "docker",
    "파이썬": "python",
    "자바스크립트": "javascript",
    "타입스크립트": "typescript",
    "파이토치": "pytorch",
    "엔비디아": "nvidia",
    "오픈에이아이": "openai",
    "챗지피티": "chatgpt",
    "앤트로픽": "anthropic",
    "앤스로픽": "anthropic",
    "윈도우": "windows",
    "윈도즈": "windows",
    "맥도날드": "mcdonalds",
    "왓츠앱": "whatsapp",
    "라즈베리": "raspberry",
    "아두이노": "arduino",
    "커피": "coffee",
    "디자인": "design",
    "메시지": "message",
    "캘린더": "calendar",
    "스케줄": "schedule",
    "리팩터링": "refactoring",
    "리팩토링": "refactoring",
    "데이터": "data",
    "서버": "server",
}
KNOWN_NAME = re.compile("|".join(sorted(KNOWN, key=len, reverse=True)))
# Kiwi keeps the ending that Koreans say after a name (지훈이).
CALLED = "이"
LATIN_NAME = re.compile(r"(?<![A-Za-z])[A-Za-z]{4,}(?![A-Za-z])")
# What an English sentence begins with more often than with a name.
COMMON_LATIN = frozenset(
    re.findall(
        r"\w+",
        """
    about after again also although always another because been before both cool could definitely does doing done
    during each even ever every everything exactly first from glad going good great happy have having hello here
    hope hopefully however instead into just keep last later like likely look looks love made make making many
    maybe more most much next nice once only other otherwise over perfect perhaps please really remember right same
    should since some something sometimes sorry sounds still such sure take thank thanks that their them then there
    these they think this those though through today together tomorrow under until very want wait wanted welcome
    well were what when whenever where whether which while will wish with within without would yeah yesterday your
        """,
    )
)


def sound_keys(text: str, names: Iterable[str]) -> list[str]:
    """The sounds of a text's names, each once: words of Latin letters, well-known names, and `names` of Hangul.

    Where there is no Hangul only capitalised words count as names.
    """
    keys = [hangul_key(_bare(name)) for name in names]
    keys += [latin_keys(KNOWN[known])[0] for known in KNOWN_NAME.findall(text)]
    korean = HANGUL.search(text) is not None
    for name in LATIN_NAME.findall(text):
        word = name.lower()
        if korean or (name[0].isupper() and not name.isupper() and word not in COMMON_LATIN):
            keys += latin_keys(word)
    return [key for key in dict.fromkeys(keys) if key]


def _bare(name: str) -> str:
    """A name without what it is called with: 지훈이 is 지훈."""
    called = len(name) > 2 and name.endswith(CALLED) and (ord(name[-2]) - FIRST_SYLLABLE) % FINALS
    return name[:-1] if called else name


@lru_cache(maxsize=2**13)
def hangul_key(word: str) -> str:
    """The sound of a word of Hangul syllables; empty where it is too short to tell words apart."""
    sounds = []
    for syllable in word:
        onset, rest = divmod(ord(syllable) - FIRST_SYLLABLE, VOWELS_AND_FINALS)
        vowel, coda = divmod(rest, FINALS)
        sounds.append(ONSETS[onset] + VOWEL_KINDS[vowel] + CODAS[coda])
    return _key("".join(sounds))


@lru_cache(maxsize=2**13)
def latin_keys(word: str) -> tuple[str, ...]:
    """The sounds, one to three, of a lower-cased word of Latin letters; none where it is too short."""
    read = [SPELLINGS[(found.lastindex or 1) - 1] for found in SPELLING.finditer(word)]
    usual = [sounds[1] for sounds in read]
    other_vowels = [sounds[-1] if sounds[1] in VOWEL else sounds[1] for sounds in read]
    other_consonants = [sounds[1] if sounds[1] in VOWEL else sounds[-1] for sounds in read]
    keys = (_key("".join(sounds)) for sounds in (usual, other_vowels, other_consonants))
    return tuple(dict.fromkeys(key for key in keys if key))


def _key(sound: str) -> str:
    """A sound without what two scripts are likely to write differently."""
    for vowels, vowel in SAME_VOWELS:
        sound = sound.replace(vowels, vowel)
    sound = NOT_BEFORE_VOWEL.sub(lambda found: found[0].translate(UNVOICED), sound)
    sound = TWICE.sub("", sound)
    consonants = sum(letter not in VOWEL for letter in sound)
    if consonants < FEWEST_CONSONANTS or len(sound) < SHORTEST_SOUND:
        return ""
    if consonants == FEWEST_CONSONANTS:
        return sound
    return (INNER_VOWEL if consonants >= ENOUGH_CONSONANTS else SECOND_VOWEL).sub("", sound)
