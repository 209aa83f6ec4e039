"""The configuration: where values come from, and what is said when one is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from memoryd.config import Config, Model, RemoteModel, flat, load_config
from memoryd.errors import ConfigError

REPO_FILE = Path(__file__).parents[2] / "config.toml"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the two folders that must be there."""
    (tmp_path / "memory").mkdir()
    (tmp_path / "manifest").mkdir()
    return tmp_path


def write(home: Path, text: str) -> Path:
    file = home / "config.toml"
    file.write_text(text, encoding="utf-8")
    return file


def complaint(home: Path, text: str = "", env: dict[str, str] | None = None) -> str:
    """What is said about a wrong configuration."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(home, text), env or {})
    return str(caught.value)


def plain(tree: dict[str, Any]) -> dict[str, object]:
    """`section.key` → value of a TOML tree."""
    found: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= {f"{key}.{name}": each for name, each in plain(value).items()}
        else:
            found[key] = value
    return found


def defaults() -> dict[str, object]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in flat(Config()).items()}


def gguf(config: Config, name: str) -> Model:
    model = config.models[name]
    assert isinstance(model, Model)
    return model


# What the repository's config.toml says


def test_the_files_values_are_the_defaults_key_by_key() -> None:
    assert plain(tomllib.loads(REPO_FILE.read_text(encoding="utf-8"))) == defaults()


@pytest.mark.parametrize("section", [name for name in Config.model_fields if name != "models"])
def test_every_key_of_the_file_stands_under_a_comment(section: str) -> None:
    lines = REPO_FILE.read_text(encoding="utf-8").splitlines()
    start = lines.index(f"[{section}]") + 1
    commented = False
    keys = []
    for line in lines[start:]:
        if line.startswith("[") or not line:
            break
        if line.startswith("#"):
            commented = True
        else:
            assert commented, line
            keys.append(line.split(" = ")[0])
    assert keys == list(getattr(Config(), section).__class__.model_fields)


def test_the_models_stand_under_a_comment_that_names_their_keys() -> None:
    above = REPO_FILE.read_text(encoding="utf-8").partition("[models.mixtral]")[0].rsplit("\n\n", 1)[1]
    assert above.startswith("# ")
    assert "`family`" in above
    assert "`path`" in above


def test_the_repositorys_file_loads_as_it_is() -> None:
    loaded = load_config(REPO_FILE, {})
    assert loaded.config.paths.memory == REPO_FILE.parent / "memory"
    assert set(loaded.origins.values()) == {str(REPO_FILE)}


# Where values come from


def test_an_empty_file_gives_the_defaults(home: Path) -> None:
    loaded = load_config(write(home, ""), {})
    assert loaded.config.server == Config().server
    assert set(loaded.origins.values()) == {"default"}
    assert set(loaded.origins) == set(defaults())


def test_the_file_outdoes_the_default_and_the_environment_outdoes_the_file(home: Path) -> None:
    file = write(home, '[server]\nport = 8001\nhost = "0.0.0.0"\n')
    loaded = load_config(file, {"MEMORYD_SERVER__PORT": "8002"})
    assert loaded.config.server.port == 8002
    assert loaded.config.server.host == "0.0.0.0"  # noqa: S104  (a value, nothing listens)
    assert loaded.origins["server.port"] == "MEMORYD_SERVER__PORT"
    assert loaded.origins["server.host"] == str(file)
    assert loaded.origins["log.level"] == "default"


def test_the_environment_gives_switches_numbers_and_decimals(home: Path) -> None:
    env = {
        "MEMORYD_LLM__ENABLED": "false",
        "MEMORYD_LLM__TEMPERATURE": "0.7",
        "MEMORYD_LLM__GPU_LAYERS": "-1",
        "MEMORYD_BEING__NAME": "보리",
    }
    config = load_config(write(home, ""), env).config
    assert (config.llm.enabled, config.llm.temperature, config.llm.gpu_layers) == (False, 0.7, -1)
    assert config.being.name == "보리"


def test_what_the_command_line_reads_from_the_environment_is_no_key(home: Path) -> None:
    file = write(home, "")
    env = {"MEMORYD_CONFIG": str(file), "MEMORYD_TOKEN": "t", "MEMORYD_URL": "http://x", "PATH": "/bin"}
    assert load_config(None, env).file == file


def test_the_environment_names_the_file_when_no_option_does(home: Path) -> None:
    named, other = write(home, "[server]\nport = 1\n"), home / "other.toml"
    other.write_text("[server]\nport = 2\n")
    assert load_config(None, {"MEMORYD_CONFIG": str(named)}).config.server.port == 1
    assert load_config(other, {"MEMORYD_CONFIG": str(named)}).config.server.port == 2


def test_a_file_in_the_working_folder_is_found_and_none_is_no_fault(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    assert load_config(None, {}).file is None
    assert load_config(None, {}).config.paths.memory == home / "memory"
    file = write(home, "[server]\nport = 9\n")
    loaded = load_config(None, {})
    assert (loaded.file, loaded.config.server.port) == (file, 9)


def test_relative_paths_start_at_the_files_folder_and_absolute_ones_stay(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    file = write(
        home,
        '[paths]\nstate = "deep/state"\nmodels = "/models"\n\n'
        '[models.llama]\nfamily = "llama"\npath = "gguf/l.gguf"\n',
    )
    config = load_config(file, {}).config
    assert config.paths.state == home / "deep/state"
    assert config.paths.models == Path("/models")
    assert gguf(config, "llama").path == home / "gguf/l.gguf"


# Models


def test_a_models_path_is_set_by_the_environment_and_its_family_stays(home: Path) -> None:
    loaded = load_config(write(home, ""), {"MEMORYD_MODELS__LLAMA__PATH": "/srv/l.gguf"})
    llama = gguf(loaded.config, "llama")
    assert (llama.family, llama.path) == ("llama", Path("/srv/l.gguf"))
    assert loaded.origins["models.llama.path"] == "MEMORYD_MODELS__LLAMA__PATH"


def test_the_environment_outdoes_the_file_for_one_key_of_a_model(home: Path) -> None:
    file = write(home, '[models.llama]\nfamily = "deepseek"\npath = "/a.gguf"\n')
    model = gguf(load_config(file, {"MEMORYD_MODELS__LLAMA__PATH": "/b.gguf"}).config, "llama")
    assert (model.family, model.path) == ("deepseek", Path("/b.gguf"))


def test_a_file_that_names_one_model_keeps_the_others(home: Path) -> None:
    file = write(home, '[models.night]\nfamily = "llama"\npath = "/n.gguf"\n')
    assert set(load_config(file, {}).config.models) == {"mixtral", "llama", "deepseek", "night"}


def test_a_model_of_an_unknown_family_is_named_with_the_known_ones(home: Path) -> None:
    said = complaint(home, '[models.night]\nfamily = "gpt"\npath = "/n.gguf"\n')
    assert said.startswith(f"{home / 'config.toml'}: models.night.family: ")
    assert "'mixtral', 'llama', 'deepseek', 'remote'; it is 'gpt'" in said


def test_a_model_on_a_server_has_an_address_and_keeps_its_key_to_itself(home: Path) -> None:
    text = '[models.big]\nfamily = "remote"\nurl = "http://10.0.0.5:8000"\n'
    loaded = load_config(write(home, text), {"MEMORYD_MODELS__BIG__API_KEY": "geheim"})
    big = loaded.config.models["big"]
    assert isinstance(big, RemoteModel)
    assert (big.url, big.model, big.read_timeout_seconds) == ("http://10.0.0.5:8000", "", 60.0)
    assert big.api_key.get_secret_value() == "geheim"
    assert "geheim" not in str(flat(loaded.config))
    assert loaded.origins["models.big.api_key"] == "MEMORYD_MODELS__BIG__API_KEY"


def test_the_environment_alone_moves_a_model_to_a_server(home: Path) -> None:
    env = {"MEMORYD_MODELS__LLAMA__URL": "http://big:1", "MEMORYD_MODELS__LLAMA__FAMILY": "remote"}
    assert isinstance(load_config(write(home, ""), env).config.models["llama"], RemoteModel)


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('family = "remote"\napi_key = "geheim"', "url", "it is missing"),
        ('family = "remote"\nurl = "10.0.0.5"', "url", "pattern"),
        (
            'family = "remote"\nurl = "http://big"\npath = "x.gguf"',
            "path",
            "has a url, one in a file has a path",
        ),
        (
            'family = "llama"\npath = "x.gguf"\nurl = "http://big"',
            "url",
            "has a url, one in a file has a path",
        ),
        ('family = "llama"', "path", "it is missing"),
        ('api_key = "geheim"', "family", "it is missing"),
        ('family = "remote"\nurl = "http://big"\nkey = "x"', "key", "no such key"),
        ('family = "remote"\nurl = "http://big"\napi_key = ["geheim"]', "api_key", "hidden here"),
    ],
)
def test_a_models_fault_names_the_key_and_no_secret(home: Path, text: str, key: str, said: str) -> None:
    complained = complaint(home, f"[models.big]\n{text}\n")
    assert f": models.big.{key}: " in complained
    assert said in complained
    assert "geheim" not in complained


def test_a_cache_holds_one_context_at_least(home: Path) -> None:
    said = complaint(home, "[llm]\ncache_tokens = 4096\n")
    assert said == (
        f"{home / 'config.toml'}: llm.cache_tokens: 4096 cells can't hold one context of 8192 tokens"
        " (llm.context_tokens). Raise it, or write 0 for twice the context."
    )
    assert load_config(write(home, "[llm]\ncache_tokens = 8192\n"), {}).config.llm.cache_tokens == 8192


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("models = 5", {}),
        ("models = 5", {"MEMORYD_MODELS__LLAMA__PATH": "/x"}),
        ("[models]\nllama = 5", {}),
        ("[models]\nllama = 5", {"MEMORYD_MODELS__LLAMA__PATH": "/x"}),
        ("", {"MEMORYD_MODELS__LLAMA": "/x"}),
        ("server = 5", {}),
        ("server = 5", {"MEMORYD_SERVER__PORT": "1"}),
    ],
)
def test_a_value_where_a_section_belongs_is_named(home: Path, text: str, env: dict[str, str]) -> None:
    said = complaint(home, text, env)
    assert "models" in said or "server" in said


# What is said when something is wrong: the file or variable, the key, the remedy


def test_a_wrong_type_in_the_file_names_file_key_and_value(home: Path) -> None:
    said = complaint(home, '[server]\nport = "many"\n')
    assert said.startswith(f"{home / 'config.toml'}: server.port: ")
    assert "'many' is not a whole number" in said
    assert "config.toml says what each key takes" in said


@pytest.mark.parametrize(
    "line", ['[server]\nport = "7777"', '[llm]\nenabled = "off"', "[watch]\nsettle_seconds = true"]
)
def test_a_value_of_another_type_is_not_bent_into_shape(home: Path, line: str) -> None:
    assert "is not" in complaint(home, line + "\n")


def test_a_wrong_value_in_the_environment_names_the_variable(home: Path) -> None:
    said = complaint(home, "[server]\nport = 7070\n", {"MEMORYD_SERVER__PORT": "99999"})
    assert said.startswith("MEMORYD_SERVER__PORT: server.port: ")
    assert "65535" in said


@pytest.mark.parametrize(
    ("text", "env", "key", "meant"),
    [
        ("[server]\nprot = 1\n", {}, "server.prot", "server.port"),
        ("[sever]\nport = 1\n", {}, "sever", "server"),
        ("", {"MEMORYD_LOG__LEVLE": "info"}, "log.levle", "log.level"),
    ],
)
def test_an_unknown_key_comes_with_the_one_that_was_meant(
    home: Path, text: str, env: dict[str, str], key: str, meant: str
) -> None:
    said = complaint(home, text, env)
    where = next(iter(env), str(home / "config.toml"))
    assert said == f'{where}: {key}: no such key. Did you mean "{meant}"?'


def test_an_unknown_key_like_no_other_points_to_the_list(home: Path) -> None:
    assert complaint(home, "[zzz]\nqqq = 1\n").endswith("no such key. `memoryd config` lists the keys.")


@pytest.mark.parametrize("variable", ["MEMORYD_PORT", "MEMORYD_SERVER__", "MEMORYD_A__B__C__D"])
def test_a_variable_that_names_no_key_is_told_how_to(home: Path, variable: str) -> None:
    said = complaint(home, env={variable: "1"})
    assert variable in said
    assert "MEMORYD_SERVER__PORT" in said


def test_a_missing_memory_folder_names_the_folder_and_how_to_make_it(tmp_path: Path) -> None:
    (tmp_path / "manifest").mkdir()
    said = complaint(tmp_path)
    assert said == (
        f"default: paths.memory: there is no folder {tmp_path / 'memory'}. "
        f"Make it (`mkdir -p {tmp_path / 'memory'}`) or set paths.memory to the right one."
    )


def test_a_missing_manifest_folder_from_the_environment_names_the_variable(home: Path) -> None:
    said = complaint(home, env={"MEMORYD_PATHS__MANIFEST": "elsewhere"})
    assert said.startswith("MEMORYD_PATHS__MANIFEST: paths.manifest: there is no folder ")
    assert str(home / "elsewhere") in said


@pytest.mark.parametrize("cron", ["whenever", "0 4 * *", "61 4 * * *", "0 4 * * * *"])
def test_a_schedule_that_is_none_is_named_with_an_example(home: Path, cron: str) -> None:
    said = complaint(home, f'[replay]\ncron = "{cron}"\n')
    assert said.startswith(f"{home / 'config.toml'}: replay.cron: '{cron}' is no schedule")
    assert '"0 4 * * *"' in said


@pytest.mark.parametrize("cron", ["", "*/5 * * * *", "0 4 * * mon-fri"])
def test_a_schedule_of_five_fields_or_none_at_all_is_taken(home: Path, cron: str) -> None:
    assert load_config(write(home, f'[replay]\ncron = "{cron}"\n'), {}).config.replay.cron == cron


@pytest.mark.parametrize("zone", ["Mars/Phobos", "../../etc/passwd", "서울"])
def test_a_time_zone_that_nobody_knows_is_named_with_an_example(home: Path, zone: str) -> None:
    said = complaint(home, f'[replay]\ntimezone = "{zone}"\n')
    assert said.startswith(f"{home / 'config.toml'}: replay.timezone: ")
    assert zone in said
    assert "Asia/Seoul" in said


def test_a_known_time_zone_is_taken(home: Path) -> None:
    assert load_config(write(home, '[replay]\ntimezone = "Asia/Seoul"\n'), {}).config.replay.timezone


def test_bad_toml_names_file_and_line(home: Path) -> None:
    said = complaint(home, "[server]\nport = \n")
    assert said.startswith(f"{home / 'config.toml'} is not valid TOML: ")
    assert "line 2" in said


def test_a_file_that_is_not_utf8_is_told_to_be(home: Path) -> None:
    (home / "config.toml").write_bytes('[being]\nname = "에코"\n'.encode("cp949"))
    with pytest.raises(ConfigError, match=r"is not UTF-8 text\. Save it as UTF-8"):
        load_config(home / "config.toml", {})


def test_the_mark_that_windows_editors_put_first_is_no_fault(home: Path) -> None:
    file = home / "config.toml"
    file.write_text("[server]\nport = 8003\n", encoding="utf-8-sig")
    assert load_config(file, {}).config.server.port == 8003


def test_a_file_that_is_not_there_is_named_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no configuration file at .*gone\.toml\. Name one with --config"):
        load_config(tmp_path / "gone.toml", {})


def test_the_address_of_a_chroma_server_must_be_one(home: Path) -> None:
    assert "store.chroma_url" in complaint(home, '[store]\nchroma_url = "host:8000"\n')


# Frozen


def test_a_loaded_configuration_cant_be_changed(home: Path) -> None:
    config = load_config(write(home, ""), {}).config
    with pytest.raises(ValidationError, match="frozen"):
        config.server.port = 1
    with pytest.raises(ValidationError, match="frozen"):
        config.server = Config().server


def test_a_default_model_that_nobody_configured_is_named_with_what_was_meant(home: Path) -> None:
    said = complaint(home, '[llm]\ndefault = "lama"\n')
    assert "llm.default" in said
    assert 'Did you mean "llama"?' in said


def test_the_built_in_models_name_is_taken(home: Path) -> None:
    assert "[models.bundled]" in complaint(home, '[models.bundled]\nfamily = "llama"\npath = "x.gguf"\n')


def test_a_home_folder_in_a_path_is_the_users(home: Path) -> None:
    (home / "config.toml").write_text(
        '[models.llama]\nfamily = "llama"\npath = "~/x.gguf"\n', encoding="utf-8"
    )
    assert gguf(load_config(home / "config.toml", {}).config, "llama").path == Path.home() / "x.gguf"


def test_a_client_needs_no_memory_folder(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("", encoding="utf-8")
    assert load_config(tmp_path / "config.toml", {}, to_run=False).config.server.port == 7777
