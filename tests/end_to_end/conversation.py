"""The conversation that the daemon is asked about: two people and Echo, in Korean and English."""

from __future__ import annotations

DROPPED = "day0421/weekend.jsonl"


def _turn(turn: str, minute: int, role: str, speaker: str, text: str) -> dict[str, str]:
    time = f"2026-04-21T19:{minute:02d}:00+09:00"
    conversation = "weekend-ko" if turn.startswith("k") else "weekend-en"
    return {
        "id": turn,
        "conversation": conversation,
        "time": time,
        "role": role,
        "speaker": speaker,
        "text": text,
    }


TURNS = (
    _turn(
        "k1",
        0,
        "user",
        "하람",
        "이번 주말에 속초로 가기로 했어. 숙소는 바다가 보이는 파도소리 게스트하우스야.",
    ),
    _turn("k2", 1, "assistant", "에코", "좋겠네요. 무엇을 타고 가세요?"),
    _turn("k3", 2, "user", "하람", "버스는 동서울 터미널에서 토요일 아침 7시 40분에 출발해."),
    _turn("k4", 3, "assistant", "에코", "일찍 나서야겠어요."),
    _turn("k5", 4, "user", "하람", "고양이 밥은 옆집 윤서한테 부탁했어. 현관 비밀번호는 문자로 보내 뒀고."),
    _turn("k6", 5, "assistant", "에코", "윤서 씨가 챙겨 주면 마음이 놓이겠네요."),
    _turn("k7", 6, "user", "하람", "할머니 생신 선물로 자주색 털실을 여덟 타래 샀어."),
    _turn("k8", 7, "assistant", "에코", "할머니께서 뜨개질을 좋아하시는군요."),
    _turn("e1", 20, "user", "Tobias", "I left the telescope at the observatory, in locker 52."),
    _turn("e2", 21, "assistant", "Echo", "Locker 52 at the observatory, noted."),
    _turn(
        "e3",
        22,
        "user",
        "Tobias",
        "My sister's wedding moved to the ninth of October because the barn was flooded.",
    ),
    _turn("e4", 23, "assistant", "Echo", "That gives everyone a little more time."),
    _turn("e5", 24, "user", "Tobias", "The bread needs 240 degrees for the first fifteen minutes, then 200."),
    _turn("e6", 25, "assistant", "Echo", "Hot at first, then gentler."),
)

# A question, and the turn that answers it.
QUESTIONS = (
    ("속초행 버스는 몇 시에 출발해?", "k3"),
    ("고양이 밥은 누가 챙겨 주기로 했지?", "k5"),
    ("할머니 선물로 뭘 샀더라?", "k7"),
    ("Where did Tobias leave the telescope?", "e1"),
    ("When is the wedding now, and why did it move?", "e3"),
)
# The same, for tests that ask: an exchange is a memory too, and must not come between the searches above.
ASKED_KO = ("바다가 보이는 숙소 이름이 뭐였지?", "k1", "파도소리 게스트하우스")
ASKED_EN = ("How hot must the oven be for the bread?", "e5", "240 degrees")
