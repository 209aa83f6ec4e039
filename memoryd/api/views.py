"""The daemon's data as the shapes that go over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd_client.identity_models import IdentityView, ReplayView
from memoryd_client.models import (
    Citation,
    Erased,
    ErasedFile,
    ErasureProof,
    FileView,
    FoundFragments,
    ModelView,
    MoodView,
    PartView,
    Ready,
    SearchTimings,
    TurnRef,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memoryd.daemon import Daemon
    from memoryd.erase import Proof, Report
    from memoryd.ledger import FileRow, IdentityRow, ReplayRow
    from memoryd.mood_words import Mood
    from memoryd.recall import Hit, Timings
    from memoryd.users import User


# What is said in place of what names or counts everybody's memories.
UNTOLD = "the origin sees why"
UNTOLD_INDEX = "the vector index can't be used now; every vector is compared instead"
# Parts of the daemon that read memories.
READERS = frozenset({"ledger", "index", "watcher", "replay"})


def citations(hits: Sequence[Hit], *, explain: bool = False) -> list[Citation]:
    """Hits as citations, in their order; with the reasons for their places where asked."""
    return [
        Citation(
            passage_id=hit.passage.id,
            score=round(hit.score, 6),
            text=hit.passage.text,
            path=hit.passage.path,
            day=hit.passage.day,
            conversation_id=hit.passage.conversation_id,
            turns=[
                TurnRef(id=turn.id, index=turn.index, role=turn.role, speaker=turn.speaker, time=turn.time)
                for turn in hit.passage.turns
            ],
            why=Why.model_validate(hit.why, from_attributes=True) if explain else None,
        )
        for hit in hits
    ]


def mood_views(moods: Sequence[Mood]) -> list[MoodView]:
    """Moods, to a hundredth."""
    return [
        MoodView(
            who=each.who,
            being=each.being,
            emotion=each.emotion,
            sure=round(each.sure, 2),
            valence=round(each.valence, 2),
            arousal=round(each.arousal, 2),
            emotions={name: round(share, 2) for name, share in each.emotions.items()},
            turns=each.turns,
            last_said=each.last_said,
        )
        for each in moods
    ]


def search_timings(timings: Timings) -> SearchTimings:
    """What a search took, to a hundredth of a millisecond."""
    return SearchTimings(
        embed_ms=round(timings.embed, 2),
        vectors_ms=round(timings.vectors, 2),
        words_ms=round(timings.words, 2),
        rank_ms=round(timings.rank, 2),
        rerank_ms=round(timings.rerank, 2),
        pack_ms=round(timings.pack, 2),
        total_ms=round(timings.total, 2),
    )


def file_view(row: FileRow) -> FileView:
    """A file and what became of it."""
    return FileView(
        path=row.path,
        state=row.state.value,
        format=row.format,
        reason=row.reason,
        line=row.line,
        turns=row.turns,
        passages=row.passages,
        size=max(row.signature.size, 0),
    )


def erased_view(report: Report, user: User) -> Erased:
    """An erasure and its proof.

    What was looked for, and what was not because somebody else has said it too, is counted over everybody's memory:
    a member who writes a guess down and erases it would learn who has said the same.
    """
    if not user.is_origin:
        return Erased(
            files=[
                ErasedFile(path=file.path, action=file.action.value, note=file.note, target=file.target)
                for file in report.files
            ],
            turns=report.turns,
            passages=report.passages,
            identity_version=report.identity_version,
            seconds=report.seconds,
        )
    return Erased(
        files=[
            ErasedFile(path=file.path, action=file.action.value, note=file.note, target=file.target)
            for file in report.files
        ],
        turns=report.turns,
        passages=report.passages,
        vectors=report.vectors,
        identities=report.identities,
        identity_version=report.identity_version,
        log_lines=report.log_lines,
        copies=list(report.copies),
        generation=report.generation,
        proof=_proof(report.proof),
        seconds=report.seconds,
    )


def _proof(proof: Proof) -> ErasureProof:
    search = proof.search
    return ErasureProof(
        files=search.files,
        bytes=search.bytes,
        fragments=search.fragments,
        found=[FoundFragments(path=each.path, fragments=each.fragments) for each in search.found],
        unread=list(search.unread),
        words=proof.words,
        words_left=proof.words_left,
        shared=proof.shared,
        elsewhere=list(proof.elsewhere),
        seconds=search.seconds,
    )


def identity_view(row: IdentityRow, daemon: Daemon) -> IdentityView:
    """An identity version, and which one each model holds."""
    held = [generator.status() for generator in daemon.generators.values()]
    return IdentityView(
        version=row.version,
        digest=row.digest,
        created_at=row.created_at,
        tokens=row.tokens,
        missing=list(row.missing),
        text=row.text,
        models={status.name: status.identity for status in held},
        manifests=row.made_of.get("manifests", {}),
        memories=row.made_of.get("memories", ""),
        settings=row.made_of.get("settings", {}),
        restores=row.made_of.get("restores"),
    )


def replay_view(row: ReplayRow, user: User) -> ReplayView:
    """One replay. What an error names may be anybody's file: that is the origin's to read."""
    view = ReplayView.model_validate(row, from_attributes=True)
    return view if user.is_origin or not row.error else view.model_copy(update={"error": UNTOLD})


def degraded(reason: str | None, user: User) -> str | None:
    """Why recall goes without its index; without the counts, which are of everybody's passages."""
    return reason if user.is_origin or reason is None else UNTOLD_INDEX


def unread_files(daemon: Daemon, user: User) -> int:
    """Files that the user may see and that nobody has read yet; 1 while it is not known which there are.

    Raises:
        NotReadyError: the memory is being opened.
    """
    watcher = daemon.memory.watcher
    return seen(daemon, user, watcher.unread()) if watcher.scanned else 1


def seen(daemon: Daemon, user: User, paths: Iterable[str]) -> int:
    """How many of these files the user may see."""
    return sum(daemon.users.owner_of(path) in user.owners for path in paths)


def ready_view(daemon: Daemon, user: User | None) -> Ready:
    """Every part and model. What those parts say that read memories is the origin's: it names files and counts."""
    parts = [PartView.model_validate(part, from_attributes=True) for part in daemon.parts()]
    if user is None or not user.is_origin:
        parts = [_public(part) for part in parts]
    return Ready(
        ready=daemon.answers(),
        parts=parts,
        models=[
            ModelView.model_validate(
                {
                    "name": status.name,
                    "state": status.state.value,
                    "detail": status.detail,
                    "family": status.family,
                    "path": status.path,
                    "default": status.name == daemon.config.llm.default,
                    "progress": status.progress,
                    "identity_version": status.identity,
                }
            )
            for status in (generator.status() for generator in daemon.generators.values())
        ],
    )


def _public(part: PartView) -> PartView:
    """A part as everybody may see it. A file that can't be read is no fault that concerns anybody else."""
    if part.name not in READERS:
        return part
    if part.name == "watcher" and part.state == "degraded":
        return part.model_copy(update={"state": "ready", "detail": ""})
    return part.model_copy(update={"detail": "" if part.state == "ready" else UNTOLD})
