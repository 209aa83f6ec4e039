"""`memoryd run` ends at once, and quietly, when it is told to stop before the app has the port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# The signal comes while a module is imported, within a callback whose exceptions Python ignores.
STOPPED = """
import os, sys, weakref
from memoryd.cli.app import main

number, module, config = sys.argv[1:]
sys.argv[1:] = ["run", "--config", config]

def stop(_):
    os.kill(os.getpid(), int(number))
    for _ in range(1000):
        pass

class Stopper:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            thing = Stopper()
            ref = weakref.ref(thing, stop)
            del thing

sys.meta_path.insert(0, Stopper())
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["memoryd.config", "memoryd.api.server", "httptools"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_during_an_import_is_no_failure(
    tmp_path: Path, module: str, number: signal.Signals, code: int
) -> None:
    for name in ("memory", "manifest"):
        (tmp_path / name).mkdir()
    config = tmp_path / "config.toml"
    config.write_text("[llm]\nenabled = false\n")
    ran = subprocess.run(
        [sys.executable, "-c", STOPPED, str(int(number)), module, str(config)],
        env=os.environ | {"MEMORYD_SERVER__PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", "")
