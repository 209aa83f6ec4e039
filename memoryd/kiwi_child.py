"""The Kiwi child process, `python -m memoryd.kiwi_child SOCKET`: texts come in, morphemes that carry meaning go out.

    child ──"" or why it can't be loaded──▶ daemon
    child ◀── text ── daemon
    child ── [(form, tag), …], or why there are none ──▶ daemon

It ends with the process at the other end of the socket, even when that is killed outright.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

LENGTH = struct.Struct("<I")
# Kiwi's tags for words that carry meaning: nouns, verbs and adjectives, adverbs, roots, foreign words.
CONTENT_TAGS = ("N", "VV", "VA", "MAG", "XR", "SH")


def send(connection: socket.socket, value: str | list[tuple[str, str]]) -> None:
    """Sends a text or an answer, its length before it; text with lone surrogates arrives as it is.

    Raises:
        OSError: the other end is gone, or does not take it within the socket's timeout.
    """
    data = marshal.dumps(value)
    connection.sendall(LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> Any:
    """What the other end has sent.

    Raises:
        EOFError: the other end is gone.
        OSError: it sends nothing within the socket's timeout.
    """
    (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    # Both ends are one program, on one interpreter.
    return marshal.loads(_exactly(connection, length))  # noqa: S302


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def main() -> None:
    """Loads Kiwi, and answers until the other end is gone."""
    # Ctrl-C reaches the whole group; the daemon needs words until it has stopped, and then ends this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as daemon, suppress(EOFError, ConnectionError):
        _end_with_the_other_end(daemon, True)
        try:
            kiwi = _loaded()
        except Exception as error:  # noqa: BLE001  (the process's boundary: the daemon says it)
            send(daemon, f"{type(error).__name__}: {error}")
            return
        _end_with_the_other_end(daemon, False)
        send(daemon, "")
        while True:
            send(daemon, _morphemes(kiwi, receive(daemon)))


def _end_with_the_other_end(connection: socket.socket, at_once: bool) -> None:
    """Whether the kernel ends this process when the other end goes (SIGIO), or a read says so.

    While Kiwi loads, the interpreter stands still for seconds and could read nothing. Anything that comes ends it too,
    so that the daemon sends nothing before it is greeted.
    """
    flags = fcntl.fcntl(connection, fcntl.F_GETFL)
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETFL, flags | os.O_ASYNC if at_once else flags & ~os.O_ASYNC)
    with suppress(BlockingIOError):
        # Nothing can have come yet but the end, before there was a signal for it.
        if not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
            raise EOFError


def _loaded() -> Kiwi:
    from kiwipiepy import Kiwi

    kiwi = Kiwi()
    # The first text costs as much as Kiwi itself; nobody is to wait for that with a question.
    kiwi.tokenize("가")
    return kiwi


def _morphemes(kiwi: Kiwi, text: str) -> list[tuple[str, str]] | str:
    try:
        tokens = [(token.form, token.tag) for token in kiwi.tokenize(text)]
    except Exception as error:  # noqa: BLE001  (the process's boundary: the daemon says it)
        return f"{type(error).__name__}: {error}"
    return [(form, tag) for form, tag in tokens if tag.startswith(CONTENT_TAGS)]


if __name__ == "__main__":
    main()
