"""The shapes of identities, of what differs between them, and of the replays that make them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from memoryd_client.models import Wire


class IdentityView(Wire):
    """An identity version: its text, the digest of its inputs, and what was missing when it was made.

    Attributes:
        models: of each model, which version it holds computed now (null: none), whatever version was asked for.
        manifests: SHA-256 of each manifest's text, by the file's name.
        memories: SHA-256 of everything that was said.
        settings: what else it was made with.
        restores: the version whose text it was given, or None.
    """

    version: int
    digest: str
    created_at: datetime
    tokens: int
    missing: list[str]
    text: str
    models: dict[str, int | None] = Field(default_factory=dict)
    manifests: dict[str, str] = Field(default_factory=dict)
    memories: str = ""
    settings: dict[str, str] = Field(default_factory=dict)
    restores: int | None = None


class IdentitySummary(Wire):
    """A version in `GET /api/identities`; `lines` are the memories that it tells."""

    version: int
    digest: str
    created_at: datetime
    tokens: int
    lines: int
    restores: int | None


class IdentityList(Wire):
    """`GET /api/identities`, newest first: the first is in force."""

    identities: list[IdentitySummary]


class Restored(Wire):
    """`POST /api/identity/{version}/restore`: the new version, and what becomes of it, in a sentence or two."""

    identity: IdentityView
    note: str


class ToldLine(Wire):
    """A line of an identity: what somebody said, and where. `kind` is a statement's, `topics`, `feeling`, `digest`."""

    kind: str
    day: str
    speaker: str
    text: str
    path: str
    conversation_id: str


class ReplacedLine(Wire):
    """A line that is no longer true, and the newer one that says so."""

    before: ToldLine
    now: ToldLine


class ChangedManifest(Wire):
    """A manifest of other words: the lines that are gone and those that have come."""

    name: str
    gone: list[str]
    come: list[str]


class ChangedSetting(Wire):
    """A setting of the replay that is another one."""

    name: str
    before: str
    now: str


class IdentityDiff(Wire):
    """`GET /api/identity/diff?from=&to=`: from version `before` to version `now`.

    Attributes:
        restores: the version whose text `now` was given, or None.
        no_longer_told: lines that left, and are true for all that is known: they made room.
        summed_up: days as a model sums them up, in its words (`replay.digests = "model"`).
    """

    before: int
    now: int
    restores: int | None
    learned: list[ToldLine]
    no_longer_true: list[ReplacedLine]
    no_longer_told: list[ToldLine]
    feels: list[ToldLine]
    no_longer_feels: list[ToldLine]
    topics_come: list[str]
    topics_gone: list[str]
    summed_up: list[ToldLine] = Field(default_factory=list)
    manifests: list[ChangedManifest]
    settings: list[ChangedSetting]


class ReplayRequest(Wire):
    """`POST /api/replay`. `wait` answers when the replay has ended, else as soon as it has begun."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wait: bool = True


class ReplayView(Wire):
    """One run of `boot_memory_loop`. `identity_version` is unchanged where the inputs were the same.

    Attributes:
        progress: the part of the changed files that is read, 0 to 1, while it is running.
        warning: what is amiss with the identity in force after it.
    """

    state: Literal["running", "done", "failed"]
    trigger: str
    started_at: datetime
    seconds: float
    turns: int
    kept: int
    changed: bool
    identity_version: int | None
    digest: str | None
    error: str | None = None
    progress: float | None = None
    warning: str | None = None


class ReplayList(Wire):
    """`GET /api/replays`, newest first."""

    replays: list[ReplayView]
