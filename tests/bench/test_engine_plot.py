"""The picture: bars as long as the figures say, in XML that any page can show."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from bench.engine_plot import Axis, Group, draw

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*groups: Group) -> ET.Element:
    text = draw("One & all", "a <note>", ["memoryd", "another"], groups)
    return ET.fromstring(text)  # noqa: S314  (our own text)


def group(*values: float | None, logarithmic: bool = True) -> Group:
    return Group(heading="first", note="shorter", unit="s", values=values, logarithmic=logarithmic)


def widths(picture: ET.Element) -> list[float]:
    return [float(bar.attrib["width"]) for bar in picture.iter(f"{SVG}rect")]


def test_ten_times_as_much_is_one_power_of_ten_longer() -> None:
    one, ten = widths(drawn(group(0.5, 5.0)))
    axis = Axis.around([0.5, 5.0], logarithmic=True)
    assert axis.ticks == (0.1, 1.0, 10.0)
    assert axis.place(5.0) - axis.place(0.5) == pytest.approx(0.5)
    assert one < ten


def test_a_linear_bar_begins_at_nothing() -> None:
    one, two = widths(drawn(group(31.0, 62.0, logarithmic=False)))
    assert two == pytest.approx(2 * one, abs=0.2)


def test_the_smallest_value_is_seen_and_all_stay_on_the_axis() -> None:
    for values in ([0.1, 100.0], [1.0, 1.0], [0.099, 3.0]):
        axis = Axis.around(values, logarithmic=True)
        assert all(0.05 < axis.place(value) <= 1.0 for value in values)


@pytest.mark.parametrize("most", [0.9, 1.0, 7.2, 72.0, 99.9, 1500.0])
def test_a_linear_axis_has_a_few_round_marks(most: float) -> None:
    axis = Axis.around([most / 3, most], logarithmic=False)
    assert axis.ticks[0] == 0
    assert axis.ticks[-2] < most <= axis.ticks[-1]
    assert 2 <= len(axis.ticks) <= 5


def test_what_was_not_measured_is_said() -> None:
    picture = drawn(group(1.0, None), group(None, None))
    assert len(widths(picture)) == 1
    assert "".join(picture.itertext()).count("not measured") == 3


def test_it_has_colours_for_both_kinds_of_page_and_a_text_for_who_cannot_see() -> None:
    picture = drawn(group(1.0, 2.0))
    style = picture.findtext(f"{SVG}style") or ""
    assert "prefers-color-scheme: dark" in style
    assert picture.attrib["aria-label"] == "One & all. a <note>"
