"""Where a model's server is: apart from what speaks to it, so that naming one imports nothing."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """Where a model's server is, and how long it is waited for.

    Attributes:
        url: its address, with or without `/v1` (`http://10.0.0.5:8000`).
        model: the name that the server knows the model by; "" where it has only one.
        api_key: what the server wants as a bearer token; "" for none.
        context_tokens: the longest prompt with its answer; a smaller one that the server tells goes before it.
        connect_timeout_s: for the connection.
        read_timeout_s: the longest silence, also before the first word: the prompt is computed then.
        retries: how often a server that is away or full is asked again before an answer has begun.
        look_again_s: between two tries to reach a server that was away.
    """

    url: str
    model: str = ""
    api_key: str = field(default="", repr=False)
    context_tokens: int = 8192
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    retries: int = 2
    look_again_s: float = 10.0
