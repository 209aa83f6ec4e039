from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Role, Turn, UnreadableError, load
from loaders.base import Source
from loaders.chatgpt import ChatGPTLoader

MESSAGE_KEYS = ["a", "b", "message", "parent", "content", "parts", "author", "role", "create_time", "id"]
DETAIL_KEYS = ["metadata", "attachments", "content_type", "content_references", "recipient", "name"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "b", "user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*MESSAGE_KEYS, *DETAIL_KEYS]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def _node(parent: str | None, text: str, role: str = "user", **message: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]}
    return {"parent": parent, "message": {"author": {"role": role}, "content": content, **message}}


def _turns(entry: dict[str, Any]) -> tuple[Turn, ...]:
    (conversation,) = load("conversations.json", json.dumps([entry]).encode()).conversations
    return conversation.turns


def _texts(entry: dict[str, Any]) -> list[str]:
    return [turn.text for turn in _turns(entry)]


def _content(content: dict[str, Any], **message: Any) -> dict[str, Any]:
    return {
        "mapping": {"a": _node(None, "앞"), "n": _node("a", "", content=content, **message)},
        "current_node": "n",
    }


def test_the_branch_that_is_shown_is_read_from_the_root() -> None:
    entry = {
        "conversation_id": "c1",
        "title": "첫 만남",
        "current_node": "다시 한 답",
        "mapping": {
            "뿌리": {"parent": None, "message": None},
            "물음": _node("뿌리", "기억나?", id="m1", create_time=1_700_000_000),
            "첫 답": _node("물음", "아니.", "assistant"),
            "다시 한 답": _node("물음", "그럼.", "assistant", id="m2", create_time=1_700_000_001.5),
        },
    }
    loaded = load("conversations.json", json.dumps(entry).encode())
    assert loaded.format == "chatgpt"
    (conversation,) = loaded.conversations
    assert (conversation.id, conversation.title) == ("c1", "첫 만남")
    first = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert conversation.turns == (
        Turn(id="m1", index=0, role=Role.USER, speaker="user", text="기억나?", time=first),
        Turn(
            id="m2",
            index=1,
            role=Role.ASSISTANT,
            speaker="assistant",
            text="그럼.",
            time=first.replace(second=21, microsecond=500_000),
        ),
    )


def test_without_a_current_node_the_latest_leaf_is_shown() -> None:
    mapping = {
        "a": _node(None, "물음", create_time=1),
        "b": _node("a", "새 답", "assistant", create_time=9),
        "c": _node("a", "헌 답", "assistant", create_time=2),
    }
    assert _texts({"mapping": mapping}) == ["물음", "새 답"]
    assert _texts({"mapping": mapping, "current_node": "없는 마디"}) == ["물음", "새 답"]


def test_parents_in_a_circle_end_where_it_closes() -> None:
    mapping = {"a": _node("b", "하나"), "b": _node("a", "둘")}
    assert _texts({"mapping": mapping, "current_node": "b"}) == ["하나", "둘"]
    assert sorted(_texts({"mapping": mapping})) == ["둘", "하나"]


def test_hidden_and_empty_messages_are_left_out() -> None:
    mapping = {
        "a": _node(None, "", "system"),
        "b": _node("a", "숨은 지시", "system", metadata={"is_visually_hidden_from_conversation": True}),
        "c": _node("b", "", content={"content_type": "thoughts", "text": "생각"}),
        "d": _node("c", "안녕"),
    }
    assert _texts({"mapping": mapping, "current_node": "d"}) == ["안녕"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"content_type": "text", "parts": ["하나", "", "둘"]}, "하나\n둘"),
        ({"content_type": "code", "language": "python", "text": "print(1)"}, "print(1)"),
        ({"content_type": "execution_output", "text": "1\n"}, "1\n"),
        ({"content_type": "tether_browsing_display", "result": "웹 글"}, "웹 글"),
        (
            {"content_type": "tether_quote", "title": "날씨", "url": "https://example.com", "text": "맑음"},
            "날씨 — https://example.com\n맑음",
        ),
        ({"content_type": "system_error", "name": "E", "text": "고장"}, "고장"),
        ({"content_type": "computer_output", "screenshot": {}}, "[computer output]"),
        ({"parts": [{"content_type": "real_time_user_audio_video_asset_pointer"}]}, "[audio]"),
        (
            {"parts": [{"content_type": "image_asset_pointer", "asset_pointer": "file://x"}, "이 사진 봐"]},
            "[image]\n이 사진 봐",
        ),
        ({"parts": [{"content_type": "audio_transcription", "text": "들리니"}]}, "들리니"),
        ({"parts": [{"content_type": "audio_asset_pointer"}, {"width": 3}]}, "[audio]\n[attachment]"),
    ],
)
def test_contents_of_every_kind_become_words(content: dict[str, Any], text: str) -> None:
    assert _texts(_content(content))[1] == text


def test_a_tool_speaks_by_its_name() -> None:
    content = {"content_type": "execution_output", "text": "42"}
    turn = _turns(_content(content, author={"role": "tool", "name": "python"}))[1]
    assert (turn.role, turn.speaker) == (Role.TOOL, "python")


@pytest.mark.parametrize("moment", [None, float("nan"), 1e300, "어제", True])
def test_a_message_without_a_usable_time_takes_its_conversations(moment: object) -> None:
    entry = {"create_time": 1_700_000_000, "mapping": {"a": _node(None, "안녕", create_time=moment)}}
    assert _turns(entry)[0].time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_conversations_without_ids_are_named_after_the_file() -> None:
    entries = [{"mapping": {"a": _node(None, text)}} for text in ("하나", "둘")]
    loaded = load("day0315/chats.json", json.dumps(entries).encode())
    assert [one.id for one in loaded.conversations] == ["day0315/chats.json-1", "day0315/chats.json-2"]
    assert loaded.conversations[1].turns[0].id == "day0315/chats.json-2:1"


def _remarks(entry: dict[str, Any]) -> tuple[str, ...]:
    (conversation,) = load("conversations.json", json.dumps([entry]).encode()).conversations
    return conversation.remarks


def test_what_is_left_out_is_counted() -> None:
    settings = {"content_type": "user_editable_context", "user_profile": "나는 지훈"}
    mapping = {
        "a": _node(None, "", "system", metadata={"is_visually_hidden_from_conversation": True}),
        "b": _node("a", "숨은 지시", "system", metadata={"is_visually_hidden_from_conversation": True}),
        "c": _node("b", "", content=settings, metadata={"is_visually_hidden_from_conversation": True}),
        "d": _node("c", "안녕"),
        "e": _node(
            "d", "", "assistant", content={"content_type": "thoughts", "thoughts": [{"content": "음"}]}
        ),
        "f": _node("e", "", "assistant", content={"content_type": "reasoning_recap", "content": "3초"}),
        "g": _node("f", "반가워", "assistant"),
        "헌 답": _node("d", "누구?", "assistant"),
        "헌 생각": _node("d", "", "assistant", content={"content_type": "thoughts"}),
        "빈 것": _node("d", "", "assistant"),
    }
    assert _texts({"mapping": mapping, "current_node": "g"}) == ["안녕", "반가워"]
    assert _remarks({"mapping": mapping, "current_node": "g"}) == (
        "1 message on a branch that is not shown was left out",
        "1 message that ChatGPT hides was left out",
        "2 messages of the model's thoughts were left out",
        "1 message of custom instructions or saved memories was left out",
    )


def test_nothing_left_out_is_no_remark() -> None:
    assert _remarks({"mapping": {"a": _node(None, "안녕")}}) == ()


def test_two_messages_of_another_branch_are_two() -> None:
    mapping = {
        "a": _node(None, "물음"),
        "b": _node("a", "답", "assistant"),
        "c": _node("a", "헌 답", "assistant"),
        "d": _node("c", "헌 물음"),
    }
    assert _remarks({"mapping": mapping, "current_node": "b"}) == (
        "2 messages on branches that are not shown were left out",
    )


def test_attachments_are_named_where_they_stand_or_beneath() -> None:
    content = {
        "content_type": "multimodal_text",
        "parts": [{"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_1"}, "봐"],
    }
    attachments = [
        {"id": "file_1", "name": "고양이.png"},
        {"id": "file_2", "name": "계획.pdf"},
        {"name": ""},
        3,
    ]
    assert _texts(_content(content, metadata={"attachments": attachments}))[1] == (
        "[image: 고양이.png]\n봐\n[file: 계획.pdf]"
    )


def test_a_drawn_picture_has_its_prompt_for_a_caption() -> None:
    part = {"content_type": "image_asset_pointer", "metadata": {"dalle": {"prompt": "눈 오는 역"}}}
    assert _texts(_content({"parts": [part]}))[1] == "[image: 눈 오는 역]"


def test_pictures_that_code_drew_are_noted() -> None:
    metadata = {"aggregate_result": {"messages": [{"message_type": "image"}, {"message_type": "stream"}]}}
    content = {"content_type": "execution_output", "text": "끝"}
    assert _texts(_content(content, metadata=metadata))[1] == "끝\n[image]"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ({"name": "일기", "type": "document", "content": "첫날\n둘째 날"}, "[canvas: 일기]\n첫날\n둘째 날"),
        ({"updates": [{"pattern": ".*", "replacement": "새 글"}]}, "[canvas changed]\n새 글"),
        ({"updates": [{"pattern": "헌", "replacement": "새"}]}, "[canvas changed]\n헌 →\n새"),
    ],
)
def test_a_canvas_is_read_as_its_words(call: dict[str, Any], text: str) -> None:
    content = {"content_type": "code", "text": json.dumps(call)}
    assert _texts(_content(content, recipient="canmore.create_textdoc"))[1] == text
    assert _texts(_content({"content_type": "code", "text": "{"}, recipient="canmore.x"))[1] == "{"


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        ("맑다. \ue200cite\ue202turn0search1\ue202turn0search2\ue201 춥다.", "맑다. 춥다."),
        ('\ue200entity\ue202["city","Paris","in France"]\ue201에서', "Paris에서"),
        ("\ue200entity\ue202[torn\ue201", "[torn"),
        ("\ue200url\ue202기상청\ue202turn0search1\ue201", "기상청"),
        ("보라 \ue200filecite\ue202turn0file0\ue202L1-L3\ue201.", "보라."),
        ("끊김 \ue200cite\ue202turn0search0", "끊김 "),
        ("\ue202홀로\ue201", "\ue202홀로\ue201"),
        ("\ue200모름\ue202x\ue201남", "남"),
    ],
)
def test_marks_do_not_garble_an_answer(marked: str, text: str) -> None:
    content = {"content_type": "text", "parts": [marked]}
    assert _texts(_content(content, author={"role": "assistant"}))[1] == text
    assert _texts(_content(content))[1] == marked  # what a person pasted is theirs


def test_a_citation_is_shown_as_the_page_shows_it() -> None:
    mark = "\ue200cite\ue202turn0search1\ue201"
    reference = {"matched_text": mark, "alt": " ([기상청](https://example.com))"}
    content = {"content_type": "text", "parts": [f"맑다 {mark}"]}
    metadata = {"content_references": [reference, {"matched_text": 3}, 4]}
    assert _texts(_content(content, author={"role": "assistant"}, metadata=metadata))[1] == (
        "맑다 ([기상청](https://example.com))"
    )


def test_another_formats_messages_are_not_sniffed() -> None:
    value = [{"chat_messages": [{"content": [{"type": "tool_use", "input": {"mapping": {}}}]}]}]
    data = json.dumps(value)
    assert not ChatGPTLoader().sniff(Source(name="conversations.json", data=data.encode(), text=data))


def test_an_entry_that_is_no_conversation_is_named() -> None:
    data = json.dumps([{"mapping": {"a": _node(None, "안녕")}}, {"title": "빈 것"}]).encode()
    with pytest.raises(UnreadableError, match="entry 2 of 2"):
        load("conversations.json", data)


def test_an_export_cut_in_the_middle_is_damaged() -> None:
    data = json.dumps([{"mapping": {"a": _node(None, "안녕")}}]).encode()[:-10]
    with pytest.raises(UnreadableError, match="not valid JSON"):
        load("conversations.json", data)


def test_a_long_conversation_is_no_deep_recursion() -> None:
    mapping = {str(n): _node(str(n - 1) if n else None, f"말 {n}") for n in range(5_000)}
    assert len(_turns({"mapping": mapping, "current_node": "4999"})) == 5_000


@given(mapping=st.dictionaries(st.sampled_from(["a", "b"]), JSON), current=JSON)
def test_any_tree_is_read_or_refused(mapping: dict[str, Any], current: object) -> None:
    data = json.dumps(
        [{"mapping": mapping, "current_node": current, "id": current, "title": current}]
    ).encode()
    try:
        loaded = load("conversations.json", data)
    except UnreadableError:
        return
    assert loaded.format == "chatgpt"
