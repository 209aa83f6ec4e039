"""`Client` and `AsyncClient`: they carry out the calls that `_calls` describes, and do nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

import httpx

from memoryd_client import _calls as calls
from memoryd_client._errors import ClientError
from memoryd_client._events import AskEvent, AskStream
from memoryd_client.models import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable
    from datetime import datetime
    from types import TracebackType

    from memoryd_client import identity_models as i
    from memoryd_client import models as m

DEFAULT_URL = "http://127.0.0.1:7777"
DEFAULT_TIMEOUT = 600.0

Shape = TypeVar("Shape", bound=Wire)


class Client:
    """Speaks to a daemon; close it, or use it as a context manager.

    Args:
        base_url: the daemon's address.
        token: the bearer token; the environment's `MEMORYD_TOKEN` by default.
        timeout: seconds of silence after which an answer is given up; None waits for ever. Connecting gets
            5 seconds, a replay, a rebuild, a verification and an erasure as long as they take.
        transport: another way to send requests: a proxy, or a fake in tests.

    Every method raises an error of the tree in `_errors`: `ConnectFailedError` when nothing answers,
    `ProblemError` when the daemon says no.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        token: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        chosen = calls.settings(base_url, token, timeout)
        self.base_url = str(chosen.base_url)
        # trust_env: a proxy or .netrc of the environment must not come between us and a local daemon.
        self._http = httpx.Client(
            base_url=chosen.base_url,
            headers=chosen.headers,
            timeout=chosen.timeout,
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def ask(
        self,
        question: str,
        *,
        model: str | None = None,
        conversation_id: str | None = None,
        of: list[str] | None = None,
        max_tokens: int | None = None,
        deadline_s: float | None = None,
        explain: bool = False,
    ) -> m.AskAnswer:
        """Asks, and waits for the whole answer with the memories that it stands on.

        `of` narrows whose these are: `shared`, or ids of users whom you see.
        `explain` has the answer say how its prompt was put together.
        After `deadline_s` seconds it is `TooSlowError`; what was said until then is kept in the conversation.
        """
        return self._send(
            calls.ask(
                question,
                model=model,
                conversation_id=conversation_id,
                of=of,
                max_tokens=max_tokens,
                deadline_s=deadline_s,
                explain=explain,
                stream=False,
            )
        )

    def ask_stream(
        self,
        question: str,
        *,
        model: str | None = None,
        conversation_id: str | None = None,
        of: list[str] | None = None,
        max_tokens: int | None = None,
        deadline_s: float | None = None,
        explain: bool = False,
    ) -> Generator[AskEvent, None, None]:
        """Asks, and yields the answer as it comes: `Recalled`, `Thought`s, `Token`s, and the whole `AskAnswer` last.

        Closing it stops the model at once. `deadline_s` is as in `ask`.
        """
        call = calls.ask(
            question,
            model=model,
            conversation_id=conversation_id,
            of=of,
            max_tokens=max_tokens,
            deadline_s=deadline_s,
            explain=explain,
            stream=True,
        )
        with calls.translated(self._http.base_url):
            response = self._http.send(calls.request(self._http, call), stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise calls.failure(response)
                stream = AskStream()
                for chunk in response.iter_bytes():
                    yield from stream.feed(chunk)
                stream.close()
            finally:
                response.close()

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        since: datetime | None = None,
        until: datetime | None = None,
        speaker: str | None = None,
        of: list[str] | None = None,
        now: datetime | None = None,
        explain: bool = False,
    ) -> m.SearchAnswer:
        """The `k` passages nearest to the query.

        `of` is as in `ask`. `now` is the moment that its date words count from; with `explain` each hit says why
        it is where it is.
        """
        call = calls.search(
            query, k=k, since=since, until=until, speaker=speaker, of=of, now=now, explain=explain
        )
        return self._send(call)

    def add_conversation(
        self,
        turns: Iterable[m.NewTurn],
        *,
        id: str | None = None,  # noqa: A002  (the name of the field)
    ) -> m.SavedConversation:
        """Has turns remembered, appended to the conversation `id` (a new one without it)."""
        return self._send(calls.add_conversation(turns, conversation_id=id))

    def conversation(self, conversation_id: str) -> m.ConversationView:
        """Every turn of a conversation, in order."""
        return self._send(calls.conversation(conversation_id))

    def erase_conversation(self, conversation_id: str) -> m.Erased:
        """Takes a conversation out of its files and everything made of them, for good; proves it."""
        return self._send(calls.erase_conversation(conversation_id))

    def identity(self, version: int | None = None) -> i.IdentityView:
        """An identity version; the one in force without a number."""
        return self._send(calls.identity(version))

    def identities(self) -> i.IdentityList:
        """Every identity version without its text, newest first."""
        return self._send(calls.identities())

    def identity_diff(self, before: int | None = None, now: int | None = None) -> i.IdentityDiff:
        """What makes version `now` (the newest) another one than `before` (the one before it)."""
        return self._send(calls.identity_diff(before, now))

    def restore_identity(self, version: int) -> i.Restored:
        """Makes a new version that tells what an earlier one told."""
        return self._send(calls.restore_identity(version))

    def replay(self, *, wait: bool = True) -> i.ReplayView:
        """Replays the memory into an identity now; without `wait` it answers at once, `running`."""
        return self._send(calls.replay(wait=wait))

    def replays(self) -> i.ReplayList:
        """The replays so far, newest first."""
        return self._send(calls.replays())

    def files(self, state: str | None = None) -> m.FileList:
        """The files under `memory/`: all, or the `indexed`, `skipped` or `quarantined` ones."""
        return self._send(calls.files(state))

    def users(self) -> m.UserList:
        """The users, and those whose folders are still theirs; the origin's to see."""
        return self._send(calls.users())

    def add_user(self, name: str, *, returning: bool = False) -> m.UserToken:
        """Makes a member; their token is in the answer and nowhere else. `returning` lets one in again."""
        return self._send(calls.add_user(name, returning=returning))

    def remove_user(self, user: str) -> m.RemovedUser:
        """Takes a member's token away; their files stay, for the origin alone to see."""
        return self._send(calls.remove_user(user))

    def rotate_token(self, user: str) -> m.UserToken:
        """Another token for a user; the old one is nobody's from now on."""
        return self._send(calls.rotate_token(user))

    def rebuild(self, *, embed: bool = False) -> m.Rebuilt:
        """Makes everything derived again from the files; vectors too where `embed` asks for it."""
        return self._send(calls.rebuild(embed=embed))

    def verify(self, *, full: bool = False) -> m.Verified:
        """Compares files, ledger, words, vectors and Chroma; `full` compares no sample but all."""
        return self._send(calls.verify(full=full))

    def status(self) -> m.Status:
        """Counts, parts and models."""
        return self._send(calls.status())

    def ready(self) -> m.Ready:
        """Whether a question can be answered, and what is still missing."""
        return self._send(calls.ready())

    def health(self) -> bool:
        """Whether a daemon is alive at the address."""
        try:
            self._send(calls.health())
        except ClientError:
            return False
        return True

    def _send(self, call: calls.Call[Shape]) -> Shape:
        with calls.translated(self._http.base_url):
            return calls.answer(call, self._http.send(calls.request(self._http, call)))


class AsyncClient:
    """`Client` for asyncio: the same arguments, methods and errors; `aclose` closes it."""

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        token: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        chosen = calls.settings(base_url, token, timeout)
        self.base_url = str(chosen.base_url)
        self._http = httpx.AsyncClient(
            base_url=chosen.base_url,
            headers=chosen.headers,
            timeout=chosen.timeout,
            transport=transport,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def ask(
        self,
        question: str,
        *,
        model: str | None = None,
        conversation_id: str | None = None,
        of: list[str] | None = None,
        max_tokens: int | None = None,
        deadline_s: float | None = None,
        explain: bool = False,
    ) -> m.AskAnswer:
        """See `Client.ask`."""
        return await self._send(
            calls.ask(
                question,
                model=model,
                conversation_id=conversation_id,
                of=of,
                max_tokens=max_tokens,
                deadline_s=deadline_s,
                explain=explain,
                stream=False,
            )
        )

    async def ask_stream(
        self,
        question: str,
        *,
        model: str | None = None,
        conversation_id: str | None = None,
        of: list[str] | None = None,
        max_tokens: int | None = None,
        deadline_s: float | None = None,
        explain: bool = False,
    ) -> AsyncGenerator[AskEvent, None]:
        """See `Client.ask_stream`; leave it early only within `contextlib.aclosing`."""
        call = calls.ask(
            question,
            model=model,
            conversation_id=conversation_id,
            of=of,
            max_tokens=max_tokens,
            deadline_s=deadline_s,
            explain=explain,
            stream=True,
        )
        with calls.translated(self._http.base_url):
            response = await self._http.send(calls.request(self._http, call), stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise calls.failure(response)
                stream = AskStream()
                async for chunk in response.aiter_bytes():
                    for event in stream.feed(chunk):
                        yield event
                stream.close()
            finally:
                await response.aclose()

    async def search(
        self,
        query: str,
        *,
        k: int = 10,
        since: datetime | None = None,
        until: datetime | None = None,
        speaker: str | None = None,
        of: list[str] | None = None,
        now: datetime | None = None,
        explain: bool = False,
    ) -> m.SearchAnswer:
        """See `Client.search`."""
        call = calls.search(
            query, k=k, since=since, until=until, speaker=speaker, of=of, now=now, explain=explain
        )
        return await self._send(call)

    async def add_conversation(
        self,
        turns: Iterable[m.NewTurn],
        *,
        id: str | None = None,  # noqa: A002  (the name of the field)
    ) -> m.SavedConversation:
        """See `Client.add_conversation`."""
        return await self._send(calls.add_conversation(turns, conversation_id=id))

    async def conversation(self, conversation_id: str) -> m.ConversationView:
        """See `Client.conversation`."""
        return await self._send(calls.conversation(conversation_id))

    async def erase_conversation(self, conversation_id: str) -> m.Erased:
        """See `Client.erase_conversation`."""
        return await self._send(calls.erase_conversation(conversation_id))

    async def identity(self, version: int | None = None) -> i.IdentityView:
        """See `Client.identity`."""
        return await self._send(calls.identity(version))

    async def identities(self) -> i.IdentityList:
        """See `Client.identities`."""
        return await self._send(calls.identities())

    async def identity_diff(self, before: int | None = None, now: int | None = None) -> i.IdentityDiff:
        """See `Client.identity_diff`."""
        return await self._send(calls.identity_diff(before, now))

    async def restore_identity(self, version: int) -> i.Restored:
        """See `Client.restore_identity`."""
        return await self._send(calls.restore_identity(version))

    async def replay(self, *, wait: bool = True) -> i.ReplayView:
        """See `Client.replay`."""
        return await self._send(calls.replay(wait=wait))

    async def replays(self) -> i.ReplayList:
        """See `Client.replays`."""
        return await self._send(calls.replays())

    async def files(self, state: str | None = None) -> m.FileList:
        """See `Client.files`."""
        return await self._send(calls.files(state))

    async def users(self) -> m.UserList:
        """See `Client.users`."""
        return await self._send(calls.users())

    async def add_user(self, name: str, *, returning: bool = False) -> m.UserToken:
        """See `Client.add_user`."""
        return await self._send(calls.add_user(name, returning=returning))

    async def remove_user(self, user: str) -> m.RemovedUser:
        """See `Client.remove_user`."""
        return await self._send(calls.remove_user(user))

    async def rotate_token(self, user: str) -> m.UserToken:
        """See `Client.rotate_token`."""
        return await self._send(calls.rotate_token(user))

    async def rebuild(self, *, embed: bool = False) -> m.Rebuilt:
        """See `Client.rebuild`."""
        return await self._send(calls.rebuild(embed=embed))

    async def verify(self, *, full: bool = False) -> m.Verified:
        """See `Client.verify`."""
        return await self._send(calls.verify(full=full))

    async def status(self) -> m.Status:
        """See `Client.status`."""
        return await self._send(calls.status())

    async def ready(self) -> m.Ready:
        """See `Client.ready`."""
        return await self._send(calls.ready())

    async def health(self) -> bool:
        """See `Client.health`."""
        try:
            await self._send(calls.health())
        except ClientError:
            return False
        return True

    async def _send(self, call: calls.Call[Shape]) -> Shape:
        with calls.translated(self._http.base_url):
            return calls.answer(call, await self._http.send(calls.request(self._http, call)))
