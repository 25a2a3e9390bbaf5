"""Rating over a real store: closed hours, a binding of the past put right, evidence that opens; and the ways in: API, pages, commands, simulation."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from bss.catalogue.publishing import publish
from bss.catalogue.reading import of_text
from bss.charges.money import rounded
from bss.charges.percentile import Slot
from bss.cli import command
from bss.language import state as called
from bss.language import words
from bss.office import Office
from bss.people import user
from bss.people.scope import SYSTEM, Actor
from bss.rating import closing, evidence, hours, recycling, simulation
from bss.rating.rate import Tools
from bss.refusal import Refusal
from bss.tables import AuditRow, RatedCharge, RatedUsage, Recycled, UsageHour
from bss.working.kinds import KINDS, function_of
from dpi.batch import Batch, Coded
from dpi.store import open_store
from dpi.usage.computing import Job as Usage
from tests.bss.belongings import token
from tests.bss.conftest import Clock, served, site
from tests.bss.metered import BEGIN, GB, NEXT, PERIOD, balances, charges, family, hour, rated, service, settled, so_far, used
from tests.bss.selling import customer, sold
from tests.usage.traffic import MINUTE, coverage, flows, put

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)             # where what is asked is the store


@pytest.fixture
def shop(office: Office, clock: Clock) -> str:
    """A customer of September 2026, on the 20th."""
    clock.now = BEGIN + timedelta(days=19)
    sold(office)
    return customer(office, class_="home")


def flow(at: int, key: str, category: str, octets: int, **given: Any) -> Batch:
    """A row of flows of a service in the first minute of an hour (s), a tenth of it upstream."""
    one: dict[str, Any] = {"client_service_id": Coded.same(key, 1), "client_customer_id": Coded.same("C", 1), "server_service_id": Coded.same("", 1),
                           "server_customer_id": Coded.same("", 1), "category": Coded.same(category, 1), "application": Coded.same("", 1),
                           "rules_version": Coded.same("r1", 1), "client_bytes": np.array([octets // 10], np.uint64),
                           "server_bytes": np.array([octets - octets // 10], np.uint64), "interval_start": np.array([at * 1_000_000], np.int64),
                           **{f"{side}_duplicate": np.zeros(1, np.uint8) for side in ("client", "server")}, **given}
    return flows(1, probe="north", services=1, **one)


@pytest.fixture
def measured(office: Office, clock: Clock, shop: str, tmp_path: Path) -> Iterator[Office]:
    """The office with a store, in which a probe has told of six hours of the 3rd, and a little of the seventh."""
    url = f"chdb://{tmp_path / 'store'}"
    store = open_store(url)
    put(store, coverage(range(0, 6 * 60 + 2), probe="north", workers=1, start=hour(3) * 1_000_000, frames=1000, refused=1000))
    store.close()
    office.settings = office.settings.model_copy(update={"store": url})
    yield office
    office.evidence.close()


def carry(office: Office, *batches: Batch) -> None:
    """Store flows, and compute their usage."""
    office.evidence.close()
    store = open_store(office.settings.store, create=False)
    put(store, *batches)
    Usage(store).run()
    store.close()


@SQLITE
def test_hours_of_a_store_are_rated_as_they_close_and_again_when_they_change(measured: Office, shop: str, clock: Clock) -> None:
    key, other = (measured.act(SYSTEM, lambda desk: service(desk, shop, "mobile-59").id) for _ in range(2))
    at = hour(3)
    carry(measured, flow(at, key, "video", 15 * GB), flow(at + 3600, key, "web", 7 * GB), flow(at + 3600, "unknown", "web", GB))
    run = hours.hourly(measured, {})
    assert (run.hours, run.lines, run.changed) == (7, 2, 0) and so_far(measured) == {"mobile-59/1/traffic": D(6)}
    assert hours.hourly(measured, {}).hours == 0            # nothing has closed since
    carry(measured, flow(at + 3600, key, "web", GB))        # late flows: the hour has another digest
    assert hours.hourly(measured, {}).changed == 1 and so_far(measured) == {"mobile-59/1/traffic": D(9)}
    clock.now = datetime(2026, 10, 2, 16, tzinfo=UTC)
    assert closing.monthly(measured, {}) == 1
    with measured.writing() as desk:
        (row,) = closing.charges(desk, [shop], PERIOD)[shop]
        chain = evidence.of(desk, row.id)
        assert [(one.begin, one.category, one.bytes, one.drawn, one.over) for one in chain.hours] == [
            (datetime.fromtimestamp(at, UTC), "video", 15 * GB, 15 * GB, 0), (datetime.fromtimestamp(at + 3600, UTC), "web", 8 * GB, 5 * GB, 3 * GB)]
        assert [(one.probe, one.unchanged, one.revision) for one in chain.slots] == [("north", True, 1), ("north", True, 2)]
        assert [one.revision for one in chain.days] == [2] and sum(one.bytes for one in chain.days) == 23 * GB and row.amount == 9
        assert desk.session.query(UsageHour).count() == 7
    # a binding was wrong: the second hour was the other service's
    measured.evidence.close()
    store = open_store(measured.settings.store, create=False)
    store.query(f"ALTER TABLE flows UPDATE client_service_id = '{other}' WHERE client_service_id = '{key}' AND interval_start >= "
                f"fromUnixTimestamp64Micro({(at + 3600) * 1_000_000}, 'UTC') SETTINGS mutations_sync = 2")
    Usage(store).run(every=True)
    store.close()
    assert evidence_of(measured, row.id).slots[1].unchanged is False
    assert hours.hourly(measured, {}).changed == 1          # both are of one customer
    assert charges(measured, shop)[1:] == [("mobile-59/1/traffic", NEXT, PERIOD, D(-9), 2)]
    with measured.reading() as desk:
        assert {one.service_id for one in desk.session.query(RatedUsage).filter(RatedUsage.revision == 1)} == {key, other}
    measured.settings = measured.settings.model_copy(update={"store": "none"})
    measured.__dict__.pop("evidence").close()
    away = evidence_of(measured, row.id)
    assert away.away and {one.unchanged for one in away.slots} == {None}
    assert hours.hourly(measured, {}) == hours.Run()


def evidence_of(office: Office, key: str) -> evidence.Chain:
    return office.act(SYSTEM, lambda desk: evidence.of(desk, key))


@SQLITE
def test_a_line_by_the_95th_percentile_over_a_store(measured: Office, shop: str, clock: Clock) -> None:
    key = measured.act(SYSTEM, lambda desk: service(desk, shop, "line-burst", activated=datetime.fromtimestamp(hour(3), UTC),
                                                    terminated=datetime.fromtimestamp(hour(3) + 4 * 3600, UTC), state="terminated").id)
    octets = np.array([1_405_500_000], np.uint64)           # of a minute at 187.4 Mbit/s
    carry(measured, *(flow(hour(3) + n * 60, key, "web", 0, server_bytes=octets) for n in range(20)))
    clock.now = datetime(2026, 10, 2, 16, tzinfo=UTC)
    assert closing.close(measured, PERIOD) == 1
    with measured.reading() as desk:
        (row,) = closing.charges(desk, [shop], PERIOD)[shop]
        told = row.evidence["computed"]
        assert (told["n"], told["k"], told["mbps"], row.evidence["days"]) == (48, 46, "187.4", 1)          # 4 of 48 slots were as fast: two are dropped
        assert rounded(row.amount) == D("442.67") and row.evidence["slot"]["from"] == "2026-09-03T04:00:00Z"
    assert evidence_of(measured, row.id).slot == (datetime(2026, 9, 3, 4, tzinfo=UTC), datetime(2026, 9, 3, 4, 5, tzinfo=UTC))


@SQLITE
def test_another_plan_is_tried_and_nothing_is_written(measured: Office, shop: str, clock: Clock) -> None:
    key, home = (measured.act(SYSTEM, lambda desk, code=code: service(desk, shop, code).id) for code in ("mobile-59", "home-100"))      # type: ignore[misc]
    carry(measured, flow(hour(3), key, "web", 40 * GB), flow(hour(3), home, "video", 50 * GB))
    hours.hourly(measured, {})

    def try_it(offering: str, *services: str) -> simulation.Simulation:
        return measured.act(SYSTEM, lambda desk: simulation.simulate(desk, shop, PERIOD, offering, services))
    before = (balances(measured), so_far(measured))
    same = try_it("mobile-59")
    assert same.saving == 0 and same.before == D("59.00") + D("60.00") + D("79.00")
    packs = try_it("mobile-packs")
    assert [(one.kind, one.price_key, one.amount) for one in packs.then if one.service_id == key] == [
        ("recurring", "mobile-packs/plan", D("29.00")), ("usage", "mobile-packs/1/pack", D("60.00"))] and packs.saving == D("30.00")
    family_ = try_it("family-199")              # broadband is in it: what the store has of it is not paid by use there either
    assert [(one.kind, one.amount) for one in family_.then] == [("recurring", D("199.00"))] and family_.saving == D("-1.00")
    assert set(family_.services) == {key, home} and sum(family_.left.values()) == (20 + 20 + 5 + 100 + 30 - 40) * GB
    metered = ('[[offering]]\ncode = "home-metered"\nkind = "broadband"\nclass = "home"\nname = { en = "x", zh = "x" }\nrates = { down_mbps = 100 }\n'
               'valid_from = 2026-01-01T00:00:00+08:00\n[[offering.prices]]\nkey = "traffic"\nname = { en = "x", zh = "x" }\ntype = "usage"\namount = 0.10\n'
               'unit = "GB"\ntax = "inclusive"\ntax_rate = 0.09\n')
    measured.act(SYSTEM, lambda desk: publish(desk, of_text(metered, "metered")))
    assert [(one.kind, one.amount) for one in try_it("home-metered", home).then if one.service_id == home] == [("usage", D("5.00"))]     # read from the store
    for offering, services, why in (("wlan-venue", (), "could have wlan-venue"), ("mobile-59", (home,), "can't have mobile-59"), ("x", (), "is sold")):
        with pytest.raises(Refusal, match=why):
            try_it(offering, *services)
    assert (balances(measured), so_far(measured)) == before


def test_recycled_usage_is_taken_up_or_rejected_once(office: Office, shop: str, clock: Clock) -> None:
    key = office.act(SYSTEM, lambda desk: service(desk, shop, "mobile-59", activated=BEGIN - timedelta(days=200)).id)
    long_ago = hour(3) - 150 * 86400
    rated(office, used((key, long_ago, "web", 30 * GB), (key, long_ago + 86400, "web", GB)))
    with office.reading() as desk:
        first, second = desk.session.execute(recycling.queue(desk).order_by(None).order_by(Recycled.day)).scalars()
    for state, reason, why in (("billed", "x", "can't become"), ("rated", " ", "reason is needed")):
        with pytest.raises(Refusal, match=why):
            office.act(SYSTEM, lambda desk, state=state, reason=reason: recycling.decide(desk, first.id, state, reason))        # type: ignore[misc]
    office.act(SYSTEM, lambda desk: recycling.decide(desk, second.id, "rejected", "ticket 1"))
    office.act(SYSTEM, lambda desk: recycling.decide(desk, first.id, "rated", "ticket 1"))
    assert [(one[2], one[3]) for one in charges(office, shop)] == [("2026-04", D(30))]
    with pytest.raises(Refusal, match="was rated before"):
        office.act(SYSTEM, lambda desk: recycling.decide(desk, first.id, "rejected", "again"))
    with pytest.raises(Refusal, match=r"rating\.write"):
        office.act(Actor("U", "u", frozenset({"auditor"})), lambda desk: recycling.decide(desk, first.id, "rejected", "x"))
    with office.reading() as desk:
        actions = [one.action for one in desk.session.query(AuditRow).filter(AuditRow.entity == "recycled").order_by(AuditRow.number)]
        assert actions == ["usage.recycled.refused"] * 2 + ["usage.reject", "usage.take", "usage.recycled.refused"]
    rated(office, used((key, long_ago, "web", 30 * GB)))            # the hour is told of again: it is as it was rated
    assert len(charges(office, shop)) == 1


def test_by_the_api(office: Office, shop: str, clock: Clock) -> None:
    ids = family(office, shop)
    rated(office, used((ids["mobile"], hour(3), "web", 200 * GB), (ids["mobile"], hour(3, 13), "video", GB)))
    settled(office, shop)
    headers = {"authorization": f"Bearer {token(office, 'billing', [])}"}
    with TestClient(served(office), headers=headers) as client:
        listed = client.get("/tmf-api/usageManagement/v4/usage", params={"customer": shop, "status": "rated"}).json()
        assert [(one["status"], one["usageDate"], one["service"]["id"]) for one in listed] == [("rated", "2026-09-02T16:00:00Z", ids["mobile"])]
        one = client.get(listed[0]["href"]).json()
        assert [(line["category"], line["downBytes"]) for line in one["hour"]] == [("web", str(180 * GB)), ("video", str(GB - GB // 10))]
        held = client.get(f"/fullspan/v1/customer/{shop}/balance", params={"period": PERIOD}).json()
        assert {(two["key"], two["usedPercent"]) for two in held["bucket"]} >= {("family-199/pool", 100), ("family-199/video", 5), ("data", 100), ("data", 0)}
        (charge,) = client.get("/fullspan/v1/ratedCharge", params={"customer": shop}).json()
        assert (charge["status"], charge["ratingAmount"]["value"], charge["quantity"]) == ("closed", "225", {"amount": "75", "units": "GB"})
        opened = client.get(f"{charge['href']}/evidence").json()
        assert [(two["bytes"], two["over"]) for two in opened["hour"]] == [(200 * GB, 75 * GB), (GB, 0)] and "no store" in opened["away"]
        asked = {"period": PERIOD, "productOffering": "mobile-graduated", "service": [ids["mobile"]]}
        tried = client.post(f"/fullspan/v1/customer/{shop}/simulation", json=asked).json()
        assert [D(tried[name]) for name in ("nowTotal", "thenTotal", "saving")] == [D(424), D(460), D(-36)]
        assert client.get("/fullspan/v1/recycledUsage").json() == []
        for path, status in (("/tmf-api/usageManagement/v4/usage?status=x", 400), (f"/fullspan/v1/customer/{shop}/balance?period=x", 400),
                             (f"/tmf-api/usageManagement/v4/usage/{ids['mobile']}.2026-09-09", 404), ("/fullspan/v1/ratedCharge/x/evidence", 404)):
            assert client.get(path).status_code == status, path
    with office.reading() as desk:
        assert {"usage.read", "usage.trace", "usage.simulate"} <= {row.action for row in desk.session.query(AuditRow)}
        assert desk.session.query(RatedCharge).one().evidence["owner"] == f"{ids['order']}/family-199"


@SQLITE
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_by_pages(office: Office, shop: str, clock: Clock, lang: str) -> None:
    ids = family(office, shop)
    late = hour(3) - 150 * 86400
    rated(office, used((ids["mobile"], hour(3), "web", 200 * GB), (ids["mobile"], hour(4), "video", 17 * GB)))
    rated(office, used((ids["mobile"], late, "web", GB)))
    line = office.act(SYSTEM, lambda desk: service(desk, shop, "line-burst").id)
    slots = [Slot(hour(1, 0) + n * 300, 10 ** 9, 0, n > 1000) for n in range(8640)]
    office.act(SYSTEM, lambda desk: closing.settled(desk, [shop], PERIOD, Tools(desk), {f"line-burst/1/burst|{line}": {line: slots}}))
    office.act(SYSTEM, lambda desk: user.make(desk, "boss", "Boss", "a long password", ["billing"]))
    with office.reading() as desk:
        known = {one.unit: one.id for one in desk.session.query(RatedCharge)}
        waiting = desk.session.query(Recycled).one().id
    with TestClient(site(office), headers={"accept": "text/html"}) as client:
        client.post("/login", data={"login": "boss", "password": "a long password"})

        def seen(path: str, *words: str) -> str:
            page = client.get(path, params={"lang": lang} if "?" not in path else None)
            assert page.status_code == 200 and all(one in page.text for one in words), (path, [one for one in words if one not in page.text])
            return page.text
        say = words(lang)
        seen("/usage", "100 GB", "85 %")
        seen("/charges", f"/charges/{known['GB']}", "225 CNY", say("charges.closed"))
        seen(f"/usage/{shop}?period={PERIOD}", say("usage.crossed80"), say("usage.crossed100"), "180 GB", say("usage.hold"))
        seen(f"/usage/{shop}?period={PERIOD}&offering=mobile-packs", say("usage.saving"), say("usage.then"))
        seen(f"/usage/{shop}?period={PERIOD}&offering=line-a", '<p class="error">no store is named')
        seen(f"/charges/{known['GB']}", "75,000,000,000", "2026-09-03 12:00", f"/trace/{known['GB']}")
        seen(f"/charges/{known['Mbps']}", say("field.k"), "1001 of 8640 slots are not known")
        mark = re.search(r'name="csrf" value="([^"]+)"', seen("/recycled", say("recycled.late")))
        assert mark is not None
        told = client.post(f"/recycled/{waiting}/decide", data={"to": "rejected", "reason": "T-1", "csrf": mark[1]})
        assert told.status_code == 200 and say("recycled.decided", state=called(lang, "rejected")) in told.text
        assert client.post(f"/recycled/{waiting}/decide", data={"to": "rated", "reason": "T-1", "csrf": mark[1]}).status_code == 409


@SQLITE
def test_by_the_command_line(office: Office, shop: str, clock: Clock, tmp_path: Path) -> None:
    key = office.act(SYSTEM, lambda desk: service(desk, shop, "mobile-59").id)
    rated(office, used((key, hour(3), "web", 25 * GB)))
    settled(office, shop)
    settings = {name: value for name, value in office.settings.model_dump().items() if name in ("database", "keys", "attachments", "bindings", "store")}
    (config := tmp_path / "bss.toml").write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items()))

    def typed(*words: str) -> Any:
        answer = CliRunner().invoke(command, ["--config", str(config), *words, "--json"])
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.output)
    assert [(one["key"], one["used"], one["percent"]) for one in typed("usage", shop, "--period", PERIOD)] == [("data", 20 * GB, 100)]
    (charge,) = typed("usage", shop, "--charges")
    assert charge["amount"] == "15" and [one["over"] for one in typed("usage", "--open", charge["id"])] == [5 * GB]
    assert [one["day"] for one in typed("usage", shop, "--days")] == ["2026-09-03"] and typed("usage", "--recycled") == []
    assert typed("rate")[0]["hours"] == 0
    assert [one["amount"] for one in typed("simulate", shop, PERIOD, "mobile-packs") if one["kind"] == "total"] == ["74.00", "59.00"]
    assert CliRunner().invoke(command, ["--config", str(config), "usage"]).exit_code == 2


def test_what_the_worker_does_by_itself_is_there() -> None:
    assert [function_of(KINDS[name]) for name in ("rating.hours", "rating.months")] == [hours.hourly, closing.monthly]
    assert MINUTE == 60_000_000
