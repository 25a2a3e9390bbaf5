"""The figures of named reports, against a slow plain computation over the same rows."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from dpi.errors import UserError
from dpi.reports.asking import make_asked
from dpi.reports.document import Report, Table
from dpi.reports.named import registry
from dpi.reports.period import local
from dpi.settings import Link, Settings
from dpi.settings import Report as Wishes
from tests.reports import traffic
from tests.reports.conftest import Known
from tests.reports.traffic import APPLICATIONS, BEGIN, CATEGORIES, DAY, END, LINKS, MINUTE, NULL, OWNER, PROTOCOLS, SERVICES

SHANGHAI = ZoneInfo("Asia/Shanghai")
SETTINGS = Settings(report=Wishes(timezone="Asia/Shanghai"), links={
    "core": Link(capacity_bps=80_000, role="uplink", site="Guiyang", interface="eth1", probe="box"),
    "edge": Link(capacity_bps=300_000, role="access", site="Zunyi", interface="eth2")})
FROM, TO = "2026-10-01T07:30", "2026-10-06T21:17:30"       # on no slot of any rollup
FIRST, LAST = (BEGIN + 2 * DAY + (23 * 60 + 30) * MINUTE, BEGIN + 8 * DAY + (13 * 60 + 17) * MINUTE + 30_000_000)


def ask(known: Known, name: str, since: str = FROM, until: str | None = TO, **how: Any) -> Report:
    return make_asked(known.store, SETTINGS, name, since, until, now=END, **how)[0]


def row(known: Known, k: int) -> dict[str, Any]:
    """A row of flows as plain values."""
    one = {name: values[k].item() for name, values in known.flows.items()}
    label = APPLICATIONS[one["application"]] or (f"({PROTOCOLS[one['protocol']]})" if one["protocol"] else "")
    moment = local(one["interval_start"], SHANGHAI)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return one | {"name": APPLICATIONS[one["application"]], "by": {
        "application": [label], "category": [CATEGORIES[one["application"]]], "protocol": [PROTOCOLS[one["protocol"]]], "interface": [LINKS[one["link"]]],
        "link": [("core", "edge")[one["link"]]], "site": [("Guiyang", "Zunyi")[one["link"]]], "probe": ["box"],
        "tag": [tag for tag in ("gold", "night") if one[tag]], "hour": [int(moment.replace(minute=0, second=0, microsecond=0).timestamp()) * 1_000_000],
        "day": [int(day.timestamp()) * 1_000_000], "week": [int(day.timestamp()) * 1_000_000 - day.weekday() * DAY],
        "month": [int(day.replace(day=1).timestamp()) * 1_000_000]}}


def test_hours_are_not_read_from_what_is_by_eight_hours(ten_weeks: Known) -> None:
    """Whatever rollup a period of whole days could be read from, its hours are told apart and come to the same."""
    for name in ("applications", "quality"):
        by_hour, by_day = (ask(ten_weeks, name, "2026-10-01", "2026-10-04", by=by) for by in ("hour", "day"))
        found = by_hour.tables[0]
        hours = {(int(line[0]) - BEGIN) // (60 * MINUTE) % 24 for line in found.rows}
        assert len(hours) > 8 and len(by_day.tables[0].rows) == 3
        days = by_day.tables[0]
        assert found.total is not None and days.total is not None and found.total[1] == days.total[1] == sum(line[1] for line in found.rows)


def test_a_line_can_be_asked_for_as_it_is_called(ten_weeks: Known) -> None:
    for since, until in (("2026-10-01", "2026-10-04"), (FROM, TO)):
        whole = {line[0]: line for line in ask(ten_weeks, "applications", since, until).tables[0].rows}
        for name in ("(DNS)", "Zoom"):
            told = ask(ten_weeks, "applications", since, until, filters={"application": name})
            assert told.tables[0].rows[0][:6] == whole[name][:6] and len(told.tables[0].rows) == 1
        assert ask(ten_weeks, "quality", since, until, filters={"application": "(DNS)"}).tables[1].rows[0][1] > 0


def rows(known: Known, first: int = FIRST, last: int = LAST) -> list[dict[str, Any]]:
    starts = known.flows["interval_start"]
    return [row(known, k) for k in np.flatnonzero((starts >= first) & (starts < last)).tolist()]


def sides(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as bound sides see them."""
    out = []
    for one in found:
        for near, far in (("client", "server"), ("server", "client")):
            service = SERVICES[one[f"{near}_service"]]
            if service:
                out.append(one | {"service": service, "customer": OWNER[service], "up": one[f"{near}_bytes"], "down": one[f"{far}_bytes"],
                                  "counts": not one[f"{near}_duplicate"], "by": one["by"] | {"service": [service], "customer": [OWNER[service]]}})
    return out


def grouped(found: list[dict[str, Any]], by: str) -> dict[Any, list[dict[str, Any]]]:
    out: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        for key in one["by"][by]:
            out[key].append(one)
    return out


def compare(table: Table, groups: dict[Any, list[dict[str, Any]]], every: list[dict[str, Any]], figures: Callable[[list[dict[str, Any]]], dict[str, Any]],
            top: int = 3) -> None:
    """Each line, what is left out, and the total."""
    names = [column.name for column in table.columns]
    timed = table.columns[0].kind in ("time", "date")
    assert len(table.rows) == (len(groups) if timed else min(top, len(groups)))
    if timed:
        assert [one[0] for one in table.rows] == sorted(groups)
    shown = {one[0] for one in table.rows}
    rest = list({id(one): one for key, many in groups.items() if key not in shown for one in many
                 if table.columns[0].name != "tag" or not shown & set(one["by"]["tag"])}.values())
    lines = [(one, groups[one[0]]) for one in table.rows]
    lines += [(table.rest, rest)] if table.rest is not None else []
    assert (table.rest is not None) == (len(groups) > len(table.rows)) and table.left_out == len(groups) - len(table.rows)
    assert table.total is not None
    for line, members in [*lines, (table.total, every)]:
        told = dict(zip(names, line, strict=True))
        for name, value in figures(members).items():
            assert told[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), (line[0], name)


def volumes(members: list[dict[str, Any]]) -> dict[str, Any]:
    up, down = (sum(one[f"{side}_bytes"] for one in members) for side in ("client", "server"))
    return {"flows": sum(one["interval"] == 0 for one in members), "up_bytes": up, "down_bytes": down, "bytes": up + down,
            "packets": sum(one["client_packets"] + one["server_packets"] for one in members)}


@pytest.mark.parametrize("by", ["application", "category", "protocol", "site", "link", "interface", "probe", "tag", "hour", "day", "week", "month"])
def test_applications_by_each_dimension(ten_weeks: Known, by: str) -> None:
    found = rows(ten_weeks)
    report = ask(ten_weeks, "applications", by=by, top=3)
    compare(report.tables[0], grouped(found, by), found, volumes)
    table = report.tables[0]
    if by != "tag":     # a row may have several tags, or none
        lines = [*table.rows, *([table.rest] if table.rest else [])]
        place = [column.name for column in table.columns].index("share")
        assert sum(line[place] for line in lines) == pytest.approx(1)


def bound(members: list[dict[str, Any]]) -> dict[str, Any]:
    counted = [one for one in members if one["counts"]]
    up, down = sum(one["up"] for one in counted), sum(one["down"] for one in counted)
    return {"flows": sum(one["interval"] == 0 for one in counted), "up_bytes": up, "down_bytes": down, "bytes": up + down}


@pytest.mark.parametrize("by", ["customer", "service", "application", "category", "probe", "hour", "day", "week", "month"])
def test_customers_by_each_dimension(ten_weeks: Known, by: str) -> None:
    found = sides(rows(ten_weeks))
    table = ask(ten_weeks, "customers", by=by, top=3).tables[0]

    def figures(members: list[dict[str, Any]]) -> dict[str, Any]:
        return bound(members) | {"services": len({one["service"] for one in members}), "duplicate_bytes": sum(
            one["up"] + one["down"] for one in members if not one["counts"])}

    compare(table, grouped(found, by), found, figures)


def test_the_busiest_slots_of_customers(ten_weeks: Known) -> None:
    """Slots in which a link is not known are left out, those without traffic count as 0."""
    found = sides(rows(ten_weeks))
    table = ask(ten_weeks, "customers", top=3).tables[1]
    first, last = -(-FIRST // MINUTE // 5), LAST // MINUTE // 5
    whole = [slot for slot in range(first, last) if ten_weeks.known[:, slot * 5 - BEGIN // MINUTE:slot * 5 + 5 - BEGIN // MINUTE].all()]
    for line in table.rows:
        sums = {way: defaultdict(float) for way in ("up", "down")}
        for one in grouped(found, "customer")[line[0]]:
            for way in ("up", "down") if one["counts"] else ():
                sums[way][one["interval_start"] // MINUTE // 5] += one[way] * 8 / 300
        up, down = (sorted(sums[way][slot] for slot in whole) for way in ("up", "down"))
        k = len(whole) - 5 * len(whole) // 100
        assert line[3:5] == (k, len(whole)) and line[1:3] == (pytest.approx(up[k - 1]), pytest.approx(down[k - 1]))
        assert line[5] == pytest.approx(max(up[-1], down[-1]))


def exact(values: list[int], share: float) -> float | None:
    """The element at index floor(share n), as ClickHouse's quantileExact takes it."""
    return float(sorted(values)[min(len(values) - 1, int(len(values) * share))]) if values else None


@pytest.mark.parametrize("by", ["application", "customer", "service", "site", "tag", "day"])
def test_quality(ten_weeks: Known, by: str) -> None:
    every = rows(ten_weeks)
    served = by in ("customer", "service")
    found = sides(every) if served else every

    def losses(members: list[dict[str, Any]]) -> dict[str, Any]:
        counted = [one for one in members if one.get("counts", True) and one["ip_protocol"] == 6]
        opened = [one for one in counted if not one["interval"] and not one["midstream"] and one["client_tcp_flags"] & 2]
        unanswered = sum(not one["server_tcp_flags"] & 2 for one in opened)
        packets, again = (sum(one[f"client_{what}"] + one[f"server_{what}"] for one in counted) for what in ("packets", "retransmissions"))
        return {"tcp_packets": packets, "retransmissions": again, "handshakes": len(opened), "unanswered": unanswered,
                "retransmission_share": again / packets if packets else None, "unanswered_share": unanswered / len(opened) if opened else None}

    def delays(members: list[dict[str, Any]]) -> dict[str, Any]:
        near = [one["client_rtt_us"] if not served or one["service"] == SERVICES[one["client_service"]] and one["up"] == one["client_bytes"]
                else one["server_rtt_us"] for one in members if one.get("counts", True)]
        near = [value for value in near if value != NULL]
        far = [one["server_response_us"] for one in members if one.get("counts", True) and one["server_response_us"] != NULL]
        return {"client_rtt_measured": len(near), "client_rtt_p50_us": exact(near, 0.5), "client_rtt_p95_us": exact(near, 0.95),
                "response_p95_us": exact(far, 0.95)}

    report = ask(ten_weeks, "quality", by=by, top=3)
    compare(report.tables[0], grouped(found, by), found, losses)
    compare(report.tables[1], grouped(found, by), found, delays)


def test_filters(ten_weeks: Known) -> None:
    every = rows(ten_weeks)
    report = ask(ten_weeks, "applications", filters={"application": "YouTube", "tag": "gold"}, by="day")
    found = [one for one in every if one["name"] == "YouTube" and one["gold"]]
    compare(report.tables[0], grouped(found, "day"), found, volumes)
    report = ask(ten_weeks, "applications", filters={"customer": "C5"}, top=3)
    found = [one for one in sides(every) if one["customer"] == "C5"]
    compare(report.tables[0], grouped(found, "application"), found, bound)
    report = ask(ten_weeks, "quality", filters={"service": "S5b", "application": "淘宝"}, by="day")
    found = [one for one in sides(every) if one["service"] == "S5b" and one["name"] == "淘宝"]
    assert report.tables[0].rows and sum(line[1] for line in report.tables[0].rows) == sum(
        one["client_packets"] + one["server_packets"] for one in found if one["counts"] and one["ip_protocol"] == 6)


def test_rollups_and_rows_say_the_same(ten_weeks: Known) -> None:
    """A period on whole hours is read from the rollup, one that is a microsecond longer from flows."""
    rolled = ask(ten_weeks, "applications", "2026-10-01", "2026-10-03", top=3)
    assert rolled.sources == ["flows_8h"] and ask(ten_weeks, "applications", top=3).sources == ["flows"]
    assert ask(ten_weeks, "applications", "2026-10-01T01:00", "2026-10-03", top=3).sources == ["flows_1h"]
    found = rows(ten_weeks, BEGIN + 3 * DAY - 8 * 60 * MINUTE, BEGIN + 5 * DAY - 8 * 60 * MINUTE)
    compare(rolled.tables[0], grouped(found, "application"), found, volumes)


@pytest.mark.parametrize(("name", "by"), [
    ("applications", "protocol"), ("applications", "link"), ("quality", "application"), ("quality", "link"), ("dns", "code"), ("dns", "type"), ("dns", "name"),
    ("tls", "version"), ("tls", "cipher"), ("links", "link")])
def test_what_rollups_have_is_what_rows_say(ten_weeks: Known, name: str, by: str) -> None:
    """The same days once on whole hours and once a microsecond shorter: counts are equal; delays of histograms are near the exact ones, by a bin and a rank."""
    rolled, other = (ask(ten_weeks, name, since, "2026-10-03", by=by, top=100) for since in ("2026-10-01", "2026-10-01T00:00:00.000001"))
    for table, rows_of in zip(rolled.tables, other.tables, strict=True):
        lines = {row[0]: row for row in rows_of.rows}
        if name == "links":
            assert len(table.rows) == len(lines) == 2
            continue
        # the rollup of delays has no protocol to call an unknown application by
        unknown = {key for key in lines if not key or key.startswith("(")} if rolled.sources[-1] == "delays_8h" and table.name == "delays" else set()
        for row in (row for row in table.rows if row[0] not in unknown):
            for column, value in zip(table.columns[1:], row[1:], strict=True):
                same = lines[row[0]][[one.name for one in rows_of.columns].index(column.name)]
                if column.kind == "delay" and value is not None:
                    assert value / 1.5 <= same <= value * 2.3, (row[0], column.name)
                elif value is not None and same is not None and column.name not in ("mean_bps", "days_left"):
                    assert value == pytest.approx(same), (row[0], column.name)
        assert set(lines) - {row[0] for row in table.rows} <= ({""} if name == "tls" else unknown)


def test_dns(ten_weeks: Known) -> None:
    told = ten_weeks.dns
    domains = ["example.com", "example.com", "taobao.com.cn", "arpa", "local", "", "x.org"]
    # on no slot of a rollup: the rows themselves are read
    since, until = "2026-10-01T08:00:30", "2026-10-02T08:00:00"
    inside = (told["time"] >= BEGIN + 3 * DAY + 30_000_000) & (told["time"] < BEGIN + 4 * DAY)
    groups: dict[str, list[int]] = defaultdict(list)
    for k in np.flatnonzero(inside).tolist():
        groups[domains[told["name"][k]]].append(k)
    table = ask(ten_weeks, "dns", since, until, top=2).tables[0]
    assert table.rest is not None and table.total is not None and table.left_out == len(groups) - 2
    rest = [k for name, many in groups.items() if name not in [line[0] for line in table.rows] for k in many]
    for line, members in [*((line, groups[line[0]]) for line in table.rows), (table.rest, rest), (table.total, np.flatnonzero(inside).tolist())]:
        answers = [k for k in members if told["answer"][k]]
        codes = [told["codes"][told["code"][k]] for k in answers]
        delays = [int(told["delay"][k]) for k in answers if told["delay"][k] != NULL]
        assert (line[1], line[3], line[4], line[6], line[8], line[9]) == (
            len(members) - len(answers), len(answers), codes.count("NXDOMAIN"), codes.count("SERVFAIL"), len(delays), exact(delays, 0.5))
    shown = {line[0] for line in ask(ten_weeks, "dns", since, until).tables[0].rows}
    assert shown == {"example.com", "taobao.com.cn", "arpa", "local", "", "x.org"}
    bare = make_asked(ten_weeks.store, Settings(report=Wishes(mask=0)), "dns", "2026-10-01T00:00:30", "2026-10-02", now=END)[0]
    assert "7.1.168.192.in-addr.arpa" in str(bare.tables) and "cdn.example.com" in str(bare.tables)


def test_tls(ten_weeks: Known) -> None:
    told = ten_weeks.tls
    since, until = "2026-10-01T08:00:30", "2026-10-02T08:00:10"
    inside = told["time"] >= BEGIN + 3 * DAY + 30_000_000
    table, _, names, certificates = ask(ten_weeks, "tls", since, until).tables
    versions = {name: int((inside & told["answered"] & (told["version"] == k)).sum()) for k, name in enumerate(told["versions"])}
    versions[""] = 0
    assert {line[0]: line[1] for line in table.rows} == versions
    assert {line[0]: line[6] for line in table.rows}[""] == int((inside & ~told["answered"]).sum())
    assert {line[0]: line[3] for line in table.rows} == {name: count if name == "TLS 1.0" else 0 for name, count in versions.items()}
    domains = {"example.com": 0, "": 1, "taobao.com": 2}
    assert {line[0]: line[1] for line in names.rows} == {
        name: int((inside & told["answered"] & (told["name"] == k)).sum()) for name, k in domains.items()}
    assert certificates.rows == []
    late = ask(ten_weeks, "tls", "2026-09-28", "2026-12-06T00:00:30").tables[-1].rows
    assert [(line[0], line[1], line[2]) for line in late] == [("example.com", "Test CA", BEGIN + 75 * DAY)] and 6 < late[0][3] < 7


def test_trends(ten_weeks: Known) -> None:
    """Day, week and month against those before; what the store does not hold whole is not known."""
    report = ask(ten_weeks, "trends", "2026-09-28", "2026-12-04", by="link")
    starts, octets = ten_weeks.flows["interval_start"], ten_weeks.flows["client_bytes"] + ten_weeks.flows["server_bytes"]

    def volume(first: str, end: str) -> int:
        from datetime import datetime
        low, high = (int(datetime.fromisoformat(day).replace(tzinfo=SHANGHAI).timestamp()) * 1_000_000 for day in (first, end))
        return int(octets[(starts >= low) & (starts < high)].sum())

    tables = {table.name: table for table in report.tables}
    day, week, month = (tables[name].total for name in ("day", "week", "month"))
    assert day is not None and week is not None and month is not None
    now, before, same = volume("2026-12-03", "2026-12-04"), volume("2026-12-02", "2026-12-03"), volume("2026-11-26", "2026-11-27")
    assert day[1:] == (now, before, pytest.approx(now / before - 1), same, pytest.approx(now / same - 1))
    now, before = volume("2026-11-23", "2026-11-30"), volume("2026-11-16", "2026-11-23")
    assert week[1:] == (now, before, pytest.approx(now / before - 1), None, None)
    assert month[1:3] == (volume("2026-11-01", "2026-12-01"), volume("2026-10-01", "2026-11-01"))
    for table in (tables["day"], tables["week"], tables["month"]):
        assert sum(line[1] for line in table.rows) == table.total[1]       # type: ignore[index]


@pytest.mark.parametrize("name", sorted(registry()))
def test_every_dimension_answers_and_others_are_refused(ten_weeks: Known, name: str) -> None:
    one = registry()[name]
    for by in one.dimensions:
        report = ask(ten_weeks, name, "2026-10-01", "2026-10-02", by=by, top=2)
        assert report.by == by and all(len(line) == len(table.columns) for table in report.tables for _, line in table.lines(_english()))
        assert {column.name for table in report.tables for column in table.columns[1:]} <= {column.name for column in one.columns} | {"probe", "target"}
    with pytest.raises(UserError, match="is not made by"):
        ask(ten_weeks, name, by="colour")
    for given in {"customer", "service", "application", "tag"} - set(one.filters):
        with pytest.raises(UserError, match="can't be narrowed"):
            ask(ten_weeks, name, filters={given: "x"})


def _english() -> Any:
    from dpi.reports.language import Language
    return Language("en", SHANGHAI)


@pytest.mark.parametrize("name", sorted(registry()))
def test_an_empty_period_says_what_the_store_holds(ten_weeks: Known, name: str) -> None:
    report = ask(ten_weeks, name, "2020-01-01", "2020-01-02")
    assert report.empty and report.notes
    words = report.notes[0](_english())
    assert "28 Sep 2026" in words or "No traffic is bound" in words


def test_coverage_is_stated(ten_weeks: Known) -> None:
    report = ask(ten_weeks, "applications", "2026-09-28T08:00", "2026-10-05T08:00")
    told = report.statement.figures
    minutes = 7 * 1440
    assert (told["minutes"], told["minutes_unknown"]) == (2 * minutes - len(traffic.UNTOLD), len(traffic.UNTOLD))
    assert (told["unread_us"], told["lost_frames"], told["duplicates"]) == (len(traffic.UNREAD) * 1_000_000, 10, 2)
    assert report.statement.verdict.state == "bad"
    assert any("2 copies" in one.text(_english()) for one in report.statement.sentences)


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = ("import sys\nfrom dpi.reports.asking import make_asked\nfrom dpi.reports.formats import written, formats\n"
              "from dpi.reports.language import Language\n"
              "from dpi.reports.named import registry\nfrom dpi.settings import Settings\nfrom dpi.store import open_store\n"
              "store = open_store(sys.argv[1])\n"
              "for name in registry():\n    report, zone = make_asked(store, Settings(), name)\n    assert report.empty, name\n"
              "    for form in formats():\n        written(report, form, Language('zh', zone))\n"
              "    print(written(report, 'table', Language('en', zone)).decode())\nstore.close()\n")
    done = subprocess.run([sys.executable, "-c", script, f"chdb://{tmp_path}/empty"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The store holds nothing") + done.stdout.count("the store holds nothing") >= len(registry()) - 1
