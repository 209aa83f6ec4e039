"""The systemd unit names a command that exists, and settings that the daemon knows."""

from __future__ import annotations

import shlex
from pathlib import Path

from typer.testing import CliRunner

from memoryd.cli.commands import app
from memoryd.config import load_config

UNIT = Path(__file__).parents[2] / "deploy" / "memoryd.service"


def settings(key: str) -> list[str]:
    """Every value of a key, in order; the unit has each key in one section only."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [value for name, _, value in (line.partition("=") for line in lines) if name == key]


def test_the_unit_is_of_the_notifying_kind_and_has_ninety_seconds_to_stop() -> None:
    assert settings("Type") == ["notify"]
    assert settings("NotifyAccess") == ["main"]
    assert settings("TimeoutStopSec") == ["90"]
    assert settings("KillMode") == ["mixed"]


def test_the_manifest_is_in_place_before_the_first_start() -> None:
    steps = UNIT.read_text(encoding="utf-8").partition("[Unit]")[0]
    folder, manifest, start = map(
        steps.index, ("install -d -o memoryd", "manifest/*.txt", "systemctl enable --now")
    )
    assert folder < manifest < start


def test_the_command_and_its_options_exist() -> None:
    (command,) = settings("ExecStart")
    env, program, subcommand, *options = shlex.split(command)
    assert env == "/usr/bin/env"
    assert Path(program).name == "memoryd"
    help_text = CliRunner().invoke(app, [subcommand, "--help"]).output
    flags = [option for option in options if option.startswith("--")]
    assert flags
    assert all(flag in help_text for flag in flags)


def test_the_environment_is_one_that_the_configuration_accepts(tmp_path: Path) -> None:
    pairs = [value.split("=", 1) for value in settings("Environment")]
    environment = {name: value.replace("/var/lib", str(tmp_path)) for name, value in pairs}
    for name in ("MEMORYD_PATHS__MEMORY", "MEMORYD_PATHS__MANIFEST"):
        Path(environment[name]).mkdir(parents=True)
    loaded = load_config(None, environment)
    assert loaded.config.paths.state == tmp_path / "memoryd/state"


def test_every_folder_that_the_environment_names_is_made_by_systemd() -> None:
    (made,) = settings("StateDirectory")
    named = {value.split("=", 1)[1] for value in settings("Environment") if "/var/lib/" in value}
    assert named <= {f"/var/lib/{folder}" for folder in made.split()}
