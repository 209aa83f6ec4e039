"""The language models that a configuration names, as `llm` makes them: files of ours, and servers elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm import ModelSettings, RemoteSettings, make_remote, make_runner
from memoryd.config import Model, RemoteModel

if TYPE_CHECKING:
    from llm import Engine, Generator
    from memoryd.config import Config

BUNDLED = "bundled"
BUNDLED_FILE = "gemma-3-270m-q4_k_m.gguf"
IDENTITY_STATES = "identities"


def generators(config: Config, engine: Engine) -> dict[str, Generator]:
    """Every model by name, none loaded yet; the engine computes for those that are files."""
    if not config.llm.enabled:
        return {}
    local: dict[str, Generator] = {
        name: make_runner(family, name, settings, engine)
        for name, (family, settings) in local_models(config).items()
    }
    remote = {
        name: _remote(name, model, config)
        for name, model in config.models.items()
        if isinstance(model, RemoteModel)
    }
    return local | remote


def local_models(config: Config) -> dict[str, tuple[str, ModelSettings]]:
    """Family and settings of each file by name, in the order in which they are loaded: the default one soon."""
    if not config.llm.enabled:
        return {}
    files = {BUNDLED: (BUNDLED, config.paths.models / BUNDLED_FILE)}
    files |= {
        name: (model.family, model.path) for name, model in config.models.items() if isinstance(model, Model)
    }
    llm = config.llm
    return {
        name: (
            files[name][0],
            ModelSettings(
                path=files[name][1],
                context_tokens=llm.context_tokens,
                cache_tokens=llm.cache_tokens,
                parallel=llm.parallel,
                waiting=llm.waiting,
                gpu_layers=llm.gpu_layers,
                fewer_gpu_layers=llm.fewer_gpu_layers,
                threads=llm.threads,
                kv_type=llm.kv_type,
                states=config.paths.state / IDENTITY_STATES,
            ),
        )
        for name in dict.fromkeys([BUNDLED, llm.default, *files])
        if name in files
    }


def _remote(name: str, model: RemoteModel, config: Config) -> Generator:
    return make_remote(
        name,
        RemoteSettings(
            url=model.url,
            model=model.model,
            api_key=model.api_key.get_secret_value(),
            context_tokens=config.llm.context_tokens,
            read_timeout_s=model.read_timeout_seconds,
        ),
    )
