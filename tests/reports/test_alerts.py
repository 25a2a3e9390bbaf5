"""The report of alerts, and what the overview says of them, against a plain computation over their states."""
from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from dpi.cli.main import run
from dpi.reports.asking import make_asked
from dpi.reports.figures import figures_from_store
from dpi.reports.period import local
from dpi.security.alert import Alert
from dpi.settings import Report as Wishes
from dpi.settings import Settings
from tests.reports.conftest import Known
from tests.reports.test_named import FIRST, LAST, SHANGHAI, ask

RANKS = ["critical", "high", "medium", "low"]


def newest(known: Known, **given: str) -> list[Alert]:
    """The last state of each that began in the period."""
    last = {one.alert_id: one for one in known.alerts}
    return [one for one in last.values() if FIRST <= one.first_time < LAST and all(getattr(one, name) == value for name, value in given.items())]


def figures(members: list[Alert]) -> dict[str, Any]:
    lasted = [(one.last_time - one.first_time) / 1e6 for one in members]
    over = [span for span, one in zip(lasted, members, strict=True) if one.state == "cleared"]
    return {"alerts": len(members), "grave": sum(one.severity in RANKS[:2] for one in members), "open": sum(one.state != "cleared" for one in members),
            "detections": sum(one.count for one in members), "customers": len({one.customer_id for one in members} - {""}),
            "first_time": min(one.first_time for one in members), "last_time": max(one.last_time for one in members),
            "mean_open": pytest.approx(sum(over) / len(over)) if over else None, "longest": pytest.approx(max(lasted))}


def key(one: Alert, by: str) -> Any:
    if by == "day":
        return int(local(one.first_time, SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1_000_000
    return getattr(one, {"customer": "customer_id", "service": "service_id"}.get(by, by))


@pytest.mark.parametrize("by", ["kind", "severity", "customer", "service", "technique", "probe", "day"])
def test_lines_are_those_of_the_newest_states(ten_weeks: Known, by: str) -> None:
    every = newest(ten_weeks)
    groups: dict[Any, list[Alert]] = defaultdict(list)
    for one in every:
        groups[key(one, by)].append(one)
    table = ask(ten_weeks, "alerts", by=by, top=2).tables[0]
    names = [column.name for column in table.columns]
    told = {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in table.rows}
    assert len(every) > 100 and table.left_out == (0 if by == "day" else max(0, len(groups) - 2)) and len(told) == len(groups) - table.left_out
    assert told == {name: figures(groups[name]) for name in told}
    assert dict(zip(names[1:], (table.total or ())[1:], strict=True)) == figures(every)


def test_by_kind_the_others_and_the_worst_are_beside(ten_weeks: Known) -> None:
    report = ask(ten_weeks, "alerts", top=5)
    assert [table.name for table in report.tables] == ["kind", "severity", "day", "worst"] and report.sources == ["alerts"] * 3
    worst = sorted(newest(ten_weeks), key=lambda one: (RANKS.index(one.severity), -one.count, one.first_time, one.alert_id))[:5]
    rows_of = [dict(zip([column.name for column in report.tables[-1].columns], row, strict=True)) for row in report.tables[-1].rows]
    assert [row["alert"] for row in rows_of] == [one.alert_id for one in worst] and [row["begin"] for row in rows_of] == [one.first_time for one in worst]
    assert all(row["source"] in (None, "198.51.100.0/24") and row["target"].endswith(("/24", "/48")) for row in rows_of)
    whole = make_asked(ten_weeks.store, Settings(report=Wishes(mask=0)), "alerts", top=5)[0].tables[-1]
    assert {str(row[4]).endswith("/24") for row in whole.rows} == {False}
    assert [value for _, _, value in report.facts] == list(figures(newest(ten_weeks)).values())[:4]


def test_it_is_narrowed_to_a_customer_and_says_that_there_is_nothing(ten_weeks: Known) -> None:
    told = ask(ten_weeks, "alerts", filters={"customer": "c-2"})
    assert told.tables[0].total is not None and told.tables[0].total[1] == len(newest(ten_weeks, customer_id="c-2")) > 5
    nothing = ask(ten_weeks, "alerts", filters={"customer": "nobody"})
    assert nothing.tables == [] and "No attack or fault" in nothing.notes[0].en
    unseen = ask(ten_weeks, "alerts", "2026-09-01", "2026-09-02")
    assert unseen.tables == [] and "28 Sep 2026" in unseen.notes[0].en          # nobody looked


def test_the_overview_tells_of_them(ten_weeks: Known) -> None:
    last = {one.alert_id: one for one in ten_weeks.alerts}
    found = figures_from_store(ten_weeks.store).detected
    assert found.kinds == {kind: sum(one.kind == kind for one in last.values()) for kind in ("syn_flood", "port_scan", "loss")}
    assert found.alerts == len(last) and [one.severity for one in found.worst] == ["critical"] * 3
    assert found.titles["syn_flood"] == ("SYN flood", "SYN 洪水") and list(found.kinds.values()) == sorted(found.kinds.values(), reverse=True)
    first = min(one.first_time for one in last.values())
    assert figures_from_store(ten_weeks.store, since=first, until=first + 1).detected.alerts == 1
    assert figures_from_store(ten_weeks.store, [5]).detected.detectors == 0


def test_commands_read_it_in_both_languages(ten_weeks: Known, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    asked = ["--store", ten_weeks.store.url]
    for lang, word, worst in (("en", "Severities", "critical: said"), ("zh", "告警级别", "说")):
        assert run(["report", "alerts", *asked, "--lang", lang]) == 0
        assert word in capsysbinary.readouterr().out.decode()
        assert run(["report", *asked, "--lang", lang, "--out", "-"]) == 0
        assert worst in capsysbinary.readouterr().out.decode()
    assert run(["report", "alerts", *asked, "--format", "json"]) == 0
    assert json.loads(capsysbinary.readouterr().out)["tables"][0]["total"]["alerts"] == 300
