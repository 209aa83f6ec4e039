"""How answers look on a terminal. Nothing here reads markup or escape codes out of what memories say."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NoReturn

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from memoryd.recall import weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memoryd.config import LoadedConfig
    from memoryd_client import (
        AskAnswer,
        Citation,
        ConversationView,
        Counts,
        Erased,
        FileView,
        ModelView,
        MoodView,
        PartView,
        PromptReport,
        Rebuilt,
        SearchAnswer,
        Status,
        Verified,
        Why,
    )

BUILT_IN = "bundled"
EXCERPT_CELLS = 240
PIPE_WIDTH = 160  # columns of a table where there is no terminal to measure
STATE_STYLES = {
    "ready": "green",
    "indexed": "green",
    "done": "green",
    "fits": "green",
    "fits with fewer layers on the GPU": "yellow",
    "refused": "red",
    "loading": "yellow",
    "running": "yellow",
    "degraded": "yellow",
    "skipped": "yellow",
    "absent": "dim",
    "failed": "red",
    "quarantined": "red",
}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Page(Console):
    """A console that takes text as it is, and leaves a closed pipe to its caller."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() else PIPE_WIDTH
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, width=width)

    def on_broken_pipe(self) -> NoReturn:
        """Passes the error on, where rich would exit by itself."""
        raise BrokenPipeError

    def say(self, text: str = "", style: str = "") -> None:
        """Prints a line that is left as long as it is, so that a path can be copied."""
        self.print(Text(clean(text), style=style), soft_wrap=True)

    def block(self, text: str, indent: int = 0, style: str = "") -> None:
        """Prints text wrapped to the terminal; into a pipe, lines go as they are."""
        whole = Text(clean(text), style=style)
        lines = whole.wrap(self, self.width - indent) if self.is_terminal else whole.split(allow_blank=True)
        for line in lines:
            line.pad_left(indent)
            self.print(line, soft_wrap=True)


def clean(text: str) -> str:
    """The text without what would move the cursor, colour the terminal or ring its bell."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").expandtabs(4))


def excerpt(text: str, cells: int = EXCERPT_CELLS) -> str:
    """The text on one line, cut (with an ellipsis) to so many cells; a Hangul syllable takes two."""
    flat = " ".join(text.split())
    return flat if cell_len(flat) <= cells else f"{set_cell_size(flat, cells - 1).rstrip()}…"


def memories(page: Page, answer: AskAnswer) -> None:
    """What an answer stands on, beneath it."""
    page.say()
    if answer.citations:
        page.say("Memories", style="bold")
        for number, found in enumerate(answer.citations, 1):
            citation(page, number, found, excerpt(found.text))
    else:
        page.say("No memory was found for this question.", style="yellow")
    page.say()
    _unread(page, answer.unread_files)
    if answer.degraded:
        page.block(f"Recall was degraded: {answer.degraded}", style="yellow")
    if answer.finish == "length":
        page.say("The answer was cut off where it was as long as it may be (max_tokens).", style="yellow")
    if answer.note:
        page.block(answer.note, style="yellow")
    if answer.explain and (report := answer.explain.prompt_report):
        page.block(_prompt_report(report), style="green")
    seconds = answer.timings.total_ms / 1000
    page.say(f"{answer.model} · identity {answer.identity_version} · {seconds:.1f} s", style="dim")
    page.say(f"To go on: memoryd ask --conversation {answer.conversation_id} …", style="dim")


def _unread(page: Page, files: int) -> None:
    if files:
        which = "A file is" if files == 1 else f"{files:,} files are"
        page.block(f"{which} still to be read; what is new there was not looked at.", style="yellow")


def _prompt_report(report: PromptReport) -> str:
    parts = {
        "identity": report.identity,
        "your own part": report.own,
        "memories": report.memories,
        "mood": report.mood,
        "conversation": report.conversation,
        "question": report.question,
        "set aside for the template": report.template,
        "and the answer": report.answer,
    }
    split = ", ".join(f"{name} {tokens:,}" for name, tokens in parts.items() if tokens)
    left_out = {
        "memories did not fit": report.memories_left_out,
        "memories stand in the conversation already": report.memories_in_conversation,
        "turns of the conversation did not fit": report.turns_left_out,
    }
    told = "".join(f" {count} {what}." for what, count in left_out.items() if count)
    return f"Prompt, of {report.context:,} tokens: {split}.{told}"


def search(page: Page, found: SearchAnswer, *, explain: bool = False) -> None:
    """What a search found, best first; with the reasons for each place, and what the search heard and took."""
    for number, hit in enumerate(found.hits, 1):
        citation(page, number, hit, hit.text, score=True)
        if hit.why:
            page.say(f"     {_reasons(hit.why)}", style="green")
    if not found.hits:
        page.say("Nothing was found.", style="yellow")
    _unread(page, found.unread_files)
    if found.degraded:
        page.block(f"Recall is degraded: {found.degraded}", style="yellow")
    if explain and found.timings:
        took = found.timings
        dates = f"times heard: {', '.join(found.dates)} · " if found.dates else ""
        reranking = f", cross-encoder {took.rerank_ms:.1f}" if took.rerank_ms else ""
        page.say(
            f"{dates}{took.total_ms:.1f} ms: question {took.embed_ms:.1f}, vectors {took.vectors_ms:.1f}, beside "
            f"them words {took.words_ms:.1f}; ranking {took.rank_ms:.1f}, texts {took.pack_ms:.1f}{reranking}",
            style="dim",
        )


def _reasons(why: Why) -> str:
    """The parts of a hit's score, in one line."""
    parts = [
        f"meaning {why.cosine:.2f}{_ranked(why.meaning_rank)}",
        f"words {weights.WORDS} × {why.words:.2f}{_ranked(why.words_rank)}",
        f"beside it {weights.NEIGHBOURS} × {why.neighbours:.2f}",
    ]
    if why.time:
        parts.append(f"time {weights.TIME} × {why.time:.2f}")
    if why.person:
        parts.append(f"a person's {weights.PERSON}")
    notes = []
    if why.reranked is not None:
        notes.append(f"cross-encoder {why.reranked:.2f}")
    if why.newer:
        notes.append("put first as the newer on its subject")
    return " · ".join([" + ".join(parts), *notes])


def _ranked(rank: int | None) -> str:
    return f" (#{rank})" if rank else ""


def citation(page: Page, number: int, found: Citation, words: str, *, score: bool = False) -> None:
    """One memory: its day, who speaks, its words, its path."""
    facts = [found.day]
    if found.turns:
        facts.insert(0, found.turns[0].time.strftime("%Y-%m-%d %H:%M"))
        facts.append(", ".join(dict.fromkeys(turn.speaker for turn in found.turns)))
    if score:
        facts.append(f"score {found.score:.3f}")
    page.say(f"{number:>3}  {' · '.join(facts)}", style="cyan")
    page.block(words.strip(), indent=5)
    page.say(f"     {found.path}", style="dim")


def status(page: Page, seen: Status, url: str) -> None:
    """The daemon on one page: where it is, its parts, its models, what it holds."""
    page.say(f"memoryd {seen.version} at {url}", style="bold")
    facts = {
        "you": seen.user,
        "up": duration(seen.uptime_s),
        "answers": "yes" if seen.ready.ready else "not yet",
        "identity": f"version {seen.identity_version}" if seen.identity_version else "none yet",
        "last day": seen.last_day.isoformat() if seen.last_day else "nothing remembered yet",
        "memory folder": seen.memory,
        "state folder": seen.state,
        "embedder": seen.embedder,
    }
    facts |= {f"mood of {each.who}": _mood(each) for each in seen.moods}
    _facts(page, {name: fact for name, fact in facts.items() if fact or not name.endswith("folder")})
    page.say()
    parts(page, seen.ready.parts)
    page.say()
    models(page, seen.ready.models)
    page.say()
    _counts(page, seen.counts)


def _mood(mood: MoodView) -> str:
    return (
        f"{mood.emotion}, {mood.sure:.0%} sure; valence {mood.valence:+.2f}, arousal {mood.arousal:+.2f}; "
        f"last said {mood.last_said.astimezone():%Y-%m-%d %H:%M}"
    )


def parts(page: Page, seen: Iterable[PartView]) -> None:
    """A table of the daemon's parts."""
    table = make_table("part", "state", "detail")
    for part in seen:
        table.add_row(*as_cells(part.name), state_cell(part.state), *as_cells(part.detail))
    page.print(table)


def models(page: Page, seen: Sequence[ModelView]) -> None:
    """A table of the language models."""
    if not seen:
        page.say("No language model is configured.", style="yellow")
        return
    table = make_table("model", "state", "family", "detail")
    for model in seen:
        name = f"{model.name} (default)" if model.default else model.name
        words = [model.detail or model.path]
        if model.name == BUILT_IN:
            words.append("built-in: answers by quoting; name a better one in config.toml, [models]")
        table.add_row(*as_cells(name), state_cell(model.state), *as_cells(model.family, "\n".join(words)))
    page.print(table)


def _counts(page: Page, counts: Counts) -> None:
    page.say("memory", style="bold")
    files = f"{counts.files_indexed:,} indexed"
    if counts.files_skipped:
        files += f", {counts.files_skipped:,} skipped"
    if counts.files_quarantined:
        files += f", {counts.files_quarantined:,} quarantined"
    if counts.waiting_files:
        files += f", {counts.waiting_files:,} waiting"
    vectors = f"{counts.vectors:,}"
    if counts.outbox:
        vectors += f", {counts.outbox:,} on their way to Chroma"
    _facts(
        page,
        {
            "files": files,
            "conversations": f"{counts.conversations:,}",
            "turns": f"{counts.turns:,}",
            "passages": f"{counts.passages:,}",
            "vectors": vectors,
            "texts embedded": f"{counts.embedded_texts:,}",
        },
    )
    if counts.files_quarantined:
        page.say("`memoryd files --state quarantined` says what is wrong with those files.", style="yellow")


def files(page: Page, seen: Sequence[FileView]) -> None:
    """A table of files, each with its reason where one isn't indexed."""
    if not seen:
        page.say("No such file.", style="yellow")
        return
    table = make_table("state", "format", "turns", "passages", "file", numbers={"turns", "passages"})
    for file in seen:
        name = Text(clean(file.path))
        if file.reason:
            line = "" if file.line is None else f"line {file.line}: "
            name.append(f"\n  {line}{clean(file.reason)}", style="dim")
        counts = (f"{file.turns:,}", f"{file.passages:,}")
        table.add_row(state_cell(file.state), *as_cells(file.format or "–", *counts), name)
    page.print(table)


def rebuilt(page: Page, seen: Rebuilt) -> None:
    """What a rebuild has begun with."""
    passages = f"{seen.passages:,} passages are being made anew (generation {seen.generation})"
    page.say(f"{passages}; `memoryd status` shows how far.")


def verified(page: Page, seen: Verified) -> None:
    """What was compared, what differs and what waits."""
    for each in seen.differences:
        page.say(each.path or "the whole memory", style="red")
        page.block(f"{each.kind}: {each.detail}", indent=3)
        page.block(f"remedy: {each.remedy}", indent=3, style="dim")
    if seen.more:
        page.say(f"… and {seen.more:,} more differences", style="red")
    for wait in seen.waiting:
        page.say(f"Not compared yet: {wait}.", style="yellow")
    refused = (
        f" ({seen.refused:,} of them skipped or quarantined: see `memoryd files`)" if seen.refused else ""
    )
    page.block(
        f"Compared {seen.files:,} files{refused}, {seen.turns:,} turns, {seen.passages:,} passages, the words of "
        f"{seen.words:,} passages, {seen.vectors:,} vectors, {seen.index_ids:,} ids in Chroma and "
        f"{seen.index_vectors:,} of its vectors in {seen.seconds:.1f} s."
    )
    if not seen.full:
        page.say("Words and Chroma's vectors were compared by a sample; `--full` compares all.", style="dim")
    if not seen.differences:
        page.say("Nothing differs.", style="green")


def to_be_erased(page: Page, seen: ConversationView) -> None:
    """What an erasure would take: how much, from when, where."""
    first, last = seen.turns[0], seen.turns[-1]
    title = f"“{excerpt(seen.title, 60)}”, " if seen.title else ""
    page.say(
        f"{seen.id}: {title}{len(seen.turns):,} turns, {first.time:%Y-%m-%d} to {last.time:%Y-%m-%d}", "bold"
    )
    page.say(f"It begins: {first.speaker}: {excerpt(first.text, 60)}")
    for path in seen.paths:
        page.say(f"  {path}", style="dim")


def erased(page: Page, seen: Erased) -> None:
    """What was erased, what was looked through for it, and what was found."""
    vectors = "" if seen.vectors is None else f", {seen.vectors:,} vectors"
    page.say(f"Erased: {seen.turns:,} turns, {seen.passages:,} passages{vectors}", style="bold")
    for file in seen.files:
        target = f" by {file.target}" if file.target else ""
        page.say(f"  {file.path}: {file.action}{target} ({file.note})")
    proof = seen.proof
    if proof is None:
        page.block("What was looked for in everybody's memory afterwards, and found, is in the origin's log.")
        return
    versions = f"{seen.identities:,} identity versions"
    page.say(f"Lines were cut from {versions}; identity {seen.identity_version} is in force.")
    page.say(f"{seen.log_lines:,} log lines are gone. Index generation {seen.generation} is being filled.")
    if seen.copies:
        page.block(
            f"Gone too, because they were kept of a damaged ledger and may hold it: {', '.join(seen.copies)}."
        )
    sought = f"{proof.fragments:,} fragments and {proof.words:,} words"
    page.say(
        f"Looked for {sought} in {proof.files:,} files of the state folder, {proof.bytes:,} bytes, "
        f"{proof.seconds:.1f} s"
    )
    if not (proof.found or proof.words_left or proof.unread):
        page.say("Nothing was found.", style="green")
    for found in proof.found:
        page.say(f"Still there: {found.fragments:,} fragments in {found.path}", style="red")
    if proof.words_left:
        page.say(f"Still there: {proof.words_left:,} words in the lexical index", style="red")
    for path in proof.unread:
        page.say(f"Could not be looked through: {path}", style="red")
    if proof.shared:
        page.block(
            f"{proof.shared:,} fragments stay, because other conversations hold them too: "
            f"{', '.join(proof.elsewhere) or 'the manifests'}",
            style="yellow",
        )


def config(page: Page, values: dict[str, object], loaded: LoadedConfig) -> None:
    """A table of every key, its value and where that came from."""
    table = make_table("key", "value", "from")
    for key, value in values.items():
        origin = loaded.origins.get(key, "default")
        shown = "" if origin != "default" else "dim"
        written = str(value).lower() if isinstance(value, bool) else str(value) or '""'
        table.add_row(*as_cells(key, written), Text(clean(origin), style=shown))
    page.print(table)
    page.say(f"file: {loaded.file or 'none; every key is optional'}", style="dim")


def duration(seconds: float) -> str:
    """Seconds in the two largest units that they fill: `2 h 5 min`."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (whole % 60, "s")]
    first = next((place for place, (amount, _) in enumerate(units) if amount), 3)
    return " ".join(f"{amount} {unit}" for amount, unit in units[first : first + 2])


def make_table(*columns: str, numbers: frozenset[str] | set[str] = frozenset()) -> Table:
    """An empty table; columns of numbers are aligned at the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        # fold: a long path goes on in the next line; rich would cut it.
        table.add_column(name, overflow="fold", justify="right" if name in numbers else "left")
    return table


def as_cells(*texts: str) -> list[Text]:
    """Texts as cells of a table."""
    return [Text(clean(text)) for text in texts]


def state_cell(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=STATE_STYLES.get(state, ""))


def model_state(model: ModelView) -> Text:
    """A model's state, with how far it is, or why it isn't."""
    cell = state_cell(model.state)
    if model.state == "loading" and model.progress is not None:
        cell.append(f" {model.progress:.0%}".replace("%", " %"))
    elif model.state == "failed":
        cell.append(f": {clean(model.detail)}")
    return cell


def _facts(page: Page, facts: dict[str, str]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        table.add_row(*as_cells(name, fact))
    page.print(table)
