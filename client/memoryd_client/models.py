"""The shapes of memoryd's HTTP interface, written once: the daemon gives them, the client reads them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LONGEST_TEXT = 1_000_000


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("nothing is said in it")
    return _whole(text)


def _whole(text: str) -> str:
    """JSON can hold half of a character (a lone surrogate), UTF-8 can't."""
    if text.encode(errors="replace").decode() != text:
        raise ValueError("it holds half a character (a lone surrogate)")
    return text


def _in_history(moment: datetime) -> datetime:
    """Python's own first and last years can't be moved between time zones."""
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"a year from {FIRST_YEAR} to {LAST_YEAR} is needed")
    return moment


FIRST_YEAR, LAST_YEAR = 1900, 9990
Said = Annotated[str, AfterValidator(_said)]
Moment = Annotated[datetime, AfterValidator(_in_history)]


class Wire(BaseModel):
    """Base of every shape: frozen, and lenient about fields that a newer daemon adds."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class AskRequest(Wire):
    """`POST /api/ask`. `model` names a runner (`llm.default` otherwise); `max_tokens` bounds the answer.

    `deadline_s` are the seconds until the answer must be done; after them it is problem `too_slow`, and what was
    said until then is kept. `of` narrows whose memories are recalled: `shared`, or ids of users whom the caller sees.
    `explain` has the answer say how its prompt was put together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: Said = Field(max_length=20_000)
    model: str | None = None
    conversation_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.:-]{1,120}$")
    stream: bool = False
    of: list[str] | None = Field(default=None, min_length=1, max_length=100)
    max_tokens: int | None = Field(default=None, ge=1, le=8192)
    deadline_s: float | None = Field(default=None, gt=0, le=3600)
    explain: bool = False


class SearchRequest(Wire):
    """`POST /api/search`. `since` and `until` filter by event time, `speaker` by who speaks.

    `of` narrows whose memories are searched: `shared`, or ids of users whom the caller sees.
    `now` is the moment that date words in the query ("지난주 화요일", "early March") count from (default: the clock);
    what was said then, or near it, gains, and nothing is left out for it. `explain` has each hit say why it is
    where it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Said = Field(max_length=20_000)
    k: int = Field(default=10, ge=1, le=200)
    since: Moment | None = None
    until: Moment | None = None
    speaker: str | None = None
    of: list[str] | None = Field(default=None, min_length=1, max_length=100)
    now: Moment | None = None
    explain: bool = False


class TurnRef(Wire):
    """A turn that a passage covers; `id` is the one that the file gave."""

    id: str
    index: int
    role: str
    speaker: str
    time: datetime


class Why(Wire):
    """Why a hit is where it is.

    Its score is `cosine` (with the question) plus weighted `words` (its share of the question's words), `neighbours`
    (that of the better one of the exchanges just before and after it), `time` (nearness to the time that the question
    names) and `person` (1 where a person speaks in it, 0 where an assistant alone does), each 0 to 1. `meaning_rank`
    and `words_rank` count from 1; null where that search did not find it. `reranked` is the cross-encoder's score.
    `newer`: it was put before an older passage on the same subject.
    """

    cosine: float
    words: float
    neighbours: float
    time: float
    person: float
    meaning_rank: int | None
    words_rank: int | None
    reranked: float | None
    newer: bool


class Citation(Wire):
    """A passage that was found, with what was said just before and after it: words, score (higher is nearer), place.

    `turns` are those that `text` holds. `why` is there where the search asked for it (`explain`).
    """

    passage_id: str
    score: float
    text: str
    path: str
    day: str
    conversation_id: str
    turns: list[TurnRef]
    why: Why | None = None


class SearchTimings(Wire):
    """Milliseconds of a search: question's vector, vector index, word index, ranking, cross-encoder, texts, all.

    The first two go on beside the third.
    """

    embed_ms: float
    vectors_ms: float
    words_ms: float
    rank_ms: float
    rerank_ms: float
    pack_ms: float
    total_ms: float


class SearchAnswer(Wire):
    """What `/api/search` found, best first.

    `degraded` says why, when an index is being rebuilt. `unread_files` are in the memory folder and not in the memory
    yet (1 while it is not known how many). `dates` are the date words that were heard in the query.
    """

    degraded: str | None
    unread_files: int = 0
    hits: list[Citation]
    dates: list[str] = []
    timings: SearchTimings | None = None


class Timings(Wire):
    """Milliseconds and tokens of one answer."""

    recall_ms: float
    first_token_ms: float
    total_ms: float
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


class PromptReport(Wire):
    """How a prompt's room was split, in the model's tokens, and what did not fit.

    `context` is the model's, and holds all of it; `own` is what the one who asks has said of their own; `template`
    and `answer` are set aside. `memories_left_out` did not fit, `memories_in_conversation` stand there already.
    """

    context: int
    identity: int
    own: int
    memories: int
    mood: int
    conversation: int
    question: int
    template: int
    answer: int
    memories_left_out: int
    memories_in_conversation: int
    turns_left_out: int


class Explanation(Wire):
    """Why an answer is as it is, where that was asked for (`explain`)."""

    prompt_report: PromptReport | None


class ForgetProposal(Wire):
    """A conversation that a request to forget may mean; `DELETE /api/conversations/{id}` confirms it."""

    conversation_id: str
    day: str
    path: str
    text: str


class AskAnswer(Wire):
    """What `/api/ask` answers. `note` is a plain sentence about the built-in model, or None.

    `thought` is what a thinking model thought before it answered. `finish` says why the answer ended: `length` where
    `max_tokens` cut it off. `saved` is false where a conversation was erased meanwhile: the answer may quote it
    and is not kept. `proposed` names the conversations that a request to forget (`잊어줘: …`, `forget: …`) may mean;
    nothing is erased by it. `unread_files` were in the memory folder and not in the memory yet when it
    was asked (1 while it was not known how many).
    """

    answer: str
    thought: str | None = None
    finish: Literal["stop", "length", "cancelled"] | None = None
    model: str
    conversation_id: str
    identity_version: int
    degraded: str | None
    unread_files: int = 0
    note: str | None = None
    saved: bool
    citations: list[Citation]
    timings: Timings
    proposed: list[ForgetProposal] = []
    explain: Explanation | None = None


class NewTurn(Wire):
    """A turn to be remembered; `time` defaults to now, `speaker` to the role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["user", "assistant", "system", "tool"] = "user"
    speaker: Annotated[str, AfterValidator(_whole)] | None = Field(default=None, max_length=200)
    time: Moment | None = None
    text: Said = Field(max_length=LONGEST_TEXT)


class NewConversation(Wire):
    """`POST /api/conversations`: turns appended to a conversation (a new one without `id`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.:-]{1,120}$")
    turns: list[NewTurn] = Field(min_length=1)


class SavedConversation(Wire):
    """Where a conversation was written, once it is on disk."""

    id: str
    path: str
    turns: int


class TurnView(TurnRef):
    """A turn with its words."""

    text: str


class ConversationView(Wire):
    """`GET /api/conversations/{id}`: every turn, in order."""

    id: str
    title: str
    paths: list[str]
    turns: list[TurnView]


class ErasedFile(Wire):
    """What became of a file that held an erased conversation; `target` took its place where it was replaced.

    One that can't be read and names the conversation is left as it is, to be seen to (`unreadable`).
    """

    path: str
    action: Literal["removed", "rewritten", "replaced", "unchanged", "unreadable"]
    note: str
    target: str = ""


class FoundFragments(Wire):
    """A file of the state folder that still holds something of what was erased."""

    path: str
    fragments: int


class ErasureProof(Wire):
    """What was looked for in the state folder after an erasure, and what was found (nothing, one hopes).

    Attributes:
        files: looked through; `unread` could not be.
        fragments: sentences and their pieces, names and vectors that were sought, each in every way to write it.
        words: of the lexical index that only this conversation had; `words_left` are still there.
        shared: fragments not sought, because the conversations in `elsewhere` hold them too and keep them.
        seconds: that the search took.
    """

    files: int
    bytes: int
    fragments: int
    found: list[FoundFragments]
    unread: list[str]
    words: int
    words_left: int
    shared: int
    elsewhere: list[str]
    seconds: float


class Erased(Wire):
    """`DELETE /api/conversations/{id}`: what was erased, from where, and the proof.

    Attributes:
        identities: versions from which lines were cut; `identity_version` is in force now.
        log_lines: taken out of the logs.
        copies: files that were kept of a damaged ledger, and went because they may hold it.
        generation: of the vector index, begun anew.
        seconds: that all of it took.

    What is counted over everybody's memory is the origin's to see: null, and no proof, where a member has erased.
    """

    files: list[ErasedFile]
    turns: int
    passages: int
    vectors: int | None = None
    identities: int | None = None
    identity_version: int
    log_lines: int | None = None
    copies: list[str] = []
    generation: int | None = None
    proof: ErasureProof | None = None
    seconds: float


FileState = Literal["indexed", "skipped", "quarantined"]


class FileView(Wire):
    """A file under `memory/`: indexed, skipped (with the reason) or quarantined (with error and line)."""

    path: str
    state: FileState
    format: str | None
    reason: str | None
    line: int | None
    turns: int
    passages: int
    size: int


class FileList(Wire):
    """`GET /api/files?state=`."""

    files: list[FileView]


class PartView(Wire):
    """One part of the daemon, its state, and a detail for people."""

    name: str
    state: Literal["ready", "loading", "absent", "failed", "degraded"]
    detail: str = ""


class ModelView(PartView):
    """A language model: its family and file.

    Attributes:
        progress: how much of it is loaded, 0 to 1, while it is loading.
        identity_version: the identity that it holds in its cache; None for none yet.
    """

    family: str
    path: str
    default: bool
    progress: float | None = None
    identity_version: int | None = None


class Ready(Wire):
    """`GET /ready` (200 when a question can be answered, else 503): every part and model."""

    ready: bool
    parts: list[PartView]
    models: list[ModelView]


class Counts(Wire):
    """What the ledger holds, and the work done since it was made; of what the caller may see.

    `vectors` counts texts, each once. `embedded_texts` is how many were ever embedded; for a member the same.
    """

    files_indexed: int
    files_skipped: int
    files_quarantined: int
    conversations: int
    turns: int
    passages: int
    vectors: int
    embedded_texts: int
    outbox: int
    waiting_files: int


class MoodView(Wire):
    """How somebody's words of the last hours read; nothing is said about what they feel.

    Attributes:
        who: a speaker's name.
        being: whether it is the being's own.
        emotion: the likeliest of `emotions`.
        sure: its share, 0 to 1.
        valence: unpleasant -1 to pleasant 1.
        arousal: sleepy -1 to excited 1.
        emotions: the share of each, together 1.
        turns: how many were read.
        last_said: the time of the newest of them.
    """

    who: str
    being: bool
    emotion: str
    sure: float
    valence: float
    arousal: float
    emotions: dict[str, float]
    turns: int
    last_said: datetime


class Status(Wire):
    """`GET /api/status`. Where `memory` and `state` lie is the origin's to know: empty for a member."""

    version: str
    user: str
    uptime_s: float
    identity_version: int
    embedder: str
    memory: str
    state: str
    last_day: date | None
    counts: Counts
    ready: Ready
    moods: list[MoodView] = []


class UserView(Wire):
    """A user; `former` is one who was, and whose folders are still theirs. `since` is a member's first day."""

    id: str
    role: Literal["origin", "member", "former"]
    since: datetime | None


class UserList(Wire):
    """`GET /api/users`: the origin first; `free` says how many more there may be."""

    users: list[UserView]
    free: int


class NewUser(Wire):
    """`POST /api/users`. `returning` lets somebody in again who was a user before, and gives them their folders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    returning: bool = False


class UserToken(Wire):
    """A user's new token, which is kept nowhere and not shown again.

    `files` counts those that were shared until now, in folders of their name, and are theirs alone from now on.
    """

    id: str
    role: Literal["origin", "member"]
    token: str
    files: int


class RemovedUser(Wire):
    """`DELETE /api/users/{id}`: whose token is nobody's now. Their `files` stay, for the origin alone to see."""

    id: str
    files: int


class Rebuilt(Wire):
    """`POST /api/rebuild`: what is being made again from the files, as generation `generation`."""

    files: int
    passages: int
    generation: int


class RebuildRequest(Wire):
    """`POST /api/rebuild`. `embed` has every passage embedded again, instead of taking its vector from the ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embed: bool = False


class VerifyRequest(Wire):
    """`POST /api/verify`. `full` compares all words and all of Chroma's vectors, not a sample of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    full: bool = False


class DifferenceView(Wire):
    """Something that is not as the files say: what, of which file ("" for none), and what to do."""

    kind: Literal["file", "turns", "passages", "words", "vectors", "index"]
    path: str
    detail: str
    remedy: str


class Verified(Wire):
    """What was compared, what differs, and what waits and was not compared.

    `refused` counts the files among `files` that are skipped or quarantined; `differences` are at most 1,000, and
    `more` says how many others there are.
    """

    full: bool
    seconds: float
    files: int
    refused: int
    turns: int
    passages: int
    words: int
    vectors: int
    index_ids: int
    index_vectors: int
    waiting: list[str]
    differences: list[DifferenceView]
    more: int


class Problem(Wire):
    """An RFC 9457 problem document; `code` is stable, `detail` names the thing and the remedy."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
