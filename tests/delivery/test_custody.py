"""Audit rows, legal holds and days on a server: ClickHouse 18.16, whose partitions go whole and whose mutations take rows out of one."""
from __future__ import annotations

import contextlib

import pytest

from dpi.store import holds, open_store
from dpi.store.access import Access, permit
from dpi.store.audit import Entry, Who, record, rows_of, verify
from dpi.store.budget import Budget
from dpi.store.expired import closed, span_of
from dpi.store.keeping import Keeping
from tests.delivery.servers import Server, until
from tests.privacy.stores import START, flows, put
from tests.privacy.test_retention import HOUR, change
from tests.rows import batch

ME = Who("someone", 1000, "box")


def test_reasons_holds_and_days(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.url("custody")
    with contextlib.closing(open_store(url)) as store:
        for seed, days in enumerate((0.0, 40, 200, 210), 1):
            put(store, flows(30, seed, ["S1", "S2", ""]), days, monkeypatch)
            put(store, batch("coverage", 5, seed), days, monkeypatch)
        with pytest.raises(Exception, match="takes a reason"):
            permit(store, Access("query"), "SELECT client_ip FROM flows")
        permit(store, Access("query"), "SELECT count() FROM coverage").told(1)
        reading = permit(store, Access("query", "why 网络 ' \\"), "SELECT client_ip FROM flows")
        reading.told(3, "SELECT client_ip FROM flows")
        record(store, Entry(ME, "flow", "", "T-1"))
        rows, faults = verify(store)
        assert not faults and [(int(row["number"]), row["reason"], row["target"]) for row in rows] == [(1, "why 网络 ' \\", "flows"), (2, "", "")]
        assert "se:cret" not in rows[0]["store"] and "secret" not in rows[0]["store"]

        hold = holds.change(store, change(to_time=START + HOUR), ME)
        assert holds.every(store) == [hold]
        keeping = Keeping(lambda: open_store(url), Budget(flows=180, folded=730, unbound=30))
        keeping.look()

        def counts() -> list[tuple[str, int]]:
            return [(str(name), int(rows)) for name, rows in store.query("SELECT client_service_id AS name, count() FROM flows GROUP BY name ORDER BY name")]

        # of what is older than 180 days the rows of S1 stay; of 40 days ago those of no service go
        until(lambda: keeping.look() == 0 and counts() == [("", 10), ("S1", 40), ("S2", 20)])
        assert store.query("SELECT count() FROM coverage").value() == 20
        holds.change(store, {"do": "end", "hold_id": hold.hold_id, "reason": "r", "ticket": ""}, ME)
        keeping.look()
        until(lambda: counts() == [("", 10), ("S1", 20), ("S2", 20)])
        gone = span_of(store, (7 << 40) + 3000)
        assert gone is not None and gone.cause == "age" and gone.probe == "p1" and closed(store, gone) == []
        assert [row["command"] for row in rows_of(store)] == ["query", "flow", "hold add", "hold end"] and not verify(store)[1]
