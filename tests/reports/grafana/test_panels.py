"""Every panel's SQL on the engine, over replayed captures and generated rows: the shape that its kind promises, and figures that the rows have."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from benchmarks import scale
from dpi.cli.main import run
from dpi.reports import grafana
from dpi.reports.grafana.panels import Panel
from dpi.reports.grafana.sql import Place
from dpi.store import open_store
from dpi.store.answering import Answering
from tests.reports.grafana.plugin import ALL, Look, expanded

pytestmark = pytest.mark.compiled
ROOT = Path(__file__).resolve().parents[3]
ROWS, DAYS = 24_000, 2
QUOTED = "core (north), it's \\ the 'first'"
PLACES = (Place(QUOTED, "eth1", "", "N", 2_000_000), Place("edge", "", "p2", "S"))
EVERYTHING: dict[str, Any] = {"link": ALL, "probe": ALL, "application": ALL, "customer": ALL, "service": ALL, "capacity": "10",
                              "severity": ALL, "kind": ALL}
LOOK = Look(scale.BEGIN, scale.BEGIN + DAYS * scale.DAY - 1, EVERYTHING)
BOARDS = {lang: grafana.boards(lang, PLACES) for lang in grafana.LANGUAGES}
NAMES = [board.name for board in BOARDS["en"]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Captures of real programs, replayed, and two made-up days with services, usage and coverage."""
    place = tmp_path_factory.mktemp("grafana") / "store"
    assert run(["replay", str(ROOT / "pcaps" / "demo.pcap"), str(ROOT / "pcaps" / "dns.pcap"), "--store", f"chdb://{place}"]) == 0
    opened = open_store(f"chdb://{place}", merging=True)          # as a probe takes it over
    scale.fill(opened, ROWS, lambda text: None, DAYS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def answering(store: Any) -> Iterator[Answering]:
    with Answering(store) as answers:
        yield answers


def asked(store: Any, sql: str, look: Look, panel: Panel | None = None) -> Any:
    return store.query(expanded(sql, look, scale.interval(panel, look)))


def holds(panel: Panel, answer: Any, some: bool) -> None:
    """The shape that the panel's kind promises."""
    kinds = [kind.removeprefix("Nullable(").removeprefix("LowCardinality(").rstrip(")") for kind in answer.types]
    numbers = [kind.startswith(("Float", "UInt", "Int")) for kind in kinds]
    if panel.kind in ("series", "heatmap"):
        assert answer.columns[0] == "time" and kinds[0].startswith("DateTime"), panel.title
        times = [row[0] for row in answer.rows]
        assert times == sorted(times), panel.title
    if panel.kind == "series":
        assert answer.columns[1:] == ["series", "value"] and kinds[1] == "String" and numbers[2], (panel.title, answer.types)
        assert len({row[:2] for row in answer.rows}) == len(answer.rows), panel.title
        assert all(row[1] for row in answer.rows), panel.title
    elif panel.kind == "heatmap":
        assert all(numbers[1:]) and len(kinds) >= 10 and len(set(times)) == len(times)
        edges = [float(name.split()[0]) for name in answer.columns[1:]]
        assert edges == sorted(edges) and (not some or sum(sum(row[1:]) for row in answer.rows) > 0)
    elif panel.kind == "bars":
        assert answer.columns == ["name", "value"] and kinds[0] == "String" and numbers[1], (panel.title, answer.types)
        assert len(answer.rows) <= 20 and all(row[0] for row in answer.rows)
    elif panel.kind == "stat":
        assert answer.columns == ["value"] and numbers[0] and len(answer.rows) == 1, panel.title
    else:
        assert answer.columns == list(panel.columns), (panel.title, answer.columns)
    assert not some or answer.rows, panel.title


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_every_question_of_a_dashboard_over_made_up_days(store: Any, number: int) -> None:
    """In Chinese: English is asked below."""
    board = BOARDS["zh"][number]
    for panel in board.panels:
        holds(panel, asked(store, panel.sql, LOOK, panel), some=True)
    for variable in board.variables:
        if variable.sql:
            answer = asked(store, variable.sql, LOOK)
            assert len(answer.columns) == 1 and answer.rows and len({row[0] for row in answer.rows}) == len(answer.rows)
    for mark in board.marks:
        answer = asked(store, mark.sql, LOOK)
        assert answer.columns == ["time", "timeEnd", "text", "tags"] and answer.rows and all(row[0] < row[1] for row in answer.rows)


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_every_question_over_replayed_captures_at_every_width(store: Any, number: int) -> None:
    """From minutes to a month: whichever rollup is read, the rows of the captures are in it, but for customers, whom nobody bound."""
    first, last = store.query("SELECT toUnixTimestamp(min(first_time)), toUnixTimestamp(max(last_time)) FROM captures").rows[0]
    board = BOARDS["en"][number]
    for widened in (300, 30 * 86400):
        look = Look(int(first) - int(first) % 86400, int(last) + widened, EVERYTHING)
        answers = {panel.title: asked(store, panel.sql, look, panel) for panel in board.panels}
        for panel in board.panels:
            holds(panel, answers[panel.title], some=False)
        filled = [title for title, answer in answers.items() if answer.rows]
        assert len(filled) > len(board.panels) / 2 or board.name in ("customers", "security"), filled


def test_what_is_chosen_is_shown_and_nothing_else(store: Any) -> None:
    """Also where a name has quotes, a backslash, commas and brackets: a link is what an operator calls it."""
    links = {panel.title: panel for panel in BOARDS["en"][NAMES.index("links")].panels}
    look = Look(LOOK.since, LOOK.until, {**EVERYTHING, "link": [QUOTED.replace("\\", "\\\\"), "absent"]})
    table = asked(store, links["Links"].sql, look)
    assert [row[0] for row in table.rows] == [QUOTED]
    row = dict(zip(table.columns, table.rows[0], strict=True))
    octets, = store.query(f"SELECT sum(server_wire_bytes) FROM flows WHERE interface = 'eth1' AND interval_start >= toDateTime({LOOK.since}, 'UTC')").rows[0]
    assert row["limit"] == 2_000_000 and row["mean_down"] == pytest.approx(octets * 8 / (LOOK.until - LOOK.since), rel=1e-6)
    assert row["peak"] >= row["down_95"] > 0 and row["peak_share"] == pytest.approx(row["peak"] / 2e6)
    whole = asked(store, links["Links"].sql, LOOK)
    assert {row[0]: row[1] for row in whole.rows} == {QUOTED: 2_000_000, "edge": 10_000_000, "p1 eth2": 10_000_000}
    applications = BOARDS["en"][NAMES.index("applications")].panels
    one = Look(LOOK.since, LOOK.until, {**EVERYTHING, "application": ["Application 3"]})
    assert {row[1] for row in asked(store, applications[4].sql, one, applications[4]).rows} == {"Application 3"}
    evil = Look(LOOK.since, LOOK.until, {**EVERYTHING, "application": ["') OR 1=1 --"]})
    assert asked(store, applications[0].sql, evil).rows == [(0,)]


def test_figures_are_those_of_the_flows(store: Any) -> None:
    """Volumes and shares to the byte; percentiles within their bins."""
    since = f"interval_start >= toDateTime({LOOK.since}, 'UTC') AND interval_start < toDateTime({LOOK.until + 1}, 'UTC')"
    wire, opened, tcp, again = store.query(
        "SELECT sum(client_wire_bytes + server_wire_bytes), countIf(interval = 0), sumIf(client_packets + server_packets, ip_protocol = 6), "
        f"sum(client_retransmissions + server_retransmissions) FROM flows WHERE {since}").rows[0]
    panels = {(board.name, panel.title): panel for board in BOARDS["en"] for panel in board.panels}

    def value(board: str, title: str) -> Any:
        return asked(store, panels[board, title].sql, LOOK).rows[0][0]

    assert value("applications", "Volume") == wire and value("applications", "Flows opened") == opened
    assert value("quality", "TCP sent again") == pytest.approx(again / tcp)
    for side, column in (("RTT to clients, 95 %", "client_rtt_us"), ("RTT to servers, 95 %", "server_rtt_us")):
        exact, = store.query(f"SELECT quantileExact(0.95)({column}) FROM flows WHERE {since}").rows[0]
        assert value("quality", side) == pytest.approx(exact / 1000, rel=0.25)
    bound, = store.query(f"SELECT sum(client_bytes + server_bytes) FROM flows WHERE {since} AND client_service_id != ''").rows[0]
    assert value("customers", "Volume") == bound
    assert value("customers",
                 "Covered by a binding") == pytest.approx(bound / store.query(f"SELECT sum(client_bytes + server_bytes) FROM flows WHERE {since}").value())
    rate = asked(store, panels["links", "Rate, down and up"].sql, LOOK, panels["links", "Rate, down and up"]).rows
    assert sum(row[2] for row in rate) * LOOK.interval(720, 60) / 8 == pytest.approx(wire, rel=1e-6)
    shown = asked(store, panels["customers", "Customers"].sql, LOOK).rows
    assert sum(row[2] for row in shown) == bound and all(row[0].startswith("c-") and len(row[0]) == 12 for row in shown)


def test_a_client_of_clickhouse_gets_them_from_the_one_who_owns_the_store(store: Any, answering: Answering) -> None:
    """As Grafana's data source does: over HTTP, for reading only, within the limits of a question."""
    client = clickhouse_connect.get_client(host="127.0.0.1", port=answering.port, username="default")
    for board in BOARDS["en"]:
        for title, sql in scale.statements(board, LOOK):
            assert client.query(sql).result_rows, (board.name, title)
    for wrong in ("INSERT INTO pseudonym_key VALUES (1, 2)", "DROP VIEW grafana_flows"):
        with pytest.raises(clickhouse_connect.driver.exceptions.DatabaseError, match="READONLY|only reads"):
            client.command(wrong)
    client.close()


def test_the_proof_tells_what_is_too_slow(store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    boards = BOARDS["zh"][-1:]
    assert scale.asking(store, 1, boards, limit=60) == 0
    told = capsys.readouterr().out
    assert boards[0].title in told and "TOO SLOW" not in told
    assert scale.asking(store, 1, boards, limit=0) == 1 and "TOO SLOW" in capsys.readouterr().out
    scale.sizes(store)
    assert "bytes of a flow on disk" in capsys.readouterr().out
