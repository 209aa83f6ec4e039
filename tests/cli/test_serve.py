"""`memoryd run` ends soon and quietly when it is told to stop, whatever it is in the midst of."""

from __future__ import annotations

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


# A worker that Python's own exit waits for, as one is within a large file.
BUSY = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from memoryd.cli.app import main

ThreadPoolExecutor(1).submit(threading.Event().wait)
sys.argv[1:] = ["run", "--config", sys.argv[1]]
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["memoryd.config", "memoryd.api.server", "httptools"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_during_an_import_is_no_failure(
    bare_config: Path, module: str, number: signal.Signals, code: int
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", STOPPED, str(int(number)), module, str(bare_config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_waits_for_no_worker(bare_config: Path, number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, str(bare_config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            assert "memoryd listens" in process.stdout.readline()
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code
    assert "memoryd.daemon: stopped" in err
    assert "Traceback" not in err
