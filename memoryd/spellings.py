"""One spelling for what Koreans write in several: 리펙토링 and 리팩토링, 돼요 and 되요, 쥬스 and 주스, 까페 and 카페.

The folded form is for comparing alone, nobody reads it: sounds that are no longer told apart when spoken become one.
Among two syllables or more this joins hardly any different words; single ones it would join (내 and 네, 개 and 게).
"""

from __future__ import annotations

import re

FIRST_SYLLABLE = 0xAC00
LAST_SYLLABLE = 0xD7A3
# A syllable's number is (consonant * 21 + vowel) * 28 + final consonant.
VOWELS_AND_FINALS = 588
FINALS = 28
CONSONANTS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINAL_CONSONANTS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"

SAME_VOWEL = str.maketrans("ㅐㅒㅖㅙㅞ", "ㅔㅔㅔㅚㅚ")
# After these the y of a vowel is not heard (쥬스, 챠트, 쇼파).
Y_UNHEARD = "ㅅㅆㅈㅉㅊ"
WITHOUT_Y = str.maketrans("ㅑㅕㅛㅠ", "ㅏㅓㅗㅜ")
# Loanwords are said with the doubled consonant and written with another (까페, 빠리, 싸이트).
SAME_CONSONANT = str.maketrans("ㄲㄸㅃㅆ", "ㅋㅌㅍㅅ")
# 됬다 and 됐다, 햇다 and 했다; 안 돼 written 않돼.
SAME_FINAL = str.maketrans("ㅆㄶ", "ㅅㄴ")


def _folded(syllable: int) -> int:
    consonant, rest = divmod(syllable - FIRST_SYLLABLE, VOWELS_AND_FINALS)
    vowel, final = divmod(rest, FINALS)
    sound = VOWELS[vowel].translate(SAME_VOWEL)
    if CONSONANTS[consonant] in Y_UNHEARD:
        sound = sound.translate(WITHOUT_Y)
    parts = (
        CONSONANTS.index(CONSONANTS[consonant].translate(SAME_CONSONANT)),
        VOWELS.index(sound),
        FINAL_CONSONANTS.index(FINAL_CONSONANTS[final].translate(SAME_FINAL)),
    )
    return FIRST_SYLLABLE + parts[0] * VOWELS_AND_FINALS + parts[1] * FINALS + parts[2]


class _Folding(dict[int, int]):
    """Letter → its folded form, worked out where it is first met: all 11,172 syllables would delay every start."""

    def __missing__(self, letter: int) -> int:
        self[letter] = _folded(letter) if FIRST_SYLLABLE <= letter <= LAST_SYLLABLE else letter
        return self[letter]


FOLDED = _Folding()
# A morpheme of fewer syllables folded would be another one's (재작, 제작).
FEWEST_FOLDED = 3
# Loanwords that are written with another vowel or another end, which no rule tells from Korean words.
_LOANWORDS = """
    데이타 데이터    메세지 메시지    컨텐츠 콘텐츠    컨텐트 콘텐트    컨셉 콘셉    컨퍼런스 콘퍼런스    콘트롤 컨트롤
    디렉토리 디렉터리    리더쉽 리더십    멤버쉽 멤버십    워크샵 워크숍    커피샵 커피숍    라이센스 라이선스
    액세사리 액세서리    악세사리 액세서리    초콜렛 초콜릿    비스켓 비스킷    소세지 소시지    디지탈 디지털
    센타 센터    모니타 모니터    카타로그 카탈로그    카다로그 카탈로그    프로포즈 프러포즈    렌트카 렌터카
    카톨릭 가톨릭    콜렉션 컬렉션    타겟 타깃    케잌 케이크    케익 케이크    화이팅 파이팅    후라이 프라이
    훼밀리 패밀리    휘트니스 피트니스    부페 뷔페    수퍼 슈퍼    플랫홈 플랫폼    어플리케이션 애플리케이션
    심볼 심벌    알콜 알코올    도너츠 도넛    로케트 로켓    바베큐 바비큐    앙케이트 앙케트    스폰지 스펀지
    밧데리 배터리    타올 타월    브릿지 브리지    자켓 재킷    런닝 러닝    리팩터 리팩토    텔레비젼 텔레비전
"""
_PAIRS = _LOANWORDS.translate(FOLDED).split()
LOANWORDS = {
    written: form for written, form in zip(_PAIRS[::2], _PAIRS[1::2], strict=True) if written != form
}
LOANWORD = re.compile("|".join(sorted(LOANWORDS, key=len, reverse=True)))


def indexed(word: str) -> str:
    """A word as the lexical index has it."""
    return fold(word) if len(word) >= FEWEST_FOLDED else word


def fold(text: str) -> str:
    """A text in the one spelling; other characters than Hangul syllables stay as they are."""
    return LOANWORD.sub(lambda found: LOANWORDS[found[0]], text.translate(FOLDED))
