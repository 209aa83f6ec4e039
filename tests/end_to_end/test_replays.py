"""The same memory and manifests give the same identity; a change gives the next version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd_client.models import NewTurn

if TYPE_CHECKING:
    from tests.end_to_end.running import Running


def test_two_replays_without_a_change_give_the_same_digest_and_bytes(shared: Running) -> None:
    shared.wait_read()
    with shared.client() as client:
        first, text = client.replay(), client.identity().text
        second, again = client.replay(), client.identity().text
    assert first.digest == second.digest
    assert (second.changed, second.identity_version) == (False, first.identity_version)
    assert text == again
    assert "망원경" in text or "telescope" in text or "속초" in text


def test_a_changed_manifest_brings_a_replay_and_a_new_version_and_the_old_one_stays(shared: Running) -> None:
    manifest = shared.manifest / "fillin_manifest.txt"
    before = manifest.read_text("utf-8")
    shared.wait_read()
    with shared.client() as client:
        first = client.replay()
        old = client.identity()
        manifest.write_text(before + "\n나는 약속을 적어 둔다.\n", encoding="utf-8")
        # A version is there a moment before its replay has ended.
        shared.wait_until(
            lambda: (client.replays().replays[0].identity_version or 0) > old.version,
            "the replay of the change",
        )
        new, changed = client.identity(), client.replays().replays[0]
        kept = client.identity(old.version)
        difference = client.identity_diff()
        manifest.write_text(before, encoding="utf-8")
        shared.wait_until(lambda: client.identity().version > new.version, "the replay after the change back")
    # Which version each model holds moves on by itself, in spare steps.
    assert kept.model_copy(update={"models": old.models}) == old
    assert (changed.trigger, changed.changed) == ("manifest", True)
    assert changed.digest != first.digest
    assert new.version == old.version + 1
    assert "나는 약속을 적어 둔다." in new.text
    assert "나는 약속을 적어 둔다." not in old.text
    assert [each.come for each in difference.manifests] == [["나는 약속을 적어 둔다."]]


def test_an_earlier_version_is_told_again_until_something_new_is_said(shared: Running) -> None:
    shared.wait_read()
    with shared.client() as client:
        client.replay()
        old = client.identity()
        client.add_conversation([NewTurn(text="다락방의 오래된 라디오를 고치기로 했어.")], id="radio")
        shared.wait_read()
        client.replay()
        restored = client.restore_identity(old.version).identity
        again = client.replay()
        client.add_conversation([NewTurn(text="라디오 부품은 화요일에 온다고 했어.")], id="radio-parts")
        shared.wait_read()
        last = client.replay()
        text = client.identity().text
    assert (restored.text, restored.restores) == (old.text, old.version)
    assert (again.changed, again.identity_version) == (False, restored.version)
    assert last.identity_version == restored.version + 1
    assert "라디오 부품" in text
