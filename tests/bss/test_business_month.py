"""A small month of the sample operator, from an empty folder to paid bills: what is printed of it, and every figure followed to flows."""
from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bss.language import LANGUAGES, catalogue
from bss.pages.trace import PARTS
from bss.people.scope import SYSTEM
from bss.tables import Bill, BillLine
from bss.tracing import things
from dpi.store import open_store
from pcaps.make import business, month, packets
from pcaps.make.following import follow
from pcaps.make.month import Event, Line, Month
from pcaps.make.network import Trouble
from pcaps.make.sample import Operator
from pcaps.make.settling import Figure

pytestmark = pytest.mark.compiled
DAYS, MINUTES = 8, 4           # that are generated, and replayed
NAMES = ("B1", "M2")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Operator, dict[str, Figure]]]:
    """A line with an outage and its credit, a mobile that pays by what it uses. Most of the month is not measured, which is neither charged nor credited."""
    operator = Operator(tmp_path_factory.mktemp("month") / "office", business.CUTOVER, NAMES)
    made = business.prepare(operator, DAYS, ordering=False, told=lambda _: None, minutes=MINUTES)
    figures = business.play(operator, made)
    yield operator, {one.what: one for one in figures}
    operator.office.close()


def test_what_the_month_came_to(played: tuple[Operator, dict[str, Figure]]) -> None:
    operator, figures = played
    refused = figures["contractor"].value
    assert refused.startswith('"restored" 2100 s too early, refused: ') and "1 of 24 connections answered" in refused
    # of 30 days eight are measured and three minutes of the replay, and ten are told of by link state; of the 85 minutes two are before the alarm, and there is
    # no traffic of four weeks to hold them against
    unknown = 30 * 1440 - 120 - DAYS * 1440 - 3 - 10
    assert "breached" in figures["B1"].value and f"T 43200, X 120, U {unknown}, D 93" in figures["B1"].value
    assert figures["credit of B1"].value.endswith("CNY, approved") and "none" in figures["M2"].value
    with operator.office.reading() as desk:
        lines = [(one.kind, one.gross) for one in desk.session.execute(select(BillLine)).scalars()]
        bills = {one.period: one for one in desk.session.execute(select(Bill)).scalars()}
    assert {"recurring", "usage", "credit"} <= {kind for kind, _ in lines} and min(gross for kind, gross in lines if kind == "credit") < 0
    assert bills[business.FOLLOWING].state == "sent" and any(one.what.startswith("paid") and "settled" in one.value for one in figures.values())


def test_every_figure_is_followed_to_flows(played: tuple[Operator, dict[str, Figure]]) -> None:
    operator, figures = played
    found = business.followed(operator, list(figures.values()))
    assert found.compared > 40 and found.rows > 1000
    # and where somebody changes what was closed, the walk stops there
    charge = next(one for name, one in figures.items() if name.startswith("M2 "))
    operator.office.evidence.close()
    store = open_store(operator.settings.store)
    try:
        store.query(f"ALTER TABLE usage_1h UPDATE down_bytes = down_bytes + 1 WHERE service_id = '{operator.ids['M2']}' SETTINGS mutations_sync = 2")
    finally:
        store.close()
    with operator.office.reading(SYSTEM) as desk, pytest.raises(Trouble, match="changed"):
        follow(desk, charge.id)


def test_a_bill_shows_lines_that_lead_on(played: tuple[Operator, dict[str, Figure]]) -> None:
    operator, figures = played
    with operator.office.reading(SYSTEM) as desk:
        step = things.trace(desk, next(one.id for name, one in figures.items() if name.startswith("bill")))
        assert step.kind == "bill" and [one.key for one in step.said] == ["sum"] and all(any(cell.way for cell in line) for line in step.rows[0].lines)


def test_what_a_step_says_is_in_words(played: tuple[Operator, dict[str, Figure]]) -> None:
    """Of whatever has words of ours, in both languages; what was kept as evidence may be anything."""
    operator, figures = played
    kinds, missing = set(), set()
    with operator.office.reading(SYSTEM) as desk:
        for key in sorted({one.id for one in figures.values()}):
            step = things.trace(desk, key)
            for one in (*step.figures, *(cell for table in step.rows for line in table.lines for cell in line)):
                part = PARTS.get(f"{step.kind} {one.name}", PARTS.get(one.name))
                if part is not None and isinstance(one.value, str) and one.value and one.name != "value":
                    kinds.add((step.kind, one.name))
                    missing |= {(step.kind, one.name, one.value, language) for language in LANGUAGES if f"{part}{one.value}" not in catalogue(language)}
    assert not missing and {("slaMonth", "state"), ("slaMonth", "why"), ("credit", "field"), ("bill", "line_kind"), ("ratedCharge", "algorithm")} <= kinds


def test_the_same_seed_gives_the_same_rows_and_events_what_they_are() -> None:
    begin = business.at(1, 0)
    lines = [Line("S1", "C1", "leased_line", "198.18.0.1", "p", 10 ** 7), Line("S2", "C2", "mobile", "198.18.0.2", "p", 10 ** 5)]
    events = [Event("dead", frozenset({"S1"}), begin + timedelta(hours=2), begin + timedelta(hours=2, minutes=3)),
              Event("silent", frozenset({"S2"}), begin + timedelta(hours=1), begin + timedelta(hours=1, minutes=5)),
              Event("one_sided", frozenset({"S1"}), begin + timedelta(hours=4), begin + timedelta(hours=4, minutes=2))]
    made = Month(begin, begin + timedelta(days=1), lines, events)
    (flows, coverage), (again, _) = list(month.batches(made, 0)), list(month.batches(made, 0))
    assert flows.count == again.count and all((flows.columns[name] == again.columns[name]).all() for name in ("interval_start", "server_bytes", "client_ip"))
    minute = (flows.columns["interval_start"] // 1_000_000 - int(begin.timestamp())) // 60
    service = flows.columns["client_service_id"].codes
    dead = (service == 0) & (minute >= 120) & (minute < 123)
    assert dead.sum() == 3 * month.ASKED and (flows.columns["server_tcp_flags"][dead] == month.ACKED).sum() == 3
    assert not ((service == 1) & (minute >= 60) & (minute < 65)).any() and (flows.columns["server_bytes"][(service == 0) & (minute == 240)] == 0).all()
    assert coverage.count == 1440 and int(coverage.columns["frames"].sum()) == int((flows.columns["client_packets"] + flows.columns["server_packets"]).sum())


def test_packets_keep_their_checksums(tmp_path: Path) -> None:
    """Of every packet that was moved to another address the header's sum and TCP's are right."""
    file = tmp_path / "day.pcap"
    begin = business.PACKETS
    line = Line("S1", "C1", "leased_line", "198.18.7.9", "p", 10 ** 6)
    count = packets.write(file, begin, [line], [packets.Attack("198.18.7.9", begin + timedelta(minutes=1), 1)], minutes=4)
    frames = list(packets._frames(file))
    assert len(frames) == count and [at for at, _ in frames] == sorted(at for at, _ in frames) and count > packets.FLOOD
    own = bytes((198, 18, 7, 9))
    for _, frame in frames:
        length = (frame[14] & 15) * 4
        head, rest = frame[14:14 + length], frame[14 + length:14 + int.from_bytes(frame[16:18], "big")]
        assert own in (head[12:16], head[16:20]) and packets._sum(head) == b"\0\0"
        if head[9] == packets.TCP:
            pseudo = head[12:20] + bytes((0, 6)) + len(rest).to_bytes(2, "big") + rest
            assert packets._sum(pseudo + b"\0" * (len(pseudo) % 2)) == b"\0\0"
