"""Speaks to memoryd: `Client`, `AsyncClient`, the shapes of what they answer and the errors they raise."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from memoryd_client._errors import (
    BadRequestError,
    BusyError,
    ClientError,
    ConflictError,
    ConnectFailedError,
    ConnectionLostError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    ProblemError,
    TooSlowError,
    UnauthorizedError,
    UnexpectedAnswerError,
)
from memoryd_client._events import AskEvent, Recalled, Thought, Token
from memoryd_client.identity_models import (
    ChangedManifest,
    ChangedSetting,
    IdentityDiff,
    IdentityList,
    IdentitySummary,
    IdentityView,
    ReplacedLine,
    ReplayList,
    ReplayView,
    Restored,
    ToldLine,
)
from memoryd_client.models import (
    AskAnswer,
    Citation,
    ConversationView,
    Counts,
    DifferenceView,
    Erased,
    ErasedFile,
    ErasureProof,
    Explanation,
    FileList,
    FileView,
    ForgetProposal,
    FoundFragments,
    ModelView,
    MoodView,
    NewTurn,
    NewUser,
    PartView,
    Problem,
    PromptReport,
    Ready,
    Rebuilt,
    RemovedUser,
    SavedConversation,
    SearchAnswer,
    SearchTimings,
    Status,
    Timings,
    TurnRef,
    TurnView,
    UserList,
    UserToken,
    UserView,
    Verified,
    Why,
)

if TYPE_CHECKING:
    from memoryd_client._client import AsyncClient, Client

__all__ = [
    "AskAnswer",
    "AskEvent",
    "AsyncClient",
    "BadRequestError",
    "BusyError",
    "ChangedManifest",
    "ChangedSetting",
    "Citation",
    "Client",
    "ClientError",
    "ConflictError",
    "ConnectFailedError",
    "ConnectionLostError",
    "ConversationView",
    "Counts",
    "DifferenceView",
    "Erased",
    "ErasedFile",
    "ErasureProof",
    "Explanation",
    "FileList",
    "FileView",
    "ForbiddenError",
    "ForgetProposal",
    "FoundFragments",
    "IdentityDiff",
    "IdentityList",
    "IdentitySummary",
    "IdentityView",
    "InvalidRequestError",
    "ModelView",
    "MoodView",
    "NewTurn",
    "NewUser",
    "NotFoundError",
    "NotReadyError",
    "PartView",
    "Problem",
    "ProblemError",
    "PromptReport",
    "Ready",
    "Rebuilt",
    "Recalled",
    "RemovedUser",
    "ReplacedLine",
    "ReplayList",
    "ReplayView",
    "Restored",
    "SavedConversation",
    "SearchAnswer",
    "SearchTimings",
    "Status",
    "Thought",
    "Timings",
    "Token",
    "ToldLine",
    "TooSlowError",
    "TurnRef",
    "TurnView",
    "UnauthorizedError",
    "UnexpectedAnswerError",
    "UserList",
    "UserToken",
    "UserView",
    "Verified",
    "Why",
]


if not TYPE_CHECKING:  # a type checker must still see that a misspelt name is not there

    def __getattr__(name: str) -> object:
        """Loads the clients when they are asked for.

        The daemon reads its shapes from this package before it answers anything but `/health`, and httpx alone
        would cost it a sixth of a second.
        """
        if name in {"AsyncClient", "Client"}:
            return getattr(import_module("memoryd_client._client"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
