"""Usage over months in a random order: rated, late, corrected, guided to another service, closed, taken up by a person, on plans that change. Whatever comes
first: what is drawn and over is what was used, to the byte, what was charged is what it costs, and to close again changes nothing."""
from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from sqlalchemy import func, select

from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.rating import buckets, month, rate, recycling, usage
from bss.rating.lines import unpack
from bss.rating.plan import plans
from bss.rating.rate import Tools
from bss.refusal import Refusal
from bss.services import inventory
from bss.tables import Bucket, Draw, OrderItem, ProductOrder, RatedCharge, RatedUsage, Recycled
from tests.bss.conftest import Clock
from tests.bss.metered import BEGIN, GB, completed, family, rated, settled, used
from tests.bss.selling import customer, sold


def checked(desk: Desk, shop: str, period: str) -> None:
    """What holds of a month that is closed."""
    tools, plan = Tools(desk), plans(desk, [shop])[shop]
    paid = [one for one in plan.spells if tools.catalogue.paid(desk, plan, one)]
    kept = usage.of_period(desk, paid, period)
    used_up = sum(line.up + line.down for lines in kept.values() for line in lines)
    rows = select(Bucket.id).where(Bucket.customer_id == shop, Bucket.period == period)
    drawn = desk.session.scalar(select(func.coalesce(func.sum(Draw.bytes), 0)).where(Draw.bucket_id.in_(rows)))
    charged: dict[str, list[RatedCharge]] = defaultdict(list)
    for row in desk.session.scalars(select(RatedCharge).where(RatedCharge.customer_id == shop, RatedCharge.original_period == period)):
        assert row.revision > 0, "nothing is so far in a month that is closed"
        charged[f"{row.evidence['owner']}|{row.price_key}"].append(row)
    assert drawn + sum(row.bytes for some in charged.values() for row in some) == used_up
    # anew, from nothing but the usage
    given = buckets.given(desk, plan, tools.catalogue, period)
    have = {(row.owner, row.key, row.origin): row for row in desk.session.scalars(select(Bucket).where(Bucket.customer_id == shop, Bucket.period == period))}
    pairs = [(have[one.owner, one.key, origin], buckets.pure(one, period, have[one.owner, one.key, origin].quantity, f"{origin}/{one.key}/{one.owner}", desk))
             for one in given for origin in (month.after(period, -1), period) if (one.owner, one.key, origin) in have]
    before = {row.id: row.used for row, _ in pairs}
    for row, _ in pairs:
        row.used = 0
    found, tariffs = rate.drawn(desk, plan, period, kept, tools, pairs)
    assert {row.id: row.used for row, _ in pairs} == before
    fresh = {f"{total.tariff.owner}|{total.tariff.key}": total for total in rate.totals(found.overage, tariffs)}
    for key in {*fresh, *charged}:
        whole = fresh[key].charged.amount if key in fresh else D(0)
        assert sum((row.amount for row in charged[key]), D(0)) == whole, key
        assert sum(row.bytes for row in charged[key]) == (fresh[key].bytes if key in fresh else 0), key


class Walk:
    """Hours of three services in two months, as probes and people bring them."""

    def __init__(self, office: Office, clock: Clock, shop: str, seed: int) -> None:
        self.office, self.clock, self.shop, self.chance = office, clock, shop, random.Random(seed)
        self.ids = [key for name, key in family(office, shop).items() if name in ("mobile", "other", "wlan")]
        self.told: dict[int, dict[str, int]] = {}
        self.closed: list[str] = []
        self.changed = 0

    def hour(self) -> int:
        return int(BEGIN.timestamp()) + 3600 * self.chance.randrange(61 * 24)

    def say(self, at: int, again: bool) -> None:
        now = {key: self.chance.choice([1, 999_999, 3 * GB, 40 * GB]) for key in self.chance.sample(self.ids, self.chance.randrange(1, 4))}
        lines = [(key, at, self.chance.choice(["video", "web"]), octets) for key, octets in now.items()]
        rated(self.office, used(*lines), at, again=[at] if again else [])
        self.told[at] = now

    def step(self) -> None:
        what = self.chance.choice(["new", "new", "new", "correct", "gone", "close", "again", "plan", "suspend", "take"])
        if what == "new":
            self.say(self.hour(), False)
        elif what == "correct" and self.told:
            self.say(self.chance.choice(sorted(self.told)), True)
        elif what == "gone" and self.told:
            at = self.chance.choice(sorted(self.told))
            rated(self.office, {}, at, again=[at])
            del self.told[at]
        elif what == "close" and len(self.closed) < 2:
            period = ["2026-09", "2026-10"][len(self.closed)]
            self.clock.now = max(self.clock.now, month.span(period, self.office.settings.zone)[1] + timedelta(days=2))
            settled(self.office, self.shop, period)
            self.closed.append(period)
        elif what == "again" and self.closed:
            settled(self.office, self.shop, self.chance.choice(self.closed))
        elif what == "plan" and self.changed < 2 and not self.closed:
            self.changed += 1
            self.office.act(SYSTEM, self.change)
        elif what == "suspend":
            key = self.chance.choice(self.ids)
            for to in ("inactive", "active"):
                self.clock.forward(hours=self.chance.randrange(1, 30))
                self.office.act(SYSTEM, lambda desk, to=to: inventory.move(desk, key, to, "customer"))         # type: ignore[misc]
        elif what == "take":
            self.office.act(SYSTEM, self.decide)

    def change(self, desk: Desk) -> None:
        order = desk.add(ProductOrder(number=f"X{self.changed}", customer_id=self.shop, region="贵阳", channel="web", class_="mobile", created=BEGIN,
                                      state="completed"))
        completed(desk, order, OrderItem(place=1, action="modify", offering=self.chance.choice(["mobile-packs", "mobile-graduated"]), offering_version=1,
                                         price={}, wanted={"change": "price"}, service_id=self.ids[0]), BEGIN + timedelta(days=5 + 9 * self.changed))

    def decide(self, desk: Desk) -> None:
        row = desk.session.scalars(select(Recycled).where(Recycled.state == "recycled").order_by(Recycled.id).limit(1)).first()
        if row is not None:
            recycling.decide(desk, row.id, self.chance.choice(["rated", "rejected"]), "because")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", range(8))
def test_drawn_and_over_is_what_was_used_whatever_comes_first(office: Office, clock: Clock, seed: int) -> None:
    clock.now = BEGIN + timedelta(days=30, hours=20)
    sold(office)
    shop = customer(office, class_="home")
    walk = Walk(office, clock, shop, seed)
    for _ in range(45):
        try:
            walk.step()
        except Refusal:
            continue
        with office.database.session() as session:
            desk = Desk(session, SYSTEM, office)
            for period in walk.closed:
                checked(desk, shop, period)
            session.rollback()
    state: list[Any] = []
    for _ in range(2):
        for period in walk.closed:
            settled(office, shop, period)
        with office.reading() as desk:
            state.append((sorted((row.id, row.amount, row.bytes) for row in desk.session.scalars(select(RatedCharge))),
                          sorted((row.bucket_id, row.service_id, row.bytes) for row in desk.session.scalars(select(Draw)))))
            assert all(unpack(bytes(row.lines)) == sorted(unpack(bytes(row.lines))) for row in desk.session.scalars(select(RatedUsage)))
    assert state[0] == state[1]
