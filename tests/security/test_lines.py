"""What is measured of lines, against its slow twin; what is usual; and that hostile rows and very many lines are borne."""
from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import Batch, Coded
from dpi.flow.row import ROW
from dpi.jit import BUILD, records
from dpi.security.lines import LINK, SERVICE, Lines
from dpi.security.metering import PLACES, SLOT
from dpi.security.registry import Asked, configured
from dpi.security.usual import Usual
from tests.oracle import metering as oracle
from tests.security.made import BEGIN, SECOND, batch, row, watch

SERVICES, HOSTS, NONE = ("", "s-1", "s-2", "s-3"), ("192.0.2.1", "192.0.2.2", "203.0.113.9", "2001:db8::1"), 0xFFFFFFFF
COUNT = st.sampled_from((0, 1, 7, 1000))
TIME = st.sampled_from((0, 1, 90_000, NONE))
ROWS = st.lists(st.fixed_dictionaries({
    "client": st.sampled_from(HOSTS), "server": st.sampled_from(HOSTS), "at": st.integers(0, 200), "lasts": st.sampled_from((0, 1, 29, 31, 59, 500)),
    "ip_protocol": st.sampled_from((6, 17)), "vlan": st.sampled_from((0, 0, 7, 4095)),
    "interval": st.sampled_from((0, 0, 2)), "folded": st.sampled_from((0, 0, 9)),
    **{f"{side}_{what}": COUNT for side in ("client", "server") for what in ("packets", "wire_bytes", "payload_bytes", "retransmissions", "out_of_order")},
    "client_rtt_us": TIME, "server_rtt_us": TIME, "server_response_us": TIME, "of": st.tuples(*[st.integers(0, 3)] * 3)}), max_size=30)


def faults() -> list[Asked]:
    return [one for one in configured({}) if one.detector.faults is not None]


def made_of(rows: list[dict[str, Any]]) -> Batch:
    """A batch with services of both sides and who is local, as `of` of each row says."""
    plain = [{name: value for name, value in one.items() if name != "of"} for one in rows]
    of = [one["of"] for one in rows]
    columns = {f"{side}_{what}": Coded(np.array([one[at] for one in of], np.uint32), list(SERVICES))
               for at, side in enumerate(("client", "server")) for what in ("service_id", "customer_id")}
    return batch([row(**one) for one in plain], source=Coded.same("wire", len(rows)), **columns,
                 client_local=np.array([one[2] & 1 for one in of], np.uint8), server_local=np.array([one[2] >> 1 for one in of], np.uint8))


@settings(max_examples=40 if BUILD == "on" else 15, deadline=None)
@given(ROWS)
def test_meters_are_those_of_the_twin(rows: list[dict[str, Any]]) -> None:
    lines, one = Lines(faults()), made_of(rows)
    if rows:
        lines.take(one, one.records)
    numbers = {(kind, name): number + 1 for (kind, name), number in lines._numbers.items()}
    of = [each["of"] for each in rows]
    clients, servers = ([numbers.get((SERVICE, SERVICES[each[at]]), 0) for each in of] for at in (0, 1))
    vlans = [numbers.get((1, str(each["vlan"])), 0) for each in rows]
    local = [(each[2] & 1 | (each[0] != 0)) | (each[2] >> 1 | (each[1] != 0)) << 1 for each in of]
    near = [each["server"] if side == 2 else each["client"] for each, side in zip(rows, local, strict=True)]
    free = [side in (1, 2) and not (servers if side == 2 else clients)[k] for k, side in enumerate(local)]
    nets = [numbers.get((3, str(ip_network(f"{end}/{48 if ':' in end else 24}", False))), 0) if one else 0 for end, one in zip(near, free, strict=True)]
    wanted = oracle.meters(one.records.view(np.ndarray), clients, servers, vlans, nets, local, numbers.get((LINK, "wire"), 0))
    for place, slot in enumerate(lines._arrays["slots"].tolist()):
        for number in range(len(lines._about)):
            meter = lines._arrays["meters"].view(np.ndarray)[place * lines._room + number]
            for name, value in wanted.get((slot, number), {}).items():
                assert int(meter[name]) == value, (slot - BEGIN // SLOT, number, name)
    assert {slot for slot, _ in wanted} <= set(lines._arrays["slots"].tolist())


def test_what_is_usual_is_the_mean_of_the_first_slots_and_then_a_weighted_one() -> None:
    usual, values = Usual(2), np.random.default_rng(7).uniform(1, 9, 200)
    mean = deviation = 0.0
    for k, value in enumerate(values.tolist()):
        usual.learn("near_rtt", np.array([value, 0.0]), np.array([True, False]), np.array([k >= 150, False]))
        weight = max(0.05, 1 / (k + 1)) if k < 150 else 0.005
        deviation += weight * ((abs(value - mean) if k else 0.0) - deviation)
        mean += weight * (value - mean)
    assert usual.of("near_rtt", 2)[0] == pytest.approx([mean, 0.0], rel=1e-4) and usual.of("near_rtt", 2)[1] == pytest.approx([deviation, 0.0], rel=1e-3)
    assert usual.of("near_rtt", 2)[2].tolist() == [200, 0]


def test_rows_of_any_bytes_are_borne() -> None:
    rng = np.random.default_rng(3)
    for _ in range(3):
        watchman, _, _ = watch(faults())
        rows = records(200, ROW)
        rows.view(np.uint8)[:] = rng.integers(0, 256, 200 * ROW.itemsize, np.uint8)
        plain = rows.view(np.ndarray)
        plain["interval_start"] = rng.integers(-(1 << 50), 1 << 50, 200)
        plain["interval_end"] = rng.integers(-(1 << 50), 1 << 50, 200)
        plain["application"] = plain["protocol"] = 0
        with np.errstate(over="ignore"):
            watchman.write(Batch("flows", 200, {"source": Coded.same("wire", 200), "client_service_id": Coded.same("s-1", 200)}, rows))
            watchman.end()
        assert watchman.counters()["lines"] == 0


def test_more_slots_than_there_are_places_close_the_oldest() -> None:
    lines = Lines(faults())
    one = batch([row("192.0.2.1", "192.0.2.2", at=30 * k) for k in range(PLACES + 10)], source=Coded.same("wire", PLACES + 10))
    lines.take(one, one.records)
    assert sorted(lines._arrays["slots"].tolist()) == [BEGIN // SLOT + k for k in range(10, PLACES + 10)] and lines.counters()["lines_late"] == 0
    late = batch([row("192.0.2.1", "192.0.2.2", at=0)], source=Coded.same("wire", 1))
    lines.take(late, late.records)
    assert lines.counters()["lines_late"] == 1


def test_lines_are_bounded_and_what_has_none_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpi.security.lines.MOST", 300)
    count, lines = 400, Lines(faults())
    names = [f"s-{k}" for k in range(count)]
    one = batch([row("192.0.2.1", "192.0.2.2", at=k / 10) for k in range(count)], source=Coded.same("wire", count), client_service_id=Coded.of(names))
    lines.take(one, one.records)
    assert lines.counters()["lines"] == 300 and lines.counters()["lines_full"] == 101
    meters = lines._arrays["meters"].view(np.ndarray)
    assert len(meters) == PLACES * 300 and int(meters["near_packets"].sum()) == 2 * count - 101
    assert lines.end() == [] and lines.counters()["lines"] == 0


def test_links_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpi.security.lines.LINKS", 3)
    lines = Lines(faults())
    for k in range(5):
        one = batch([row("192.0.2.1", "192.0.2.2", at=k)], source=Coded.same(f"wire {k}", 1))
        assert lines.take(one, one.records) == []
    assert lines.counters()["lines"] == 3 and lines.counters()["lines_full"] == 2


@pytest.mark.compiled
def test_a_hundred_thousand_services_are_judged() -> None:
    count, lines = 100_000, Lines(faults())
    names = Coded(np.arange(count, dtype=np.uint32), [f"s-{k}" for k in range(count)])
    rows = records(count, ROW)
    plain = rows.view(np.ndarray)
    plain["interval_start"] = plain["interval_end"] = BEGIN
    plain["client_packets"], plain["flow_id"], plain["client_rtt_us"] = 2, np.arange(1, count + 1), NONE
    lines.take(Batch("flows", count, {"source": Coded.same("wire", count), "client_service_id": names}, rows), rows)
    assert lines.counters()["lines"] == count + 1
    assert lines.close(BEGIN + 60 * SECOND) == [] and lines.counters()["lines_full"] == 0
