"""Bindings over time: never two at once of the same thing, no gap where one follows another, and the probe reads what was written."""
from __future__ import annotations

import itertools
import threading
from datetime import datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.services import binding, export, inventory
from bss.services.spelling import key_of, spelt
from bss.tables import Binding, Customer, Offering, Outbox, Party, Service
from dpi.errors import UserError
from dpi.identity.bindings import read
from tests.bss.conftest import BEGIN, Clock

_NUMBERS = itertools.count()


def customer(desk: Desk, region: str = "贵阳") -> str:
    party = desk.add(Party(kind="individual", name="王小明", created=desk.now))
    return desk.add(Customer(number=f"K{next(_NUMBERS)}", party_id=party.id, class_="home", region=region, created=desk.now)).id


def service(desk: Desk, customer_id: str | None = None, state: str = "active", region: str = "贵阳") -> Service:
    if desk.session.get(Offering, ("FTTH", 1)) is None:
        desk.add(Offering(code="FTTH", version=1, kind="broadband", class_="home", valid_from=desk.now, document={}, created=desk.now))
    made = inventory.design(desk, customer_id=customer_id or customer(desk, region), offering="FTTH", offering_version=1, kind="broadband", class_="home",
                            region=region, down_bps=100_000_000, up_bps=20_000_000)
    made.state = state
    desk.session.flush()
    return made


def some(office: Office, count: int, state: str = "active") -> list[str]:
    return office.act(SYSTEM, lambda desk: [service(desk, state=state).id for _ in range(count)])


def hours(n: float) -> datetime:
    return BEGIN + timedelta(hours=n)


def bind(office: Office, service_id: str, **given: Any) -> Binding:
    return office.act(SYSTEM, lambda desk: binding.bind(desk, service_id, **given))


def refused(office: Office, match: str, service_id: str, **given: Any) -> None:
    with pytest.raises(Refusal, match=match):
        bind(office, service_id, **given)


def lines(office: Office) -> list[dict[str, str]]:
    """The file as the probe reads it."""
    found = read(office.settings.bindings)
    assert not found.warnings
    return sorted(({name: value for name, value in found.words(number).items() if name != "line"} for number in range(1, len(found) + 1)), key=str)


def rows(office: Office) -> list[dict[str, str]]:
    """The same of the database."""
    out = []
    with office.reading() as desk:
        for row in desk.session.query(Binding).where(Binding.withdrawn.is_(None)):
            owner = desk.session.get_one(Service, row.service_id)
            cells = {"service_id": row.service_id, "customer_id": owner.customer_id, "prefix": row.prefix, "vlan": str(row.vlan or ""),
                     "inner_vlan": str(row.inner_vlan or ""), "mac": row.mac, "user": row.user, "circuit": row.circuit,
                     "valid_from": row.valid_from.isoformat().replace("+00:00", "Z"),
                     "valid_to": row.valid_to.isoformat().replace("+00:00", "Z") if row.valid_to else "", "probe": row.probe, "interface": row.interface}
            out.append({name: value for name, value in cells.items() if value})
    return sorted(out, key=str)


def test_what_overlaps_is_refused_and_both_are_named(office: Office) -> None:
    one, two = some(office, 2)
    bind(office, one, prefix="198.51.100.0/29", vlan=100, valid_from=hours(1), valid_to=hours(3))
    with pytest.raises(Refusal) as error:
        bind(office, two, prefix="198.51.100.0/29", vlan=100, valid_from=hours(2), probe="north")
    assert error.value.kind == "conflict" and all(word in str(error.value) for word in (
        one, two, "from 2026-12-01T02:00:00Z until 2026-12-01T04:00:00Z", "from 2026-12-01T03:00:00Z on"))
    refused(office, "overlaps", one, prefix="198.51.100.0/29", vlan=100, valid_from=hours(0), valid_to=hours(1.001))
    for span in ({"valid_from": hours(3)}, {"valid_from": hours(0), "valid_to": hours(1)}):         # half-open: they touch
        bind(office, two, prefix="198.51.100.0/29", vlan=100, **span)
    bind(office, two, prefix="198.51.100.0/29", valid_from=hours(0))                                # in no VLAN it is another thing
    bind(office, two, prefix="198.51.100.0/30", vlan=100, valid_from=hours(0))
    assert lines(office) == rows(office) and len(lines(office)) == 5


@how(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=st.lists(st.tuples(st.sampled_from(["bind", "bind", "bind", "end", "move", "terminate"]), st.integers(0, 2), st.integers(0, 2), st.integers(0, 8),
                               st.one_of(st.none(), st.integers(1, 9))), max_size=14))
def test_bindings_over_time(office: Office, acts: list[tuple[str, int, int, int, int | None]]) -> None:
    """Against a model: hour -> service, for each of three things."""
    services = some(office, 3)
    net = next(_NUMBERS)
    things = [{"prefix": f"10.{net >> 8}.{net & 255}.0/24"}, {"user": f"u{net}@example"}, {"prefix": f"10.{net >> 8}.{net & 255}.0/24", "vlan": 7}]
    keys = [key_of(spelt(**one)) for one in things]      # type: ignore[arg-type]
    model: list[dict[int, int]] = [{}, {}, {}]
    far, ended = range(10), set[int]()
    for act, who, what, at, until in acts:
        other = (who + 1) % 3
        mine = [(k, hour) for k in range(3) for hour in far if hour >= at and model[k].get(hour) == who]
        if act == "bind":
            span = [hour for hour in far if hour >= at and (until is None or hour < until)]
            may = who not in ended and (until is None or until > at) and not any(hour in model[what] for hour in span)
            try:
                bind(office, services[who], **things[what], valid_from=hours(at), valid_to=None if until is None else hours(until))       # type: ignore[arg-type]
                assert may
                model[what].update(dict.fromkeys(span, who))
            except Refusal:
                assert not may
        elif act == "end":
            office.act(SYSTEM, lambda desk, who=who, at=at: binding.end(desk, services[who], hours(at)))         # type: ignore[misc]
            for k, hour in mine:
                del model[k][hour]
        elif act == "move":
            may = bool(mine) and other not in ended
            try:
                office.act(SYSTEM, lambda desk, who=who, other=other, at=at: binding.move(desk, services[who], services[other], hours(at)))     # type: ignore[misc]
                assert may
                for k, hour in mine:
                    model[k][hour] = other                      # no hour is lost
            except Refusal:
                assert not may
        elif who not in ended:
            office.act(SYSTEM, lambda desk, who=who: inventory.move(desk, services[who], "terminated"))         # type: ignore[misc]
            ended.add(who)
            for k, hour in [(k, hour) for k in range(3) for hour in far if model[k].get(hour) == who]:
                del model[k][hour]
        with office.reading() as desk:
            for k in range(3):
                for hour in far:
                    found = desk.session.query(Binding).where(Binding.key == keys[k], *binding.holds(hours(hour))).all()
                    assert [one.service_id for one in found] == ([services[model[k][hour]]] if hour in model[k] else [])
    export.write(office)
    assert lines(office) == rows(office)


GOOD: list[dict[str, Any]] = [
    {"prefix": "192.0.2.0/24"}, {"prefix": "192.0.2.7"}, {"prefix": "2001:DB8:0::/48"}, {"prefix": "2001:db8::1"}, {"prefix": "0.0.0.0/0"},
    {"prefix": "2000::/3"}, {"prefix": " 192.0.2.0/24 ", "vlan": 1}, {"prefix": "10.0.0.0/8", "vlan": 4094, "inner_vlan": 7}, {"vlan": 300},
    {"vlan": 300, "inner_vlan": 1}, {"mac": "AABB.CCDD.EEFF"}, {"mac": "aa-bb-cc-dd-ee-01"}, {"user": "  alice@example  "}, {"user": 'o"hara, ann'},
    {"circuit": "贵阳 OLT1/0/1 ONU 7"}, {"user": "=cmd()", "probe": "north, 2", "interface": '"eth1"'}]


def test_what_is_bound_is_what_the_probe_reads(office: Office) -> None:
    one, = some(office, 1)
    for what in GOOD:
        bind(office, one, **what, valid_from=BEGIN + timedelta(microseconds=7))
    assert lines(office) == rows(office) and len(lines(office)) == len(GOOD)
    assert lines(office)[0]["valid_from"] == "2026-12-01T01:00:00.000007Z"


BAD: list[dict[str, Any]] = [
    {}, {"prefix": "192.0.2.1/24"}, {"prefix": "192.0.2"}, {"prefix": "192.0.2.0/33"}, {"prefix": "192.0.2.0/"}, {"prefix": "192.0.2.0/+8"},
    {"prefix": "::/0"}, {"prefix": "::ffff:192.0.2.1"}, {"prefix": "01.2.3.4"}, {"prefix": "fe80::1%eth0"}, {"vlan": 0}, {"vlan": 4095}, {"inner_vlan": 3},
    {"mac": "00:00:00:00:00:00"}, {"mac": "aa:bb:cc:dd:ee"}, {"mac": "gg:bb:cc:dd:ee:ff"}, {"user": "a\tb"}, {"user": "a\x00b"}, {"user": "x" * 256},
    {"circuit": "a\u2028b"}, {"user": "a", "mac": "aa:bb:cc:dd:ee:ff"}, {"user": "a", "vlan": 5}, {"user": " "}]


@pytest.mark.parametrize("given", BAD)
def test_what_the_probe_would_refuse_is_refused_here(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Refusal) as error:
        spelt(**given)
    assert error.value.kind == "invalid" and "\n" not in str(error.value)
    file = tmp_path / "bindings.csv"
    cells = {"service_id": "S", **{name: str(value) for name, value in given.items()}}
    file.write_text(",".join(cells) + "\n" + ",".join(cells.values()) + "\n")
    with pytest.raises(UserError):
        read(file)


@how(max_examples=300, deadline=None)
@given(st.one_of(st.text(alphabet="0123456789abcdef.:/", max_size=22), st.ip_addresses(network="10.0.0.0/8").map(str), st.builds(
    lambda address, length: f"{address}/{length}", st.ip_addresses(), st.integers(0, 130))))
def test_a_prefix_is_one_here_where_it_is_one_there(text: str) -> None:
    from dpi.identity.bindings import Wrong, prefix
    try:
        there = prefix(text.strip())
    except Wrong:
        with pytest.raises(Refusal):
            spelt(prefix=text)
        return
    here = ip_network(spelt(prefix=text).prefix)
    mapped = 0 if here.version == 6 else 0xFFFF << 32
    assert there == (int(here[0]) | mapped, int(here[-1]) | mapped, here.prefixlen)


@pytest.mark.parametrize("state", ["designed", "terminated"])
def test_a_service_has_bindings_only_from_reserved_to_active(office: Office, state: str) -> None:
    one, = some(office, 1, state)
    refused(office, f"is {state}", one, prefix="192.0.2.0/24")
    two, = some(office, 1, "reserved")
    bind(office, two, prefix="192.0.2.0/24")
    bind(office, two, prefix="192.0.3.0/24", valid_from=hours(5))
    office.act(SYSTEM, lambda desk: inventory.move(desk, two, "terminated", "gave up"))
    with office.reading() as desk:
        assert binding.of_service(desk, two, desk.now) == [] and binding.of_service(desk, two, hours(6)) == []


def test_many_bind_the_same_at_once_and_one_does(office: Office) -> None:
    services = some(office, 6)
    told: list[str] = []
    start = threading.Barrier(6)

    def one(service_id: str) -> None:
        start.wait()
        try:
            bind(office, service_id, prefix="203.0.113.0/24")
            told.append("bound")
        except Refusal as error:
            told.append(error.kind)
    threads = [threading.Thread(target=one, args=(each,)) for each in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["bound", *["conflict"] * 5]
    assert lines(office) == rows(office) and len(lines(office)) == 1


def test_the_past_takes_the_permission_to_correct(office: Office, clock: Clock) -> None:
    one, = some(office, 1)
    clock.forward(days=1)
    desk_worker = Actor("U1", "v", frozenset({"provisioning"}))
    with pytest.raises(Refusal, match=r"binding\.correct"):
        office.act(desk_worker, lambda desk: binding.bind(desk, one, prefix="192.0.2.0/24", valid_from=BEGIN))
    with pytest.raises(Refusal, match=r"binding\.write"):
        office.act(Actor("U2", "b", frozenset({"billing"})), lambda desk: binding.bind(desk, one, prefix="192.0.2.0/24"))
    with pytest.raises(Refusal, match="without a zone"):
        bind(office, one, prefix="192.0.2.0/24", valid_from=BEGIN.replace(tzinfo=None))


def test_the_file_follows_each_change_and_only_changes(office: Office, clock: Clock) -> None:
    one, two = some(office, 2)
    path = Path(office.settings.bindings)
    bind(office, one, prefix="192.0.2.0/24")
    first = path.stat()
    assert first.st_mode & 0o777 == 0o600 and "王" not in path.read_text() and path.read_text().startswith("service_id,customer_id,prefix")
    assert not export.write(office, always=True).changed and path.stat().st_ino == first.st_ino
    refused(office, "overlaps", two, prefix="192.0.2.0/24")
    assert path.stat().st_ino == first.st_ino
    clock.forward(hours=1)
    office.act(SYSTEM, lambda desk: binding.move(desk, one, two))
    assert [line["service_id"] for line in lines(office)] == [one, two] and path.stat().st_ino != first.st_ino
    path.unlink()
    export.keep(office, {})
    assert len(lines(office)) == 2
    clock.forward(days=36)
    export.keep(office, {})
    assert [line["service_id"] for line in lines(office)] == [two]          # what ended 35 days ago has left it
    with office.reading() as desk:
        assert {"fullspan.binding.create", "fullspan.binding.end"} <= {one.type for one in desk.session.query(Outbox)}


def test_a_file_that_cannot_be_written_undoes_nothing(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    one, = some(office, 1)
    path = Path(office.settings.bindings)
    path.mkdir()
    bind(office, one, prefix="192.0.2.0/24")
    assert "the bindings file was not written" in caplog.text
    with pytest.raises(Refusal, match="can't be written"):
        export.write(office)
    path.rmdir()
    export.write(office)
    assert len(lines(office)) == 1
