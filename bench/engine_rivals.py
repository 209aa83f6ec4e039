"""The same people at memoryd's engine and at the other servers, one figure at a time.

together    all ask at once; the identity is known to the server, but no slot of theirs has seen it
newcomer    one more asks while they are being answered
held        all ask again, everybody's prefix being in the cache; the servers take turns
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import engine_clients as clients
from bench.engine_clients import Figures, listen, newcomer, round_trip_s, together, up_to
from bench.engine_peers import Peer, llama_cpp_python, llama_server, started

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.engine import Questions
    from bench.engine_clients import Speak
    from bench.engine_models import Prompts
    from llm import ModelSettings

OUR_NEWCOMERS = 3
IN_PROCESS = (
    "asked by threads of the same process, as the daemon asks it; the identity was pinned before anybody came"
)
WARMED = "over HTTP on loopback; one person's request before, so that one slot holds the identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What everybody is put under.

    Attributes:
        settings: memoryd's; the others get as many slots and threads.
        rounds: how often `held` is measured.
        long_tokens: how long the answers are that a newcomer comes into.
        llama_server: settings of llama.cpp's server in place of `engine_peers`'.
    """

    settings: ModelSettings
    prompts: Prompts
    questions: Questions
    users: int
    identity_tokens: int
    rounds: int
    long_tokens: int
    llama_server: Mapping[str, object]


def beside_the_others(
    load: Load, ours: Speak, say: Callable[[str], None], *, peers: bool
) -> dict[str, dict[str, Any]]:
    """The figures of memoryd and of each other server, by its name."""
    sides: dict[str, dict[str, Any]] = {"memoryd": {"how": IN_PROCESS}}
    speaks = {"memoryd": ours}
    sides["memoryd"]["together"] = asdict(together(ours, load.questions.group(load.users)))
    late = [_newcomer(load, ours, after=load.users) for _ in range(OUR_NEWCOMERS)]
    sides["memoryd"]["newcomer_first_token_s"] = round(median(late), 4)
    say(f"memoryd: {sides['memoryd']}")
    with ExitStack() as stack:
        if peers:
            cpp, python = _peers(load)
            unwarmed = _unwarmed(load, cpp)
            say(f"{cpp.name}, nobody before: {unwarmed}")
            for peer, after in ((cpp, load.users), (python, 1)):
                url = stack.enter_context(started(peer))
                speaks[peer.name] = _speaker(load, peer, url)
                sides[peer.name] = _figures(load, peer, speaks[peer.name], after) | {
                    "http_round_trip_ms": round(1000 * round_trip_s(url + peer.alive), 2)
                }
                say(f"{peer.name}: {sides[peer.name]}")
            sides[cpp.name]["together_unwarmed"] = unwarmed
        held: dict[str, list[Figures]] = {name: [] for name in speaks}
        for _ in range(load.rounds):
            for name, speak in speaks.items():
                held[name].append(together(speak, load.questions.group(load.users)))
    for name, rounds in held.items():
        sides[name]["held"] = asdict(_middle(rounds))
        say(f"{name}, every prefix held: {sides[name]['held']}")
    return sides


def _peers(load: Load) -> tuple[Peer, Peer]:
    """Their caches hold a whole prompt for every slot: they share no cells."""
    settings = load.settings
    cells = settings.parallel * settings.context_tokens
    layers = 999 if settings.gpu_layers < 0 else settings.gpu_layers
    cpp = llama_server(
        settings.path,
        slots=settings.parallel,
        cells=cells,
        threads=settings.threads,
        gpu_layers=layers,
        other=load.llama_server,
    )
    python = llama_cpp_python(
        settings.path, cells=settings.context_tokens, threads=settings.threads, gpu_layers=layers
    )
    return cpp, python


def _speaker(load: Load, peer: Peer, url: str) -> Speak:
    if peer.name == "llama_server":
        return clients.llama_server(url)
    return clients.llama_cpp_python(url, load.prompts.count)


def _unwarmed(load: Load, peer: Peer) -> dict[str, Any]:
    """What people get who are the very first, in a server of their own."""
    with started(peer) as url:
        return asdict(together(_speaker(load, peer, url), load.questions.group(load.users)))


def _figures(load: Load, peer: Peer, speak: Speak, after: int) -> dict[str, Any]:
    cold = listen(speak, load.questions.next())
    return {
        "how": WARMED,
        "settings": peer.settings,
        "cold_first_token_s": round(cold.first_s, 3),
        "together": asdict(together(speak, load.questions.group(load.users))),
        "newcomer_first_token_s": round(_newcomer(load, speak, after=after), 3),
    }


def _newcomer(load: Load, speak: Speak, *, after: int) -> float:
    """A server that answers one at a time (`after` 1) gets answers of the usual length, or it would never end."""
    asks = load.questions.group(load.users)
    if after > 1:
        asks = [up_to(ask, load.long_tokens) for ask in asks]
    return newcomer(speak, asks, load.questions.next(), after=after).first_s


def _middle(rounds: list[Figures]) -> Figures:
    """The round with the median speed."""
    return sorted(rounds, key=lambda each: each.total_tps)[len(rounds) // 2]
