"""One frozen configuration from defaults, `config.toml` and the environment, each value with its origin.

defaults ◀── config.toml ◀── MEMORYD_<SECTION>__<KEY>   ──▶ Config + origins
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from memoryd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apscheduler.triggers.cron import CronTrigger

ENV_PREFIX = "MEMORYD_"
DEFAULT_CRON = "0 4 * * *"
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
WEEKDAY_NUMBERS = re.compile(r"(?:(?P<first>[0-7])(?:-(?P<last>[0-7]))?|\*(?=/))(?:/(?P<step>[1-9]))?\Z")
ENV_FILE = "MEMORYD_CONFIG"
# Read by the command line, not by the configuration.
NOT_KEYS = frozenset({ENV_FILE, "MEMORYD_TOKEN", "MEMORYD_URL"})
REMOTE = "remote"


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Paths(Section):
    """Folders; relative ones start at the configuration file's folder."""

    memory: Path = Path("memory")
    manifest: Path = Path("manifest")
    state: Path = Path("state")
    models: Path = Path("models")


class Server(Section):
    """Where the daemon listens, and how much it takes in one call."""

    host: str = "127.0.0.1"
    port: int = Field(default=7777, ge=0, le=65535)
    max_body_bytes: int = Field(default=32 * 2**20, ge=2**16)


class Log(Section):
    """How much is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Watch(Section):
    """When a changed file is read. Seconds and bytes."""

    settle_seconds: float = Field(default=1.0, ge=0, le=3600)
    rescan_seconds: float = Field(default=3600.0, ge=0)
    network_scan_seconds: float = Field(default=10.0, gt=0)
    max_file_bytes: int = Field(default=256 * 2**20, ge=1)


class Embedding(Section):
    """Which model makes vectors, and how."""

    model: str = "bundled"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    batch_tokens: int = Field(default=0, ge=0, le=2**20)
    query_prompt: str = "auto"
    passage_prompt: str = "auto"


class Store(Section):
    """Chroma: a child process, or a server elsewhere."""

    chroma_url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    batch_size: int = Field(default=100, ge=1, le=5000)
    max_file_bytes: int = Field(default=16 * 2**30, ge=2**20)
    sync_threshold: int = Field(default=1000, ge=3)


class Passages(Section):
    """How turns become passages. Tokens of the embedder."""

    max_tokens: int = Field(default=200, ge=32, le=8192)


class Recall(Section):
    """How much is found and how much of it reaches the model."""

    candidates: int = Field(default=100, ge=1, le=1000)
    passages: int = Field(default=8, ge=1, le=100)
    token_budget: int = Field(default=1200, ge=100)
    reranker: str = ""
    rerank_milliseconds: int = Field(default=300, ge=1, le=60_000)


class Replay(Section):
    """When and how large the identity is made."""

    cron: str = DEFAULT_CRON
    timezone: str = ""
    token_budget: int = Field(default=2000, ge=100)
    digests: Literal["extractive", "model"] = "extractive"


class Llm(Section):
    """What holds for every language model."""

    enabled: bool = True
    default: str = "bundled"
    max_tokens: int = Field(default=512, ge=1, le=8192)
    temperature: float = Field(default=0.0, ge=0, le=2)
    context_tokens: int = Field(default=8192, ge=256)
    cache_tokens: int = Field(default=0, ge=0)
    parallel: int = Field(default=6, ge=1, le=64)
    waiting: int = Field(default=32, ge=0, le=10_000)
    kv_type: Literal["f32", "f16", "q8_0"] = "f16"
    gpu_layers: int = Field(default=-1, ge=-1)
    fewer_gpu_layers: bool = False
    threads: int = Field(default=0, ge=0)


class Being(Section):
    """Who answers."""

    name: str = Field(default="에코", min_length=1, max_length=40)


class Model(Section):
    """One GGUF model."""

    family: Literal["mixtral", "llama", "deepseek"]
    path: Path


class RemoteModel(Section):
    """One model behind an OpenAI-compatible server."""

    family: Literal["remote"]
    url: str = Field(pattern=r"^https?://\S+$")
    model: str = ""
    api_key: SecretStr = SecretStr("")
    read_timeout_seconds: float = Field(default=60.0, gt=0, le=3600)


AnyModel = Annotated[Model | RemoteModel, Field(discriminator="family")]

DEFAULT_MODELS: dict[str, Model | RemoteModel] = {
    "mixtral": Model(
        family="mixtral", path=Path("/workspace/llm_models/mixtral-8x7b-instruct-v0.1.Q4_K_M.gguf")
    ),
    "llama": Model(family="llama", path=Path("/workspace/llm_models/llama-3.1-8b-instruct.Q4_K_M.gguf")),
    "deepseek": Model(
        family="deepseek", path=Path("/workspace/llm_models/deepseek-r1-distill-qwen-7b.Q4_K_M.gguf")
    ),
}


class Config(Section):
    """The whole configuration, frozen."""

    paths: Paths = Paths()
    server: Server = Server()
    log: Log = Log()
    watch: Watch = Watch()
    embedding: Embedding = Embedding()
    store: Store = Store()
    passages: Passages = Passages()
    recall: Recall = Recall()
    replay: Replay = Replay()
    being: Being = Being()
    llm: Llm = Llm()
    models: dict[str, AnyModel] = DEFAULT_MODELS


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A configuration and where each value came from.

    Attributes:
        origins: `section.key` → `default`, the file's path, or the environment variable's name.
        file: the file that was read, or None.
    """

    config: Config
    origins: dict[str, str]
    file: Path | None


def load_config(
    path: Path | None = None, env: Mapping[str, str] | None = None, *, to_run: bool = True
) -> LoadedConfig:
    """Reads the configuration.

    Args:
        path: the file; without one, `MEMORYD_CONFIG`, then `./config.toml` if it is there.
        env: the environment (the process's own by default).
        to_run: whether a daemon is to run on it, so that its folders must be there; a client needs none.

    Raises:
        ConfigError: names the file or variable, the key and the remedy.
    """
    environ = os.environ if env is None else env
    file = _find_file(path, environ)
    base = file.parent.resolve() if file else Path.cwd()
    raw: dict[str, Any] = _read_file(file) if file else {}
    if file:
        _check_types(raw, file)
    origins = {key: str(file) for key in _flatten(raw)}
    for key, (variable, value) in _from_environment(environ).items():
        section, name = key.split(".", 1)
        _put(raw, section, name, value, variable)
        origins[key] = variable
    if isinstance(raw.get("models"), dict):
        # A file that names one model keeps the others' defaults.
        raw["models"] = {name: m.model_dump() for name, m in DEFAULT_MODELS.items()} | raw["models"]
    config = _validate(raw, origins, file)
    config = _absolute(config, base)
    _check_default_model(config, origins)
    _check_cache(config, origins)
    if to_run:
        _check_folders(config, origins)
    _check_cron(config, origins)
    _check_timezone(config, origins)
    return LoadedConfig(
        config=config,
        origins={key: origins.get(key, "default") for key in _flatten(config.model_dump())},
        file=file,
    )


def flat(config: Config) -> dict[str, object]:
    """`section.key` → value, for printing."""
    return _flatten(config.model_dump())


def cron_trigger(cron: str, timezone: str | None = None) -> CronTrigger:
    """APScheduler's trigger of cron's five fields; None for the machine's own time zone.

    Raises:
        ValueError: it is no schedule.
    """
    from apscheduler.triggers.cron import CronTrigger

    fields = cron.split()
    # APScheduler 3 counts weekdays from Monday, cron from Sunday.
    return CronTrigger.from_crontab(" ".join([*fields[:4], *map(_weekdays, fields[4:])]), timezone=timezone)


def _weekdays(field: str) -> str:
    """Cron's weekday field with names for its numbers, ranges written out: `5-7` is `fri,sat,sun`."""
    days: list[str] = []
    for part in field.split(","):
        match = WEEKDAY_NUMBERS.match(part)
        if match is None:
            days.append(part)
            continue
        first, last = int(match["first"] or 0), int(match["last"] or match["first"] or 6)
        days += [WEEKDAYS[day % 7] for day in range(first, last + 1, int(match["step"] or 1))] or [part]
    return ",".join(days)


def _find_file(path: Path | None, env: Mapping[str, str]) -> Path | None:
    if path is None and env.get(ENV_FILE):
        path = Path(env[ENV_FILE])
    if path is None:
        here = Path("config.toml")
        return here.resolve() if here.is_file() else None
    if not path.is_file():
        raise ConfigError(
            f"There is no configuration file at {path}. Name one with --config, or leave the option out."
        )
    return path.resolve()


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}. Mend that line.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text. Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}.") from error


def _check_types(raw: dict[str, Any], file: Path) -> None:
    """TOML knows text from numbers, so a number in quotes is a mistake (in the environment it is the only way)."""
    kinds: dict[type, tuple[tuple[type, ...], str]] = {
        bool: ((bool,), "true or false"),
        int: ((int,), "a whole number"),
        float: ((int, float), "a number"),
    }
    defaults = _flatten(Config().model_dump())
    for key, value in _flatten(raw).items():
        allowed, words = kinds.get(type(defaults.get(key)), ((str,), "text in quotes"))
        wrong = not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)
        if key in defaults and wrong:
            raise ConfigError(
                f"{file}: {key}: {value!r} is not {words}. config.toml says what each key takes."
            )


def _from_environment(env: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    found = {}
    for variable, value in env.items():
        if not variable.startswith(ENV_PREFIX) or variable in NOT_KEYS:
            continue
        parts = variable[len(ENV_PREFIX) :].lower().split("__")
        if len(parts) not in {2, 3} or not all(parts):
            raise ConfigError(
                f"The environment variable {variable} names no key. "
                f"Write {ENV_PREFIX}<SECTION>__<KEY>, for example MEMORYD_SERVER__PORT."
            )
        found[".".join(parts)] = (variable, value)
    return found


def _put(raw: dict[str, Any], section: str, name: str, value: str, variable: str) -> None:
    """Sets one value; `models.llama.path` has three parts, every other key two."""
    target = raw.setdefault(section, {})
    if not isinstance(target, dict):
        raise ConfigError(f"[{section}] is not a section, so {variable} can't be set.")
    if section == "models" and "." in name:
        model, key = name.split(".", 1)
        default = DEFAULT_MODELS[model].model_dump() if model in DEFAULT_MODELS else {}
        written = target.get(model, {})
        if not isinstance(written, dict):
            raise ConfigError(f"[{section}] {model} is not a section, so {variable} can't be set.")
        target[model] = {**default, **written, key: value}
        if target[model].get("family") == REMOTE and target[model].get("path") == default.get("path"):
            target[model].pop("path", None)  # nobody wrote it
    else:
        target[name] = value


def _validate(raw: dict[str, Any], origins: dict[str, str], file: Path | None) -> Config:
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(_key(first))
        where = origins.get(key) or (str(file) if file else "the environment")
        raise ConfigError(f"{where}: {key}: {_remedy(first, key)}") from error


def _key(fault: Any) -> list[str]:
    """Where in the file a fault is; a model's family, by which its other keys go, is a step for pydantic only."""
    parts = [str(part) for part in fault["loc"]]
    if parts[0] == "models":
        del parts[2:3]
        parts += ["family"] if fault["type"].startswith("union_tag") else []
    return parts


def _remedy(fault: Any, key: str) -> str:
    kind = fault["type"]
    if kind == "extra_forbidden":
        section, _, name = key.rpartition(".")
        if section.startswith("models.") and name in {*Model.model_fields, *RemoteModel.model_fields}:
            return f'a model on a server (family "{REMOTE}") has a url, one in a file has a path. Leave {name} out.'
        known = list(_flatten(Config().model_dump())) + list(Config.model_fields)
        close = difflib.get_close_matches(key, known, n=1)
        hint = f' Did you mean "{close[0]}"?' if close else " `memoryd config` lists the keys."
        return f"no such key.{hint}"
    # The input may be a whole section, with its secrets.
    if kind in {"missing", "union_tag_not_found"}:
        return "it is missing. config.toml says what each key takes."
    if kind == "union_tag_invalid":
        return f"it should be one of {fault['ctx']['expected_tags']}; it is {fault['ctx']['tag']!r}."
    message = str(fault["msg"])
    written = "hidden here" if key.endswith(".api_key") else f"{fault['input']!r}"
    return f"{message[0].lower()}{message[1:]}; it is {written}. config.toml says what each key takes."


def _absolute(config: Config, base: Path) -> Config:
    paths = {name: base / value.expanduser() for name, value in config.paths}
    models = {
        name: model.model_copy(update={"path": base / model.path.expanduser()})
        if isinstance(model, Model)
        else model
        for name, model in config.models.items()
    }
    return config.model_copy(update={"paths": Paths(**paths), "models": models})


def _check_default_model(config: Config, origins: dict[str, str]) -> None:
    known = ["bundled", *config.models]
    if config.llm.default not in known:
        where = origins.get("llm.default", "default")
        close = difflib.get_close_matches(config.llm.default, known, n=1)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        raise ConfigError(
            f'{where}: llm.default: there is no model "{config.llm.default}".{hint} '
            f"Known are {', '.join(known)}; add others as [models.NAME]."
        )
    if "bundled" in config.models:
        raise ConfigError(
            "[models.bundled]: this name belongs to the built-in model. Give yours another name."
        )


def _check_cache(config: Config, origins: dict[str, str]) -> None:
    cells, context = config.llm.cache_tokens, config.llm.context_tokens
    if 0 < cells < context:
        where = origins.get("llm.cache_tokens") or origins.get("llm.context_tokens", "default")
        raise ConfigError(
            f"{where}: llm.cache_tokens: {cells} cells can't hold one context of {context} tokens"
            " (llm.context_tokens). Raise it, or write 0 for twice the context."
        )


def _check_folders(config: Config, origins: dict[str, str]) -> None:
    """`memory` and `manifest` must be there; `state` and `models` are made when needed."""
    for name in ("memory", "manifest"):
        folder: Path = getattr(config.paths, name)
        if not folder.is_dir():
            where = origins.get(f"paths.{name}", "default")
            raise ConfigError(
                f"{where}: paths.{name}: there is no folder {folder}. "
                f"Make it (`mkdir -p {folder}`) or set paths.{name} to the right one."
            )


def _check_cron(config: Config, origins: dict[str, str]) -> None:
    if config.replay.cron in {"", DEFAULT_CRON}:
        return
    try:
        # Costs an import, so only where there is something to check: the port opens first.
        cron_trigger(config.replay.cron)
    except ValueError as error:
        where = origins.get("replay.cron", "default")
        raise ConfigError(
            f"{where}: replay.cron: {config.replay.cron!r} is no schedule: {error}. "
            'Write cron\'s five fields, for example "0 4 * * *" (four in the morning), or "" for never.'
        ) from error


def _check_timezone(config: Config, origins: dict[str, str]) -> None:
    name = config.replay.timezone
    if not name:
        return
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        where = origins.get("replay.timezone", "default")
        raise ConfigError(
            f"{where}: replay.timezone: there is no time zone {name!r}. "
            'Write one as "Asia/Seoul", or "" for the machine\'s own.'
        ) from error


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat_keys: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat_keys |= _flatten(value, f"{prefix}{key}.")
        else:
            flat_keys[f"{prefix}{key}"] = value
    return flat_keys
