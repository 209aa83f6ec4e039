"""Conversations and files: writing turns into the memory, reading them back, and what became of each file."""

from __future__ import annotations

from fastapi import APIRouter, status
from starlette.convertors import PathConvertor, register_url_convertor

from memoryd.api.dependencies import DaemonOf, UserOf  # noqa: TC001  (FastAPI reads annotations at run time)
from memoryd.api.views import erased_view, file_view
from memoryd.errors import NotFoundError
from memoryd.journal import Utterance, new_conversation_id
from memoryd.ledger import FileState  # noqa: TC001
from memoryd_client.models import (
    ConversationView,
    Erased,
    FileList,
    NewConversation,
    SavedConversation,
    TurnView,
)

router = APIRouter()


class _Id(PathConvertor):
    """A conversation's id at the end of a path: its default is its file's path, whose name may hold a line feed."""

    regex = "(?s:.*)"


register_url_convertor("conversation", _Id())


@router.post("/api/conversations", status_code=status.HTTP_201_CREATED)
def add_conversation(request: NewConversation, daemon: DaemonOf, user: UserOf) -> SavedConversation:
    """Appends turns to a conversation of the caller's; they are on disk when this answers."""
    now = daemon.clock.now()
    turns = [
        Utterance(
            role=turn.role,
            speaker=turn.speaker or (user.id if turn.role == "user" else turn.role),
            text=turn.text,
            time=(turn.time or now).astimezone()
            if turn.time is None or turn.time.tzinfo is None
            else turn.time,
        )
        for turn in request.turns
    ]
    conversation_id = request.id or new_conversation_id()
    path = daemon.journal.append(user.id, conversation_id, turns)
    daemon.heard(user, conversation_id, turns)
    daemon.remembered(path)
    return SavedConversation(id=conversation_id, path=path, turns=len(turns))


@router.get("/api/conversations/{conversation_id:conversation}")
def conversation(conversation_id: str, daemon: DaemonOf, user: UserOf) -> ConversationView:
    """Every turn of a conversation that the caller may see, in event order."""
    stored = daemon.ledger.files.conversation(conversation_id, user.owners)
    if stored is None:
        raise NotFoundError(
            f'There is no conversation "{conversation_id}". A search names those that there are.'
        )
    return ConversationView(
        id=stored.id,
        title=stored.title,
        paths=list(stored.paths),
        turns=[TurnView.model_validate(turn, from_attributes=True) for turn in stored.turns],
    )


@router.delete("/api/conversations/{conversation_id:conversation}")
def erase_conversation(conversation_id: str, daemon: DaemonOf, user: UserOf) -> Erased:
    """Takes a conversation out of its files and everything made of them, and proves it."""
    return erased_view(daemon.memory.eraser.erase(user, conversation_id), user)


@router.get("/api/files")
def files(daemon: DaemonOf, user: UserOf, state: FileState | None = None) -> FileList:
    """The files below `memory/` that the caller may see: indexed, skipped or quarantined, with the reason."""
    return FileList(files=[file_view(row) for row in daemon.ledger.files.list(state, user.owners)])
