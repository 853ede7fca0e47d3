from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET

import pytest

from harness.load.result import LoadResult
from harness.monitor.series import Measure, Series
from harness.report.assets import island
from harness.report.charts import (
    LEFT,
    RIGHT,
    WIDTH,
    Chart,
    Group,
    Line,
    Mark,
    chart_svg,
    number,
    rows,
    since,
    thinned,
    ticks,
    time_ticks,
)
from harness.report.load import load_views, monitor_view, server_charts

from .beside import BEGAN, HOSTILE, host_series, hostile_load, hostile_series, load_result, series


def chart(*values: float | None, **more: object) -> tuple[Chart, Group]:
    made = Chart("Speed", "1/s", [BEGAN + i for i in range(len(values))], [Line("a", list(values))], **more)  # type: ignore[arg-type]
    return made, Group("g", BEGAN, BEGAN + len(values) - 1, [made])


def paths(svg: str) -> list[str]:
    return [e.get("d", "") for e in ET.fromstring(svg).iter("path") if "ln" in (e.get("class") or "").split()]


def test_a_line_goes_from_edge_to_edge() -> None:
    (d,) = paths(chart_svg(*chart(0, 5, 10)))
    points = [tuple(map(float, one.split())) for one in re.split("[ML]", d)[1:]]
    assert points[0][0] == LEFT
    assert points[-1][0] == WIDTH - RIGHT
    assert points[0][1] > points[1][1] > points[2][1]


def test_what_is_not_known_is_a_gap_and_one_alone_a_dot() -> None:
    (d,) = paths(chart_svg(*chart(1, None, 2, None, 3, 4)))
    assert d.count("M") == 3
    assert d.count("h2") == 2
    (nothing,) = paths(chart_svg(*chart(None, None)))
    assert nothing == ""


@pytest.mark.parametrize("value", [math.inf, math.nan, -math.inf])
def test_what_is_no_number_is_drawn_nowhere(value: float) -> None:
    made, group = chart(1, value, 3)
    assert not re.search("nan|inf", str(chart_svg(made, group)), re.IGNORECASE)
    assert group.data["charts"][0]["sets"][0][1][0][1] == [1, None, 3]


def test_a_step_holds_until_the_next() -> None:
    (d,) = paths(chart_svg(*chart(1, 2, steps=True)))
    assert d.count("H") == 2


def test_a_chart_of_one_moment_or_none_is_drawn_too() -> None:
    for values in ((), (3.0,)):
        ET.fromstring(chart_svg(*chart(*values)))


def test_marks_are_drawn_within_the_axis() -> None:
    made, group = chart(1, 2, 3)
    group.marks = [Mark(BEGAN - 5, BEGAN + 1, "a case"), Mark(BEGAN + 50, BEGAN + 60, "later")]
    boxes = [e for e in ET.fromstring(chart_svg(made, group)).iter("rect")]
    assert [(float(b.get("x", 0)), b.get("class")) for b in boxes] == [(LEFT, "mark")]


def test_axes_have_round_numbers() -> None:
    assert ticks(87) == [0, 25, 50, 75, 100]
    assert ticks(0.37)[-1] >= 0.37
    assert ticks(0) == [0, 1]
    assert ticks(400)[-1] == 400
    assert [number(v) for v in (0, 2.5, 999, 1234, 12345, 3e6, 2e9, None)] == [
        "0", "2.5", "999", "1,234", "12.3k", "3M", "2G", "–"
    ]  # fmt: skip
    assert [since(v) for v in (0, 12, 60, 3723)] == ["0 s", "12 s", "1:00", "1:02:03"]
    assert time_ticks(120) == [0, 15, 30, 45, 60, 75, 90, 105, 120]
    assert len(time_ticks(1e6)) < 20


def test_long_lines_are_thinned_and_say_so() -> None:
    values = [float(i % 10) for i in range(2000)]
    made, _ = chart(*values)
    short = thinned(made, 100)
    assert len(short.at) == len(short.lines[0].values) == 100
    assert short.worst == "each point is the mean of 20 samples"
    assert set(short.lines[0].values) == {4.5}
    made.most = True
    peaks = thinned(made, 100)
    assert set(peaks.lines[0].values) == {9.0}  # a peak is not smoothed away
    assert thinned(made, 2000) is made


def test_the_table_is_of_evenly_spread_moments() -> None:
    made, group = chart(*[float(i) for i in range(100)])
    shown = rows(made, group, 10)
    assert len(shown) == 10
    assert shown[1] == ("10 s (10:31:17)", ["10"])


def test_data_is_whole_and_small() -> None:
    made, group = chart(1.23456, 100000.4, None)
    data = group.data
    assert data["axes"] == [[0, 1, 2]]
    assert data["charts"][0]["sets"] == [["", [["a", [1.235, 100000, None]]]]]
    again = Group("g", BEGAN, BEGAN + 2, [made, made])
    assert len(again.data["axes"]) == 1  # charts of the same moments share them


# -- load and the monitor


def test_a_load_run_has_its_charts_above_the_servers() -> None:
    (view,) = load_views([load_result()], [series(), host_series()])
    titles = [one.title for one in view.group.charts]
    assert titles[:4] == ["Throughput", "Response time", "Refused", "Users"]
    assert view.group.heads == {4: "promptcrm@postgresql-standin", 9: "this machine"}
    assert titles[4:9] == ["Sessions", "Transactions", "Cache hit ratio", "Deadlocks", "What sessions waited for"]
    assert [name for name, _ in view.group.charts[1].variants] == ["p50", "p95", "p99", "most"]
    assert all(view.group.since <= at <= view.group.until for one in view.group.charts for at in one.at)


def test_throughput_counts_every_request_once() -> None:
    result = load_result(seconds=30)
    (view,) = load_views([result], [])
    throughput = view.group.charts[0]
    assert throughput.lines[-1].label == "all"
    assert sum(v or 0 for v in throughput.lines[-1].values) == sum(kind.done for kind in result.requests)


def test_only_the_monitors_samples_of_its_time_are_shown() -> None:
    (view,) = load_views([load_result(began=BEGAN + 30, seconds=10)], [series()])
    assert [len(one.at) for one in view.group.charts[4:]] == [10] * 5


def test_refusals_are_never_hidden() -> None:
    result = load_result()
    (view,) = load_views([result], [])
    sale = next(row for row in view.rows if row.name == "register sale")
    assert "deadlock" in sale.failed
    assert "serialization" in sale.retried
    facts = {name: value for value, name in view.facts}
    assert int(facts["given up"]) == sum(sum(kind.failed.values()) for kind in result.requests) > 0
    assert int(facts["refused and tried again"]) == sum(sum(kind.retried.values()) for kind in result.requests)


def test_a_load_run_of_nothing_has_a_view() -> None:
    (view,) = load_views([LoadResult(name="n", arrivals="closed", shape="steady", began=BEGAN, seconds=0)], [])
    assert view.rows == view.group.charts == []


def test_what_never_moved_has_no_chart_but_a_word() -> None:
    view = monitor_view([series()], {}, {})
    assert view is not None
    (one,) = view.watched
    assert one.quiet == ["temporary_files"]
    assert one.unknown == ["replication_lag"]
    assert "Temporary files" not in [each.title for each in view.group.charts]
    assert one.cost == "120 samples, 1 of them failed; one took 2.31 ms (at most 9.8 ms): 0.23 % of the time"
    assert one.statements[0].calls == 18233
    assert one.waits[0][0] == "Lock: transactionid"


def test_cases_are_marked_when_they_ran() -> None:
    run = {"cases": [{"id": "a[x]", "began": BEGAN + 3, "seconds": 2.0, "status": "failed"}, {"id": "b[x]"}]}
    view = monitor_view([series()], run, {"a[x]": 7})
    assert view is not None
    assert view.group.marks == [Mark(BEGAN + 3, BEGAN + 5, "a[x]", "#case-7", "failed")]
    assert monitor_view([], run, {}) is None


def test_percent_ends_at_a_hundred_unless_it_does_not() -> None:
    def top(*values: float) -> float | None:
        made = Series("s", "s", "postgresql", "", [Measure("cpu", "%")], [0.0, 1.0], {"cpu": list(values)})
        return server_charts(made)[0].top

    assert top(3, 99) == 100
    assert top(3, 180) is None  # of two processors


def test_hostile_names_stay_in_their_place() -> None:
    (view,) = load_views([hostile_load()], [hostile_series()])
    for one in view.group.charts:
        root = ET.fromstring(chart_svg(one, view.group))
        assert {e.tag for e in root.iter()} <= {"svg", "path", "text", "rect"}
    text = str(island(view.group.data))
    assert "<" not in text
    assert "\u2028" not in text
    assert HOSTILE.replace("\x1b", "�").replace("\u2028", " ") in json.loads(text)["charts"][0]["sets"][0][1][0][0]
