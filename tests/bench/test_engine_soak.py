"""A soak of seconds on tiny models, and the slope by hand."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from bench.engine_people import Person, Tally
from bench.engine_soak import by_minute, main, resident_mib, slope

if TYPE_CHECKING:
    from pathlib import Path


def test_the_slope_is_a_minutes_growth_after_the_warm_up() -> None:
    samples = [
        (float(second), 1000.0 - second if second < 60 else 500 + second / 30) for second in range(300)
    ]
    assert slope(samples) == pytest.approx(2.0)


def test_a_short_run_is_judged_by_its_second_half() -> None:
    assert slope([(0.0, 0.0), (10.0, 100.0), (20.0, 100.0)]) == pytest.approx(0.0)
    assert slope([(0.0, 5.0)]) == slope([]) == 0.0


def test_the_curve_has_a_point_a_minute() -> None:
    assert by_minute([(0.0, 1.0), (30.0, 2.0), (61.0, 3.04), (119.0, 4.0), (185.0, 5.0)]) == [1.0, 3.0, 5.0]


def test_this_process_has_some_memory() -> None:
    resident, anonymous = resident_mib()
    assert 1 < anonymous <= resident


def test_a_few_seconds_leave_nothing_behind(
    tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.engine_soak.SWAPS_S", (0.1, 0.5))
    arguments = ["--minutes", "0.07", "--people", "10", "--identity-tokens", "120", "--threads", "1"]
    assert main([*arguments, "--model", str(tiny)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["errors_unasked"], result["stray"], result["stuck"]) == (0, 0, 0)
    assert result["requests"] > 10
    for model in result["models"]:
        assert model["cells_used"] == model["cells_pinned"] > 0


def test_an_error_that_nobody_asked_for_is_noted() -> None:
    tally, over = Tally(), threading.Event()

    class Broken:
        """No model at all."""

        def __getattr__(self, name: str) -> None:
            over.set()
            raise RuntimeError("broken")

    Person(1, 1, [Broken()], tally, over).run()  # type: ignore[list-item]
    assert sum(tally.outcomes.values()) == len(tally.unasked) == 1
    assert "RuntimeError: broken" in tally.unasked[0]
