"""What `python -m benchmarks.bss_kills` proves, in a few kills; and that it sees what it looks for."""
from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from benchmarks.bss_kills.__main__ import prove
from benchmarks.bss_kills.ground import Ground, lay
from benchmarks.bss_kills.truth import Truth
from benchmarks.bss_kills.writers import WRITERS
from bss.desk import Desk
from bss.office import Office
from bss.orders import order
from bss.orders.wanted import Line
from bss.parties import merging
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.running import batch, reading
from bss.services import binding
from bss.settings import Settings
from bss.tables import Binding, Customer
from bss.working import job

LINE = Line.model_validate({"action": "add", "offering": "line-a", "wanted": {"down_bps": 10 ** 8}})


def test_nothing_is_half_there_after_kills(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert prove(settings, 2, 7), capsys.readouterr().out


def test_a_proof_sees_what_it_looks_for(settings: Settings) -> None:
    Office.found(settings)
    office = Office(settings)
    ground = lay(office, tuple(WRITERS))

    def all_of_it(desk: Desk) -> None:
        for n in range(2):
            made = order.enter(desk, ground.steady, [LINE])
            order.acknowledge(desk, made.id)
            binding.bind(desk, ground.services[n], prefix=f"198.51.100.{8 * n}/29")
        sheet = reading.parse("number,name,kind,class,region\nI1,客户,individual,home,贵阳".encode(), "c.csv",
                              batch.kind_of("customers").columns)
        batch.bring(desk, "customers", sheet, datetime.now(UTC) - timedelta(days=1))
        merging.merge(desk, *ground.pairs[0])
        job.add(desk, "tidy", "a job")
    office.act(SYSTEM, all_of_it)
    if office.database.lite:
        with office.database.engine.begin() as connection:
            connection.execute(text("PRAGMA foreign_keys = OFF"))
    for broken, said in (
            ("UPDATE order_item SET state = 'inProgress'", "its items"), ("UPDATE order_item SET state = 'pending'", "its items"),
            ("DELETE FROM transition WHERE entity = 'order' AND to_state = 'draft'", "its steps are"),
            ("DELETE FROM outbox WHERE type = 'fullspan.order.enter' OR type = 'fullspan.productOrder.create'", "is told"),
            ("DELETE FROM outbox WHERE type = 'fullspan.customer.merge'", "is told"),
            ("UPDATE binding SET key = 'same'", "at once"), ("UPDATE binding SET withdrawn = created", "by the record"),
            ("DELETE FROM import_row WHERE entity = 'customer'", "is of no batch"),
            ("UPDATE import_batch SET state = 'undone'", "is undone"),
            (f"UPDATE service SET customer_id = '{ground.pairs[0][1]}' WHERE customer_id = '{ground.pairs[0][0]}'", "who was merged into"),
            ("UPDATE customer SET merged_into = NULL", "otherwise than the merges say"),
            ("DELETE FROM blind WHERE field IN (SELECT MIN(field) FROM blind)", "is called"),
            ("UPDATE job SET done = due", "was not done once")):
        truth = Truth(office, ground)
        with office.database.session(writing=True) as session:
            assert session.execute(text(broken)).rowcount, broken          # type: ignore[attr-defined]
            found = list(truth.within(session, thorough=True))
            session.rollback()
        assert any(said in one for one in found), (broken, found)
    assert not list(Truth(office, ground).faults(thorough=True))
    lost = Truth(office, ground)
    assert not list(lost.hear("orders", [
        '{"audit": [["2026-12-01T00:00:00+00:00", "orders", "order.enter", "O1"]], "events": ["Z"], "orders": {"O1": "draft"}, "merges": ["M"]}']))
    assert len(list(lost.faults())) >= 4
    office.close()


@pytest.mark.parametrize("what", ["order", "import"])
def test_nothing_is_left_with_a_customer_who_is_merged_at_the_same_time(settings: Settings, what: str) -> None:
    Office.found(settings)
    office = Office(settings)
    ground: Ground = lay(office, tuple(WRITERS))
    kept, gone = ground.pairs[0]
    refused: list[Refusal] = []
    with office.reading() as desk:
        number = desk.session.get_one(Customer, gone).number
    sheet = reading.parse(f"circuit,customer,offering\nS1,{number},line-a".encode(), "s.csv", batch.kind_of("services").columns)
    ways: dict[str, Callable[[Desk], object]] = {"order": lambda desk: order.enter(desk, gone, [LINE]), "import": lambda desk: batch.bring(
        desk, "services", sheet, datetime.now(UTC) - timedelta(days=1))}

    def write() -> None:
        try:
            office.act(SYSTEM, ways[what])
        except Refusal as refusal:
            refused.append(refusal)

    with office.writing() as desk:
        merging.merge(desk, kept, gone)
        beside = threading.Thread(target=write)
        beside.start()
        beside.join(0.3)                # it waits for the merge, and was refused nothing so far
        assert beside.is_alive()
    beside.join(20)
    assert [one.kind for one in refused] in (["conflict"], ["unprocessable"]) and "merged" in str(refused[0])
    assert not list(Truth(office, ground).faults())
    office.close()


def test_a_binding_that_two_end_at_once_ends_where_the_first_said(settings: Settings) -> None:
    Office.found(settings)
    office = Office(settings)
    ground = lay(office, tuple(WRITERS))
    service = ground.services[0]
    made = office.act(SYSTEM, lambda desk: binding.bind(desk, service, prefix="198.51.100.0/29").id)
    begin = datetime.now(UTC)
    ended: list[int] = []
    with office.writing() as desk:
        binding.end_one(desk, made, begin + timedelta(minutes=1))
        beside = threading.Thread(target=lambda: ended.append(len(office.act(SYSTEM, lambda desk: binding.end(desk, service, begin + timedelta(minutes=2))))))
        beside.start()
        beside.join(0.3)
        assert beside.is_alive()
    beside.join(20)
    with office.reading() as desk:
        assert desk.session.get_one(Binding, made).valid_to == begin + timedelta(minutes=1) and ended == [0]
    office.close()
