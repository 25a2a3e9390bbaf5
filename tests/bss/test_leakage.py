"""What traffic proves of services: a day's leakage, room on a link, and a binding of the past put right, over a real store."""
from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from bss.moment import iso
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.services import binding, correction, inventory, leakage, resource
from bss.services.spelling import What
from bss.services.whois import whois
from bss.tables import Binding, Job, Outbox, Service
from dpi.batch import Batch, Coded
from dpi.store import open_store
from dpi.usage.computing import Job as Usage
from tests.bss.conftest import Clock
from tests.bss.test_bindings import bind, lines, rows, some
from tests.usage.traffic import MINUTE, coverage, flows, put

DAY = date(2024, 3, 5)
MIDNIGHT = datetime(2024, 3, 4, 16, tzinfo=UTC)                 # in Shanghai
START = int(MIDNIGHT.timestamp()) * 1_000_000
_NETS = itertools.count(1)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store in which a probe was there all day."""
    made = f"chdb://{tmp_path_factory.mktemp('leakage')}/store"
    store = open_store(made)
    told = coverage(range(-60, 24 * 60 + 60), probe="north", workers=1, start=START, frames=1000, refused=1000)
    put(store, told)
    Usage(store).run(captures=None)
    store.close()
    return made


@pytest.fixture
def measured(office: Office, clock: Clock, url: str) -> Iterator[Office]:
    """An office with that store, a week before that day."""
    office.settings = office.settings.model_copy(update={"store": url})
    clock.now = MIDNIGHT - timedelta(days=7)
    yield office
    office.evidence.close()


def line(address: str, service: str, customer: str, minutes: range, down: int, up: int, probe: str = "north") -> Batch:
    """Flows of an address, one a minute, stamped as the probe does."""
    n = len(minutes)
    ends = {"client": [0] * 10 + [255, 255, *map(int, address.split("."))], "server": [0] * 10 + [255, 255, 203, 0, 113, 9]}
    same = {"client_service_id": service, "client_customer_id": customer, "server_service_id": "", "server_customer_id": "", "interface": "eth1"}
    numbers = {"client_bytes": up, "server_bytes": down, "client_wire_bytes": up, "server_wire_bytes": down}
    given: dict[str, Any] = {
        **{f"{side}_ip": np.tile(np.array(octets, np.uint8), (n, 1)) for side, octets in ends.items()},
        **{name: Coded.same(value, n) for name, value in same.items()}, **{name: np.full(n, value, np.uint64) for name, value in numbers.items()},
        **{f"{side}_duplicate": np.zeros(n, np.uint8) for side in ends}, "client_local": np.ones(n, np.uint8), "server_local": np.zeros(n, np.uint8),
        "interval_start": np.array([START + k * MINUTE for k in minutes], np.int64), "vlan": np.zeros(n, np.uint16)}
    return flows(n, probe=probe, services=1, **given)


def carry(office: Office, url: str, *batches: Batch) -> None:
    """Store them, and compute their usage."""
    office.evidence.close()
    store = open_store(url, create=False)
    put(store, *batches)
    Usage(store).run()
    store.close()


SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)             # where what is asked is the store
POSTGRESQL = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)


@SQLITE
def test_a_days_leakage(measured: Office, clock: Clock, url: str) -> None:
    silent, busy, stopped, fine, late = some(measured, 5)
    net = next(_NETS)
    with measured.writing() as desk:
        owners = {one: desk.session.get_one(Service, one).customer_id for one in (silent, busy, stopped, fine)}
        for one in owners:
            desk.session.get_one(Service, one).activated = desk.now
    measured.act(SYSTEM, lambda desk: inventory.move(desk, stopped, "inactive", "does not pay"))
    carry(measured, url, line(f"10.{net}.0.1", busy, owners[busy], range(600, 605), 5_000_000_000, 1000),       # 5 minutes at 666 Mbit/s of 100
          line(f"10.{net}.0.2", stopped, owners[stopped], range(10, 20), 1_000_000, 1000), line(f"10.{net}.0.4", f"gone-{net}", "C", range(3), 7, 1),
          line(f"10.{net}.0.3", fine, owners[fine], range(0, 1440, 60), 1_000_000, 1000), line(f"10.{net}.1.5", "", "", range(4), 1_000_000, 1))
    clock.now = MIDNIGHT + timedelta(days=1, hours=1)
    with measured.writing() as desk:
        desk.session.get_one(Service, late).activated = MIDNIGHT + timedelta(hours=1)          # active for a part of the day only
    count = leakage.daily(measured, {})
    with measured.reading() as desk:
        found = {(line.kind, line.subject): line for line in leakage.report(desk, DAY)}
        assert leakage.written(desk, DAY) == clock.now and leakage.written(desk, DAY + timedelta(days=1)) is None
    mine = {key for key in found if key[1] in (silent, busy, stopped, fine, late, f"gone-{net}", f"10.{net}.1.0/24")}
    assert mine == {("silent", silent), ("above", busy), ("inactive", stopped), ("unknown", f"gone-{net}"), ("unbound", f"10.{net}.1.0/24")}
    above = found["above", busy].evidence
    assert (above["down_bps"], above["contract_down_bps"], above["slot"]) == (666_666_667, 100_000_000, "2024-03-05T02:00:00Z")
    assert found["silent", silent].evidence["measured"] == 1440 and found["unbound", f"10.{net}.1.0/24"].bytes == 4_000_004
    assert found["inactive", stopped].bytes == 10_010_000 and found["inactive", stopped].customer_id == owners[stopped]
    assert leakage.daily(measured, {"slot": iso(MIDNIGHT + timedelta(days=1))}) == count           # again: the same, not twice
    with measured.reading(Actor("U1", "p", frozenset({"presales"}), ("遵义",))) as desk:
        assert leakage.report(desk, DAY) == []
    with measured.reading() as desk:
        assert {line.kind for line in leakage.find(desk, DAY - timedelta(days=40))} <= {"unknown"}       # not measured: silence says nothing


def test_no_store_no_report(office: Office) -> None:
    with pytest.raises(Refusal) as away:
        office.act(SYSTEM, lambda desk: leakage.find(desk, DAY))
    assert leakage.daily(office, {}) == 0
    assert away.value.kind == "away"


@SQLITE
def test_room_is_nameplate_less_reservations_less_what_is_measured(measured: Office, clock: Clock, url: str) -> None:
    net = next(_NETS)
    carry(measured, url, line(f"10.{net}.0.1", "x", "c", range(10), 300_000_000, 1000, "south"),
          coverage(range(10), probe="south", workers=1, start=START, frames=1000, told=range(1)))
    port = measured.act(SYSTEM, lambda desk: resource.add(desk, kind="pon_port", name=f"p{net}", region="贵阳", capacity_bps=100_000_000, probe="south",
                                                          interface="eth1").id)
    clock.now = MIDNIGHT + timedelta(hours=2)
    with measured.reading() as desk:
        room = resource.headroom(desk, port)
        assert room.slots == 2 and room.measured_p95_bps is not None and room.measured_p95_bps >= 40_000_000
        assert room.free_bps == 100_000_000 - room.measured_p95_bps


def corrected(office: Office, service: str | None, what: What, since: datetime, until: datetime | None = None, **given: Any) -> correction.Correction:
    return office.act(SYSTEM, lambda desk: correction.correct(desk, service, what, since, until, **given))


@POSTGRESQL
def test_a_binding_of_the_past_is_put_right_and_usage_follows(measured: Office, clock: Clock, url: str) -> None:
    """An address was bound to the wrong service for an hour: the bytes of that hour move, to the byte, and no others."""
    net = next(_NETS)
    one, two = some(measured, 2)
    prefix = f"10.{net}.0.0/24"
    with measured.reading() as desk:
        owners = {each: desk.session.get_one(Service, each).customer_id for each in (one, two)}
    bind(measured, one, prefix=prefix)
    bind(measured, one, prefix=f"10.{net}.0.128/25")                        # stays his: it is another thing
    carry(measured, url, line(f"10.{net}.0.5", one, owners[one], range(120), 1000, 100), line(f"10.{net}.0.200", one, owners[one], range(120), 7, 3))
    clock.now = MIDNIGHT + timedelta(hours=5)
    span = MIDNIGHT + timedelta(minutes=30), MIDNIGHT + timedelta(minutes=90)
    dry = corrected(measured, two, What(prefix), *span)
    assert dry.bytes == 60 * 1100 and dry.unknown == "" and set(dry.customers) == set(owners.values())
    assert [(moved.begin, moved.service_id, moved.flows, moved.bytes) for _, moved in dry.moved] == [
        (MIDNIGHT, one, 30, 33_000), (MIDNIGHT + timedelta(hours=1), one, 30, 33_000)]
    with measured.reading() as desk:                                        # a dry run changes nothing
        assert desk.session.query(Binding).where(Binding.withdrawn.is_not(None)).count() == 0 and desk.session.query(Job).count() == 0
    with pytest.raises(Refusal, match="a reason is needed"):
        corrected(measured, two, What(prefix), *span, dry=False)
    with pytest.raises(Refusal, match=r"binding\.correct"):
        measured.act(Actor("U1", "v", frozenset({"provisioning"})), lambda desk: correction.correct(desk, two, What(prefix), *span))
    done = corrected(measured, two, What(prefix), *span, reason="T-7: the wrong flat", dry=False)
    assert lines(measured) == rows(measured)
    with measured.reading() as desk:
        row = desk.session.get_one(Binding, done.binding_id)
        assert (row.revision, row.valid_from, row.valid_to) == (2, *span)
        for minute, owner in ((29, one), (30, two), (89, two), (90, one)):
            assert [each.service_id for each in desk.session.query(Binding).where(
                Binding.key == row.key, *binding.holds(MIDNIGHT + timedelta(minutes=minute)))] == [owner]
        job = desk.session.query(Job).where(Job.kind == "usage.reguide").one()
        assert desk.session.query(Outbox).where(Outbox.type == "fullspan.usage.recompute").count() == 1
    correction.reguide(measured, job.argument)
    for service, wanted in ((one, (60 * 1000 + 120 * 7, 60 * 100 + 120 * 3)), (two, (60_000, 6000))):
        assert measured.evidence.used([service], MIDNIGHT, MIDNIGHT + timedelta(hours=2))[:2] == wanted
    minutes = measured.evidence.minutes(two, MIDNIGHT, MIDNIGHT + timedelta(hours=2))
    assert [one.down_bytes for one in minutes] == [0] * 30 + [1000] * 60 + [0] * 30
    with pytest.raises(Refusal, match="is so already"):
        corrected(measured, two, What(prefix), *span)
    asked = measured.act(SYSTEM, lambda desk: whois(desk, f"10.{net}.0.5", MIDNIGHT + timedelta(minutes=31), reason="T-8"))
    assert asked.service_id == two


@SQLITE
def test_what_nobody_was_bound_to_is_found_and_given_back(measured: Office, clock: Clock, url: str) -> None:
    net = next(_NETS)
    one, = some(measured, 1)
    carry(measured, url, line(f"10.{net}.3.9", "", "", range(10), 500, 50))
    clock.now = MIDNIGHT + timedelta(hours=5)
    done = corrected(measured, one, What(f"10.{net}.3.9"), MIDNIGHT, reason="bound too late", dry=False)
    assert done.bytes == 5500 and done.pieces[0].from_service == ""
    with measured.reading() as desk:
        job = desk.session.query(Job).where(Job.kind == "usage.reguide").one()
    correction.reguide(measured, job.argument)
    assert measured.evidence.used([one], MIDNIGHT, MIDNIGHT + timedelta(hours=1))[:2] == (5000, 500)
    back = corrected(measured, None, What(f"10.{net}.3.9"), MIDNIGHT, reason="it was not his", dry=False)
    assert back.bytes == 5500 and back.binding_id == ""
    with measured.reading() as desk:
        assert desk.session.query(Binding).where(Binding.withdrawn.is_(None)).count() == 0
        jobs = desk.session.query(Job).where(Job.kind == "usage.reguide").order_by(Job.id).all()
        assert [each["to"] for each in jobs[-1].argument["pieces"]] == [""]


@SQLITE
def test_a_user_is_corrected_only_where_its_flows_can_be_told(measured: Office, clock: Clock) -> None:
    one, two = some(measured, 2)
    user = f"u{next(_NETS)}@example"
    bind(measured, one, user=user)
    bind(measured, one, prefix=f"10.{next(_NETS)}.0.0/24")
    clock.now = MIDNIGHT + timedelta(hours=5)
    dry = corrected(measured, two, What(user=user), MIDNIGHT)
    assert "is not stored with them" in dry.unknown and dry.bytes == 0
    with pytest.raises(Refusal, match="needs no correction"):
        corrected(measured, two, What(user=user), clock.now)
