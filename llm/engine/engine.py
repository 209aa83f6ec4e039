"""One thread that computes for every resident model, a step of each in turn.

threads that ask ──submit──▶ Batcher of a model ◀──step── the engine's thread ──pieces──▶ threads that ask

llama.cpp's contexts belong to one thread, and a GPU computes one thing at a time anyway.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from llm.base import ModelError, ModelNotReadyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm.engine.batcher import Batcher

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Engine:
    """Steps batchers while they have something to do, and sleeps otherwise. Any thread may call it."""

    def __init__(self) -> None:
        self._batchers: dict[Batcher, Callable[[ModelError], None]] = {}
        self._orders: deque[Callable[[], None]] = deque()
        self._signal = threading.Condition()
        self._called = False
        self._closed = False
        self._over = False
        self._thread: threading.Thread | None = None

    def attach(self, batcher: Batcher, on_dead: Callable[[ModelError], None]) -> None:
        """Computes for a model from now on.

        Args:
            batcher: the model's.
            on_dead: told, in the engine's thread, why the model was let go after llama.cpp failed on it.

        Raises:
            ModelNotReadyError: the engine was closed.
        """
        with self._signal:
            if self._closed:
                raise ModelNotReadyError("The engine was closed.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
                self._thread.start()
            self.order(lambda: self._batchers.__setitem__(batcher, on_dead))

    def detach(self, batcher: Batcher) -> None:
        """Ends a model's answers with ModelNotReadyError and frees its context; returns when that is done."""

        def leave() -> None:
            if self._batchers.pop(batcher, None) is not None:
                self._let_go(batcher, _closed(batcher))

        self.ask(leave)

    def wake(self) -> None:
        """Has it look at its batchers: something was submitted or given up."""
        with self._signal:
            self._called = True
            self._signal.notify()

    def order(self, what: Callable[[], None]) -> None:
        """Does something in the engine's thread, between steps; returns at once. After `close`, in this thread."""
        with self._signal:
            if not self._over:
                self._orders.append(what)
                self._called = True
                self._signal.notify()
                return
        self._guarded(what)

    def ask(self, what: Callable[[], Result]) -> Result:
        """The same, and waits for the result or the error."""
        if self._thread is None or self._thread is threading.current_thread() or not self._thread.is_alive():
            return what()
        done = threading.Event()
        results: list[Result] = []
        errors: list[BaseException] = []

        def do() -> None:
            try:
                results.append(what())
            except BaseException as error:  # noqa: BLE001  (raised again where it was asked for)
                errors.append(error)
            finally:
                done.set()

        self.order(do)
        while not done.wait(1.0):
            if not self._thread.is_alive():
                raise ModelNotReadyError("The engine has ended.")
        if errors:
            raise errors[0]
        return results[0]

    def close(self) -> None:
        """Ends every answer, frees every context, and the thread."""
        with self._signal:
            self._closed = True
            self._signal.notify()
        if self._thread is None:
            self._leave()
        elif self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        worked = False
        while True:
            with self._signal:
                while not (worked or self._called or self._closed):
                    self._signal.wait()
                if self._closed:
                    break
                self._called = False
            worked = self._turn()
        self._leave()

    def _turn(self) -> bool:
        """Orders, then a step of each model. A function, so that it holds no model while the engine sleeps."""
        self._obey()
        worked = [self._step(batcher) for batcher in list(self._batchers)]  # all, whatever the first one did
        return any(worked)

    def _leave(self) -> None:
        """The last turn: what was ordered is done, and every model let go."""
        self._obey()
        while self._batchers:
            batcher, _ = self._batchers.popitem()
            self._let_go(batcher, _closed(batcher))
        with self._signal:
            self._over = True
        self._obey()

    def _obey(self) -> None:
        """Does what was ordered since the last time."""
        with self._signal:
            orders, self._orders = self._orders, deque()
        for what in orders:
            self._guarded(what)

    def _step(self, batcher: Batcher) -> bool:
        for (
            each
        ) in self._batchers:  # whoever went away while another model computed doesn't wait for a second one
            self._guarded(each.sweep)
        try:
            return batcher.step()
        except Exception as error:  # one model's failure must not end the others
            log.exception("model %s: the engine lets it go", batcher.name)
            reason = error if isinstance(error, ModelError) else ModelError(repr(error))
            on_dead = self._batchers.pop(batcher)
            self._let_go(batcher, reason)
            self._guarded(lambda: on_dead(reason))
            return True

    def _let_go(self, batcher: Batcher, reason: ModelError) -> None:
        self._guarded(lambda: batcher.fail(reason))
        self._guarded(batcher.close)

    def _guarded(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception:  # the thread's boundary
            log.exception("the engine goes on after a failure")


def _closed(batcher: Batcher) -> ModelNotReadyError:
    return ModelNotReadyError(f"The model {batcher.name} was closed while it answered.")
