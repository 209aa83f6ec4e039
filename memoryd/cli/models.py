"""`memoryd models` and `memoryd plan`: the language models as the daemon has them, and what they would take.

`plan` speaks to no daemon and loads nothing: it reads the configuration and the files' headers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import typer

from llm.base import ModelError, ModelSettings
from llm.device import Device, device_now
from llm.gguf import GgufInfo, is_there, read_gguf
from llm.plan import GIB, ModelPlan, Plan, Verdict, plan
from memoryd.cli import render
from memoryd.cli.commands import Command, ConfigFile, Json, Url, connected, show_json
from memoryd.cli.identities import app
from memoryd.config import load_config
from memoryd.errors import MemorydError
from memoryd_client import ModelView

__all__ = ["app"]  # with these two commands in it


@app.command("models", cls=Command)
def list_models(*, url: Url = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """List the language models and how far each is."""
    with connected(url, config) as client:
        seen = client.ready().models
    if as_json:
        show_json({"models": [each.model_dump() for each in seen]})
    else:
        _show_models(render.Page(), seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A configured model: its file's header, or why there is none (then the state is `absent` or `failed`)."""

    name: str
    family: str
    settings: ModelSettings
    default: bool
    info: GgufInfo | None = None
    state: str = ""
    fault: str = ""


@app.command("plan", cls=Command)
def plan_models(*, config: ConfigFile = None, as_json: Json = False) -> None:
    """Show what the models would take; load nothing. Exit code 1 where the default one can't be loaded."""
    from memoryd.language_models import local_models

    loaded = load_config(config, to_run=False).config
    candidates = [
        _candidate(name, family, settings, default=name == loaded.llm.default)
        for name, (family, settings) in local_models(loaded).items()
    ]
    readable = [(each.name, each.settings, each.info) for each in candidates if each.info]
    made = plan(readable, device_now())
    plans = {each.name: each for each in made.models}
    if as_json:
        show_json(_document(candidates, plans, made))
    else:
        _show_plan(render.Page(), candidates, plans, made)
    if any(each.default and not _is_loadable(plans.get(each.name)) for each in candidates):
        raise typer.Exit(MemorydError.exit_code)


def _candidate(name: str, family: str, settings: ModelSettings, *, default: bool) -> _Candidate:
    def made(**found: Any) -> _Candidate:
        return _Candidate(name=name, family=family, settings=settings, default=default, **found)

    if not is_there(settings.path):
        return made(state="absent", fault=f"no file at {settings.path}")
    try:
        return made(info=read_gguf(settings.path))
    except ModelError as error:
        return made(state="failed", fault=str(error))


def _is_loadable(made: ModelPlan | None) -> bool:
    return made is not None and made.verdict is not Verdict.REFUSED


def _document(candidates: Sequence[_Candidate], plans: dict[str, ModelPlan], made: Plan) -> dict[str, Any]:
    models = []
    for each in candidates:
        planned = plans.get(each.name)
        facts: dict[str, Any] = asdict(planned) if planned else {"name": each.name, "verdict": each.state}
        facts |= {"family": each.family, "path": str(each.settings.path), "default": each.default}
        facts["fault"] = each.fault
        facts["warnings"] = each.info.warnings if each.info else ()
        models.append(facts)
    return {
        "device": asdict(made.device),
        "models": models,
        "gpu": asdict(made.gpu),
        "ram": asdict(made.ram),
        "left": {"gpu": made.left.gpu_free, "ram": made.left.ram_free},
    }


def _show_plan(
    page: render.Page, candidates: Sequence[_Candidate], plans: dict[str, ModelPlan], made: Plan
) -> None:
    _show_device(page, made.device)
    page.say()
    if not candidates:
        page.say("Language models are switched off (llm.enabled).", style="yellow")
        return
    on_gpu = bool(made.device.gpu)
    table = render.make_table("model", "verdict", *(("GPU layers", "GPU") if on_gpu else ()), "memory")
    for each in candidates:
        planned = plans.get(each.name)
        name = f"{each.name} (default)" if each.default else each.name
        taken = [str(planned.ram)] if planned else []
        if planned and on_gpu:
            taken = [f"{planned.gpu_layers} of {planned.layers}", str(planned.gpu), *taken]
        state = planned.verdict if planned else each.state
        table.add_row(*render.as_cells(name), render.state_cell(state), *render.as_cells(*taken))
    totals = ("", str(made.gpu)) if on_gpu else ()
    table.add_row(*render.as_cells("together", "", *totals, str(made.ram)), style="bold")
    page.print(table)
    page.say()
    for each in candidates:
        _show_remarks(page, each, plans.get(each.name))


def _show_device(page: render.Page, device: Device) -> None:
    if device.gpu:
        own = "shares the machine's memory" if device.shared else _free(device.gpu_free, device.gpu_total)
        page.say(f"GPU: {device.gpu}, {own}")
    else:
        page.say("GPU: none; models are computed on the CPU")
    if device.note:
        page.block(device.note, style="yellow")
    page.say(f"memory: {_free(device.ram_free, device.ram_total)}")


def _free(free: int, total: int) -> str:
    return f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"


def _show_remarks(page: render.Page, candidate: _Candidate, planned: ModelPlan | None) -> None:
    if candidate.fault:
        page.block(f"{candidate.name}: {candidate.fault}", style="red" if candidate.default else "dim")
    if planned and planned.refusal:
        page.block(f"{candidate.name} {planned.refusal}", style="red")
    for warning in candidate.info.warnings if candidate.info else ():
        page.block(f"{candidate.name}: {warning}", style="yellow")


def _show_models(page: render.Page, seen: Sequence[ModelView]) -> None:
    if not seen:
        page.say("No language model is configured.", style="yellow")
        return
    table = render.make_table("model", "family", "state", "identity", "path")
    for each in seen:
        name = f"{each.name} (default)" if each.default else each.name
        identity = "–" if each.identity_version is None else str(each.identity_version)
        table.add_row(
            *render.as_cells(name, each.family),
            render.model_state(each),
            *render.as_cells(identity, each.path),
        )
    page.print(table)
