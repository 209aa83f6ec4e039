"""Every error that memoryd raises on purpose, in one tree.

MemorydError                    500   exit 1
├── ConfigError                 500   exit 2    a key or file in the configuration is wrong
├── NotRunningError              –    exit 3    no daemon answers at the address
├── AlreadyRunningError          –    exit 4    another daemon owns the state folder
├── UnauthorizedError           401   exit 5    no token, or a wrong one
├── ForbiddenError              403   exit 5    the token's user may not do this
├── NotFoundError               404   exit 6    no such conversation, identity version, model
├── ConflictError               409   exit 7    it is taken, or there is no room for another
├── BadRequestError             422   exit 7    the request can't mean anything
├── TooLargeError               413   exit 7    the request has more bytes than the daemon takes
├── NotReadyError               503   exit 8    a part is still loading; try again
│   └── NoModelError            503   exit 8    no language model is ready to answer
├── BusyError                   503   exit 8    as many questions wait as may; `Retry-After` says when to come back
├── TooSlowError                504   exit 8    the answer was not done by the deadline that the question set
├── ModelFailedError            500   exit 8    a language model broke off; the message says why
├── StoreError                  500   exit 9    the ledger or the disk under it failed
│   └── LedgerDamagedError      503   exit 9    the ledger is torn; it is being made anew from what is whole
├── IndexUnavailableError       503   exit 9    Chroma can't be reached (recall goes on degraded)
│   └── IndexDamagedError       503   exit 9    Chroma answers that it can't read its own files
├── EmbedderError               500   exit 10   the embedding model can't be loaded
├── KiwiError                   500   exit 10   the Korean morpheme analyser can't be loaded, or ended over a text
└── ReplayError                 500   exit 11   boot_memory_loop failed; the old identity stays
"""

from __future__ import annotations

from typing import ClassVar


class MemorydError(Exception):
    """Base of the tree; the message names the thing and the remedy."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    title: ClassVar[str] = "memoryd failed"


class ConfigError(MemorydError):
    """A wrong type, an unknown key or a missing path in the configuration."""

    code = "config"
    exit_code = 2
    title = "The configuration is wrong"


class NotRunningError(MemorydError):
    """No daemon answers at the address."""

    code = "not_running"
    exit_code = 3
    title = "The daemon is not running"


class AlreadyRunningError(MemorydError):
    """Another daemon owns the state folder."""

    code = "already_running"
    exit_code = 4
    title = "The daemon is already running"


class UnauthorizedError(MemorydError):
    """No bearer token, or one that nobody has."""

    code = "unauthorized"
    status = 401
    exit_code = 5
    title = "A valid token is needed"


class ForbiddenError(MemorydError):
    """Another user's to do: a member sees what is shared, and changes only their own."""

    code = "forbidden"
    status = 403
    exit_code = 5
    title = "Not allowed"


class NotFoundError(MemorydError):
    """No such conversation, identity version, model or file."""

    code = "not_found"
    status = 404
    exit_code = 6
    title = "Not found"


class ConflictError(MemorydError):
    """What is asked for can't stand beside what there is: a name that is taken, a seventh user."""

    code = "conflict"
    status = 409
    exit_code = 7
    title = "Something stands in the way"


class BadRequestError(MemorydError):
    """A request that is well-formed and can't mean anything."""

    code = "bad_request"
    status = 422
    exit_code = 7
    title = "The request can't be answered"


class TooLargeError(MemorydError):
    """A request whose body is larger than the daemon takes."""

    code = "too_large"
    status = 413
    exit_code = 7
    title = "The request is too large"


class NotReadyError(MemorydError):
    """A part that the request needs is still loading."""

    code = "not_ready"
    status = 503
    exit_code = 8
    title = "Not ready yet"


class NoModelError(NotReadyError):
    """No language model is ready; the message says which are loading, absent or failed."""

    code = "no_model"
    title = "No language model is ready"


class BusyError(MemorydError):
    """A model answers as many as it can, and as many wait as may.

    Attributes:
        retry_after_s: when to try again, in seconds.
    """

    code = "busy"
    status = 503
    exit_code = 8
    title = "Too many questions are waiting"

    def __init__(self, message: str, *, retry_after_s: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooSlowError(MemorydError):
    """The time that a question set for its answer is over; what was said until then is kept."""

    code = "too_slow"
    status = 504
    exit_code = 8
    title = "The answer took too long"


class ModelFailedError(MemorydError):
    """A language model broke off in the middle of an answer."""

    code = "model_failed"
    exit_code = 8
    title = "The language model failed"


class StoreError(MemorydError):
    """The ledger, or the disk under it, failed."""

    code = "store"
    exit_code = 9
    title = "The store failed"


class LedgerDamagedError(StoreError):
    """The ledger is torn; what is whole in it is carried over into a new one."""

    code = "ledger_damaged"
    status = 503
    title = "The ledger is damaged"


class IndexUnavailableError(MemorydError):
    """Chroma can't be reached; recall goes on from the ledger and says `degraded`."""

    code = "index_unavailable"
    status = 503
    exit_code = 9
    title = "The vector index can't be reached"


class IndexDamagedError(IndexUnavailableError):
    """Chroma is there and can't read its own files; the index is made anew."""

    code = "index_damaged"
    title = "The vector index is damaged"


class EmbedderError(MemorydError):
    """The embedding model can't be loaded or used."""

    code = "embedder"
    exit_code = 10
    title = "The embedding model failed"


class KiwiError(MemorydError):
    """The Korean morpheme analyser can't be loaded, or its process ended over a text."""

    code = "kiwi"
    exit_code = 10
    title = "The Korean morpheme analyser failed"


class ReplayError(MemorydError):
    """A replay failed; the identity before it stays in force."""

    code = "replay"
    exit_code = 11
    title = "The replay failed"
