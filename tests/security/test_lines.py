"""What is measured of lines, against its slow twin; what is usual; and that hostile rows and very many lines are borne."""
from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import AnyColumn, Batch, Coded, Named
from dpi.flow.row import ROW
from dpi.jit import BUILD, records
from dpi.security.lines import LINK, SERVICE, Lines
from dpi.security.metering import PLACES, SLOT
from dpi.security.meters import Meters
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
    numbers = {(kind, name): number + 1 for kind, names in enumerate(lines._register._numbers) for name, number in names.items()}
    of = [each["of"] for each in rows]
    clients, servers = ([numbers.get((SERVICE, SERVICES[each[at]]), 0) for each in of] for at in (0, 1))
    vlans = [numbers.get((1, str(each["vlan"])), 0) for each in rows]
    local = [(each[2] & 1 | (each[0] != 0)) | (each[2] >> 1 | (each[1] != 0)) << 1 for each in of]
    near = [each["server"] if side == 2 else each["client"] for each, side in zip(rows, local, strict=True)]
    free = [side in (1, 2) and not (servers if side == 2 else clients)[k] for k, side in enumerate(local)]
    nets = [numbers.get((3, str(ip_network(f"{end}/{48 if ':' in end else 24}", False))), 0) if one else 0 for end, one in zip(near, free, strict=True)]
    wanted = oracle.meters(one.records.view(np.ndarray), clients, servers, vlans, nets, local, numbers.get((LINK, "wire"), 0))
    found = {(slot, int(line)): meter for slot in lines._meters.slots.tolist() for line, meter in zip(*lines._meters.of(slot, 99), strict=True)}
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        assert {name: int(found[key][name]) for name in values} == values, key


def test_what_is_usual_is_the_mean_of_the_first_slots_and_then_a_weighted_one() -> None:
    usual, values, lines = Usual(9), np.random.default_rng(7).uniform(1, 9, 200), np.array([3, 5])
    mean = deviation = 0.0
    for k, value in enumerate(values.tolist()):
        usual.learn("near_rtt", lines[:1], np.array([value]), np.array([k >= 150]))
        weight = max(0.05, 1 / (k + 1)) if k < 150 else 0.005
        deviation += weight * ((abs(value - mean) if k else 0.0) - deviation)
        mean += weight * (value - mean)
    of = usual.of("near_rtt", lines)
    assert of[0] == pytest.approx([mean, 0.0], rel=1e-4) and of[1] == pytest.approx([deviation, 0.0], rel=1e-3) and of[2].tolist() == [200, 0]


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
    assert sorted(lines._meters.slots.tolist()) == [BEGIN // SLOT + k for k in range(10, PLACES + 10)] and lines.counters()["lines_late"] == 0
    late = batch([row("192.0.2.1", "192.0.2.2", at=0)], source=Coded.same("wire", 1))
    lines.take(late, late.records)
    assert lines.counters()["lines_late"] == 1


def test_lines_are_bounded_and_what_has_none_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpi.security.register.MOST", 300)
    count, lines = 400, Lines(faults())
    names = [f"s-{k}" for k in range(count)]
    one = batch([row("192.0.2.1", "192.0.2.2", at=k / 10) for k in range(count)], source=Coded.same("wire", count), client_service_id=Coded.of(names))
    lines.take(one, one.records)
    assert lines.counters()["lines"] == 300 and lines.counters()["lines_full"] == 101
    meters = [lines._meters.of(slot, 300)[1] for slot in lines._meters.slots.tolist()]
    assert lines._meters.room == 300 and sum(int(one["near_packets"].sum()) for one in meters) == 2 * count - 101
    assert lines.end() == [] and lines.counters()["lines"] == 0


def test_links_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpi.security.register.LINKS", 3)
    lines = Lines(faults())
    for k in range(5):
        one = batch([row("192.0.2.1", "192.0.2.2", at=k)], source=Coded.same(f"wire {k}", 1))
        assert lines.take(one, one.records) == []
    assert lines.counters()["lines"] == 3 and lines.counters()["lines_full"] == 2


def test_lines_have_meters_in_the_slots_in_which_they_are_heard_of_and_no_more_than_they_need() -> None:
    made, busy = Meters(64, 1 << 17), np.arange(1, 61, dtype=np.uint32)
    none, nobody = np.zeros(60, np.uint32), np.zeros(60, np.uint8)
    made.head["free"] = 25              # the rest is another's: more are made under way, while slots have some
    for at in range(5):
        one = batch([row("192.0.2.1", "192.0.2.2", at=30 * at) for _ in busy]).records
        assert made.gather(one, busy, none, none, none, nobody, 0, 0, 60) == 60
        made.grow(64 + at)
    slots = [BEGIN // SLOT + at for at in range(5)]
    for slot in slots:
        met, meters = made.of(slot, 64)
        assert met.tolist() == list(range(60)) and meters["near_packets"].tolist() == [1] * 60
    free = int(made.head["free"])
    for slot in slots:
        made.close(slot, 64)
        assert len(made.of(slot, 64)[0]) == 0
    assert int(made.head["free"]) == free + 300
    assert made.gather(one, busy, none, none, none, nobody, 0, 0, 60) == 60         # what was another slot's begins at nothing
    assert made.of(slots[4], 64)[1]["near_packets"].tolist() == [1] * 60 and int(made.head["free"]) == free + 240
    numbers = made._arrays["free"][:free + 240].tolist()
    assert len(set(numbers)) == len(numbers) and 0 not in numbers


def shared(made: Batch, vocabulary: dict[str, list[str]]) -> Batch:
    """The same rows with columns whose words are those of a vocabulary."""
    columns: dict[str, AnyColumn] = dict(made.columns)
    for name in [one for one in columns if one.endswith(("service_id", "customer_id"))]:
        words = vocabulary[name.partition("_")[2]]
        columns[name] = Named(np.array([words.index(word) for word in columns[name]], np.uint32), words)
    return Batch(made.table, made.count, columns, made.records)


def test_columns_with_a_vocabulary_are_told_of_as_plain_words_are() -> None:
    told, known = [], []
    for kind in ("plain", "shared"):
        rng, lines, out = np.random.default_rng(5), Lines(faults(), lambda probe, interface: (interface, 0)), []
        words = ["", *(f"s-{k}" for k in range(60, 0, -1))]
        for at in range(14):
            of = np.minimum(rng.integers(0, 90, (2, 40)), 60)
            lost = [60 * int(at in (5, 6, 11) and code % 9 == 1) for code in of[0].tolist()]
            rows = [row("192.0.2.1", "192.0.2.2", at=30 * at, client_packets=400, client_payload_bytes=1, client_retransmissions=one,
                        client_rtt_us=NONE, server_rtt_us=NONE, server_response_us=NONE) for one in lost]
            columns = {f"{side}_{what}": Coded.of([words[code] and prefix + words[code] for code in codes.tolist()])
                       for side, codes in zip(("client", "server"), of, strict=True) for what, prefix in (("service_id", ""), ("customer_id", "c-"))}
            made = batch(rows, source=Coded.same(f"wire {at % 2}", 40), **columns)
            if at == 7:         # bindings are read anew
                words = ["", *sorted(words[1:], key=lambda word: word[::-1])]
            if kind == "shared":
                if at in (0, 7):
                    vocabulary = {"service_id": list(words), "customer_id": [word and f"c-{word}" for word in words]}
                made = shared(made, vocabulary)
            out += lines.take(made, made.records)
        known.append(lines.counters())
        told.append([vars(each) for each in out + lines.end()])
    assert known[0] == known[1] and known[0]["lines"] == 62 and len(told[0]) > 5 and told[0] == told[1]


def test_lines_go_on_by_name_where_the_vocabulary_changes() -> None:
    lines, names = Lines(faults()), [f"s-{k}" for k in range(1, 6)]
    one = batch([row("192.0.2.1", "192.0.2.2", at=k) for k in range(5)], source=Coded.same("wire", 5))
    for vocabulary, numbers in ((["", *names], [1, 2, 3, 4, 0]), (["", "s-9", *names[::-1]], [6, 5, 4, 3, 1]), (["", *names], [1, 2, 3, 4, 5])):
        columns = {**one.columns, "client_service_id": Named(np.array(numbers, np.uint32), vocabulary)}
        lines.take(Batch("flows", 5, columns, one.records), one.records)
    plain = {**one.columns, "client_service_id": Coded.of(["s-1", "s-2", "s-3", "s-4", "s-10"])}
    lines.take(Batch("flows", 5, plain, one.records), one.records)
    met, meters = lines._meters.of(BEGIN // SLOT, lines.counters()["lines"])
    packets = {lines._register.names[line]: int(meter["near_packets"]) for line, meter in zip(met.tolist(), meters, strict=True)}
    assert packets == {"wire": 20, "s-1": 4, "s-2": 4, "s-3": 4, "s-4": 4, "s-5": 1, "s-9": 1, "s-10": 1}


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
