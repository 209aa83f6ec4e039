"""llama.cpp's own lines: hundreds into the daemon's debug log, its errors kept for the reason of a failure."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections import deque

import llama_cpp

log = logging.getLogger(__name__)

LOG_LEVEL_ERROR = 4  # enum ggml_log_level: none, debug, info, warn, error, cont


class _ErrorLines(threading.local):
    """The last error lines of llama.cpp in this thread."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=8)


_errors = _ErrorLines()


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _on_log(level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
    line = text.decode(errors="replace").strip()
    log.debug("llama.cpp: %s", line)
    if level == LOG_LEVEL_ERROR and line:
        _errors.lines.append(line)


llama_cpp.llama_log_set(_on_log, ctypes.c_void_p(0))


def forget_errors() -> None:
    """Before a call whose failure is to be told."""
    _errors.lines.clear()


def last_errors() -> str:
    """What llama.cpp said in this thread since then, in one line."""
    return " ".join(_errors.lines)
