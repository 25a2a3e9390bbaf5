"""Services in their states, resources under many hands, and whose an address was: as the probe itself would say."""
from __future__ import annotations

import itertools
import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from bss import audit
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.services import binding, export, inventory, pool, resource
from bss.services.states import STATES, STEPS
from bss.services.whois import whois
from bss.tables import OrderItem, ProductOrder, Reservation, Resource, Service, ServiceResource, Transition
from tests.bss.conftest import BEGIN, Clock
from tests.bss.test_bindings import bind, customer, hours, service, some

_NUMBERS = itertools.count()


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("to", [*STATES, "feasibilityChecked"])
def test_every_state_and_step_is_answered(before: str, to: str) -> None:
    """The chain of states, written out again: designed, reserved, inactive, active and back, terminated; what was not delivered may be given up."""
    chain = ["designed", "reserved", "inactive", "active"]
    allowed = {*itertools.pairwise(chain), ("reserved", "designed"), ("active", "inactive"), *((one, "terminated") for one in chain)}
    assert ((before, to) in STEPS) == ((before, to) in allowed)


def test_a_service_walks_through_its_states_and_nowhere_else(office: Office) -> None:
    for before, to in itertools.product(STATES, STATES):
        one, = some(office, 1, before)
        step = STEPS.get((before, to))
        if step is None:
            with pytest.raises(Refusal, match=f"is {before} can't become {to}"):
                office.act(SYSTEM, lambda desk, one=one, to=to: inventory.move(desk, one, to, "because"))        # type: ignore[misc]
        else:
            if step.reason:
                with pytest.raises(Refusal, match="a reason is needed"):
                    office.act(SYSTEM, lambda desk, one=one, to=to: inventory.move(desk, one, to, " "))        # type: ignore[misc]
            office.act(SYSTEM, lambda desk, one=one, to=to: inventory.move(desk, one, to, "because"))        # type: ignore[misc]
        with office.reading() as desk:
            row = desk.session.get_one(Service, one)
            assert row.state == (to if step else before) and desk.session.query(Transition).where(Transition.entity_id == one).count() == bool(step)
            assert inventory.suspended(row) == (step is not None and step.event == "suspend")


def test_a_service_is_designed_changed_and_locked_optimistically(office: Office) -> None:
    one, = some(office, 1, "designed")
    changed = office.act(SYSTEM, lambda desk: inventory.change(desk, one, 1, down_bps=200_000_000, demarcation="ODF 3/7"))
    assert (changed.version, changed.down_bps, changed.circuit) == (2, 200_000_000, one)
    with pytest.raises(Refusal) as stale:
        office.act(SYSTEM, lambda desk: inventory.change(desk, one, 1, down_bps=1))
    assert stale.value.kind == "stale"
    for given_, match in (({"down_bps": -1}, "not a rate"), ({"class_": "Z"}, "no class"), ({"region": "x"}, "can't be changed"),
                          ({"offering": "nothing"}, "no offering"), ({"circuit": ""}, "not a circuit")):
        with pytest.raises(Refusal, match=match):
            office.act(SYSTEM, lambda desk, given_=given_: inventory.change(desk, one, **given_))        # type: ignore[misc]
    with pytest.raises(Refusal, match="no service"):
        office.act(Actor("U1", "v", frozenset({"provisioning"}), ("遵义",)), lambda desk: inventory.move(desk, one, "reserved"))


# ---- resources

def items(office: Office, count: int) -> list[str]:
    def make(desk: Desk) -> list[str]:
        owner = customer(desk)
        service(desk, owner)
        order = desk.add(ProductOrder(number=f"O{next(_NUMBERS)}", customer_id=owner, region="贵阳", channel="hall", class_="home", created=desk.now))
        return [desk.add(OrderItem(order_id=order.id, place=n, action="add", offering="FTTH", offering_version=1, wanted={}, price={})).id
                for n in range(count)]
    return office.act(SYSTEM, make)


def made(office: Office, **given: Any) -> str:
    return office.act(SYSTEM, lambda desk: resource.add(desk, **{"region": "贵阳", **given}).id)


def tree(office: Office) -> dict[str, str]:
    """OLT - PON port - splitter - ONU."""
    found: dict[str, str] = {}
    above = None
    for kind, capacity in (("olt", 10 ** 10), ("pon_port", 2_500_000_000), ("splitter", 2_500_000_000), ("onu", 0)):
        above = found[kind] = made(office, kind=kind, name=f"{kind} {next(_NUMBERS)}", parent_id=above, capacity_bps=capacity)
    return found


def together(count: int, act: Any) -> list[Any]:
    """Threads that begin at once; what each gave, or the kind of its refusal."""
    start, found = threading.Barrier(count), [None] * count

    def one(n: int) -> None:
        start.wait()
        try:
            found[n] = act(n)
        except Refusal as error:
            found[n] = error.kind       # type: ignore[call-overload]
    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_shared_capacity_is_never_promised_twice(office: Office) -> None:
    port, wanted = tree(office)["pon_port"], items(office, 8)
    until = BEGIN + timedelta(days=30)
    told = together(8, lambda n: office.act(SYSTEM, lambda desk: resource.reserve(desk, port, wanted[n], 500_000_000, until).id))
    assert sorted(told).count("conflict") == 3
    with office.reading() as desk:
        room = resource.headroom(desk, port)
        assert (room.capacity_bps, room.reserved_bps, room.measured_p95_bps, room.free_bps) == (2_500_000_000, 2_500_000_000, None, 0)
    office.act(SYSTEM, lambda desk: resource.reserve(desk, port, wanted[[n for n in range(8) if told[n] != "conflict"][0]], 100_000_000, until))      # less
    late = wanted[told.index("conflict")]
    office.act(SYSTEM, lambda desk: resource.reserve(desk, port, late, 400_000_000, until))


def test_an_exclusive_one_is_ones_at_a_time(office: Office, clock: Clock) -> None:
    onu, wanted = tree(office)["onu"], items(office, 4)
    until = BEGIN + timedelta(days=30)
    told = together(4, lambda n: office.act(SYSTEM, lambda desk: resource.reserve(desk, onu, wanted[n], 0, until).id))
    assert told.count("conflict") == 3
    winner = wanted[[n for n in range(4) if told[n] != "conflict"][0]]
    one, two = some(office, 2, "reserved")
    used = office.act(SYSTEM, lambda desk: resource.use(desk, winner, one))
    assert [row.holder for row in used] == [onu]
    with office.reading() as desk:
        row = desk.session.get_one(Resource, onu)
        assert (row.state, row.usage) == ("reserved", "busy")
    with pytest.raises(Refusal, match=f"used by service {one}"):
        office.act(SYSTEM, lambda desk: resource.reserve(desk, onu, wanted[0], 0, until))
    with pytest.raises(Refusal, match="database refuses"):                       # and the database itself keeps it
        office.act(SYSTEM, lambda desk: desk.add(ServiceResource(service_id=two, resource_id=onu, holder=onu)))
    office.act(SYSTEM, lambda desk: inventory.move(desk, one, "terminated", "moved away"))
    with office.reading() as desk:
        row = desk.session.get_one(Resource, onu)
        assert (row.state, row.usage) == ("available", "idle")
    office.act(SYSTEM, lambda desk: resource.reserve(desk, onu, wanted[1], 0, BEGIN + timedelta(days=1)))
    clock.forward(days=2)
    office.act(SYSTEM, lambda desk: resource.reserve(desk, onu, wanted[2], 0, clock.now + timedelta(days=1)))      # what was kept until then is free
    assert office.act(SYSTEM, lambda desk: resource.expire(desk, {})) == 1
    assert len(office.act(SYSTEM, lambda desk: resource.release(desk, wanted[2]))) == 1
    with office.reading() as desk:
        assert desk.session.query(Reservation).where(Reservation.released.is_(None)).count() == 0


def test_a_pool_gives_the_lowest_free_one_to_each(office: Office) -> None:
    wanted = items(office, 6)
    vlans = office.act(SYSTEM, lambda desk: pool.create(desk, kind="vlan", name="BRAS1", region="贵阳", first=100, last=104).id)
    until = BEGIN + timedelta(days=3)
    told = together(6, lambda n: office.act(SYSTEM, lambda desk: pool.allocate(desk, vlans, wanted[n], until)[0].detail["vlan"]))
    assert sorted(map(str, told)) == ["100", "101", "102", "103", "104", "conflict"]
    loser = told.index(102)
    office.act(SYSTEM, lambda desk: resource.release(desk, wanted[loser]))
    assert office.act(SYSTEM, lambda desk: pool.allocate(desk, vlans, wanted[told.index("conflict")], until))[0].detail == {"vlan": 102}
    prefixes = office.act(SYSTEM, lambda desk: pool.create(desk, kind="prefix", name="P1", region="贵阳", prefix="198.51.100.0/28", length=30).id)
    assert [office.act(SYSTEM, lambda desk, n=n: pool.allocate(desk, prefixes, wanted[n], until))[0].detail["prefix"] for n in range(2)] == [        # type: ignore[misc]
        "198.51.100.0/30", "198.51.100.4/30"]
    with pytest.raises(Refusal, match="is a pool"):
        office.act(SYSTEM, lambda desk: resource.reserve(desk, vlans, wanted[0], 0, until))


def test_a_tree_grows_only_where_it_may(office: Office) -> None:
    found = tree(office)
    with pytest.raises(Refusal, match="a onu is no part of a olt"):
        made(office, kind="onu", name="x", parent_id=found["olt"])
    second = made(office, kind="splitter", name="below", parent_id=found["splitter"])
    with pytest.raises(Refusal, match="part of itself"):
        office.act(SYSTEM, lambda desk: resource.change(desk, found["splitter"], parent_id=second))
    with pytest.raises(Refusal, match="database refuses"):
        made(office, kind="splitter", name="below")
    with office.reading(Actor("U1", "p", frozenset({"presales"}), ("贵阳",))) as desk:
        ports = resource.candidates(desk, "贵阳", "pon_port", 1_000_000_000)
        assert [(one.resource_id, one.headroom.free_bps) for one in ports] == [(found["pon_port"], 2_500_000_000)]
        assert resource.candidates(desk, "贵阳", "pon_port", 3_000_000_000) == [] and resource.candidates(desk, "遵义", "pon_port", 1) == []
        assert [one.resource_id for one in resource.candidates(desk, "贵阳", "onu", 100)] == [found["onu"]]


# ---- whose an address was

def test_whois_is_asked_with_a_reason_and_on_record(office: Office) -> None:
    one, = some(office, 1)
    bind(office, one, prefix="192.0.2.0/24")
    with pytest.raises(Refusal, match="a reason is needed"):
        office.act(SYSTEM, lambda desk: whois(desk, "192.0.2.7", BEGIN))
    with pytest.raises(Refusal, match=r"whois\.ask"):
        office.act(Actor("U1", "b", frozenset({"billing"})), lambda desk: whois(desk, "192.0.2.7", BEGIN, reason="T-1"))
    found = office.act(SYSTEM, lambda desk: whois(desk, "192.0.2.7", BEGIN, reason="T-1"))
    assert (found.service_id, found.by) == (one, "prefix 192.0.2.0/24")
    nobody = office.act(SYSTEM, lambda desk: whois(desk, "192.0.3.7", BEGIN, reason="T-2"))
    assert nobody.service_id == "" and nobody.customer_id == ""
    with office.reading() as desk:
        rows: Any = desk.session.execute(audit.search(desk, "service", action="whois.ask")).scalars()
        asked = [(row.reason, row.entity_id, (audit.detail(row) or {})["after"]["address"]) for row in rows]
        assert asked == [("T-2", "none", "192.0.3.7"), ("T-1", one, "192.0.2.7")]
    with pytest.raises(Refusal, match="no service"):            # whose it is he may not see: nobody else is named in his place
        office.act(Actor("U2", "a", frozenset({"assurance"}), ("遵义",)), lambda desk: whois(desk, "192.0.2.7", BEGIN, reason="T-3"))


NETS = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::7/128", "2000::/3"]


@pytest.mark.compiled
@how(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(st.tuples(st.sampled_from([*NETS, ""]), st.sampled_from([None, 7, 8]), st.sampled_from([None, 3]), st.integers(0, 3), st.integers(1, 3)),
                      min_size=3, max_size=10),
       asked=st.lists(st.tuples(st.sampled_from(["10.1.2.3", "10.1.2.4", "10.9.9.9", "11.0.0.1", "2001:db8:1::7", "2001:db8:1::8", "2001:db8:2::1", "3000::1"]),
                                st.sampled_from([None, 7, 8]), st.sampled_from([None, 3]), st.integers(0, 5)), min_size=6, max_size=12))
def test_whois_says_what_the_probe_stamps(office: Office, lines: list[tuple[str, int | None, int | None, int, int]],
                                          asked: list[tuple[str, int | None, int | None, int]]) -> None:
    from ipaddress import ip_address

    from dpi.cli.whois import _ask
    from dpi.identity.stamper import Options, load

    services = some(office, 2)
    for number, (prefix, vlan, inner, since, span) in enumerate(lines):
        try:
            bind(office, services[number % 2], prefix=prefix, vlan=vlan, inner_vlan=inner, valid_from=hours(since), valid_to=hours(since + span))
        except Refusal as error:
            assert error.kind in ("conflict", "invalid")
    export.write(office)
    known = load(Options(bindings=office.settings.bindings), "")
    for address, vlan, inner, hour in asked:
        here = office.act(SYSTEM, lambda desk, a=address, v=vlan, i=inner, h=hour: whois(desk, a, hours(h), v, i, reason="T"))        # type: ignore[misc]
        there = _ask(known, ip_address(address), int(hours(hour).timestamp()) * 1_000_000, vlan or 0, (inner if vlan else None) or 0)
        assert (here.service_id, here.customer_id) == (there["service_id"], there["customer_id"])
    with office.writing() as desk:
        for one in services:
            for row in binding.of_service(desk, one):
                binding.stop(desk, row, hours(-1))
