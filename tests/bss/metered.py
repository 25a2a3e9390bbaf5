"""What tests of rating begin with: services that are in use by orders that were completed, usage that a test writes down, a calendar of September 2026."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.rating import closing, hours
from bss.rating.asking import Told
from bss.rating.lines import Name
from bss.rating.rate import Tools
from bss.tables import Bucket, OrderItem, ProductOrder, RatedCharge, Service, Transition

GB = 10 ** 9
BEGIN = datetime(2026, 8, 31, 16, tzinfo=UTC)           # September begins in Shanghai
PERIOD, NEXT = "2026-09", "2026-10"
KINDS = {"mobile": "mobile", "wlan": "wlan", "home": "broadband", "line": "leased_line"}


def hour(day: int, at: int = 12) -> int:
    """An hour of September there, in s: of day 31 and later of October."""
    return int((BEGIN + timedelta(days=day - 1, hours=at)).timestamp())


def service(desk: Desk, customer_id: str, offering: str, as_sold: str = "", **given: Any) -> Service:
    """One that is in use since September began, without an order. as_sold: by another code than the kind of it is told by."""
    kind = KINDS[offering.split("-")[0]]
    number = desk.session.query(Service).count() + 1
    return desk.add(Service(**{"circuit": f"M-{number}", "customer_id": customer_id, "offering": as_sold or offering, "offering_version": 1, "kind": kind,
                               "class_": {"leased_line": "B", "broadband": "home"}.get(kind, kind), "region": "贵阳", "state": "active", "created": BEGIN,
                               "activated": BEGIN, "down_bps": 10 ** 8, **given}))


def completed(desk: Desk, order: ProductOrder, item: OrderItem, at: datetime) -> OrderItem:
    """An item of an order, as it is once it is completed."""
    item.order_id, item.state = order.id, "completed"
    desk.add(item)
    desk.add(Transition(entity="order_item", entity_id=item.id, from_state="inProgress", to_state="completed", time=at))
    return item


def family(office: Office, customer_id: str) -> dict[str, str]:
    """The bundle across access types: broadband, two mobiles and a pack, with WLAN beside."""
    def make(desk: Desk) -> dict[str, str]:
        order = desk.add(ProductOrder(number="O-family", customer_id=customer_id, region="贵阳", channel="web", class_="home", created=BEGIN, state="completed",
                                      completed=BEGIN))
        ids = {}
        for place, (name, code) in enumerate({"bundle": "family-199", "home": "home-500", "mobile": "mobile-59", "other": "mobile-59", "wlan": "wlan-venue",
                                              "pack": "video-pack"}.items(), 1):
            made = service(desk, customer_id, code) if name not in ("bundle", "pack") else None
            wanted = {} if name == "bundle" else {"bundle": "family-199"}
            completed(desk, order, OrderItem(place=place, action="add", offering=code, offering_version=1, price={}, wanted=wanted,
                                             service_id=made.id if made else None), BEGIN)
            ids[name] = made.id if made else ""
        return {**ids, "order": order.id}
    return office.act(SYSTEM, make)


def used(*lines: tuple[str, int, str, int]) -> Told:
    """Usage by (service, hour, category, bytes), a tenth of it upstream."""
    found: Told = {}
    for key, at, category, octets in lines:
        found.setdefault(key, {}).setdefault(at, []).append((Name(category, "", "r1"), octets // 10, octets - octets // 10))
    return found


def rated(office: Office, told: Told, *at: int, again: Sequence[int] = ()) -> hours.Run:
    """Have these hours rated, by default those that are told of."""
    asked = sorted(at or {one for lines in told.values() for one in lines})
    with office.reading() as desk:
        tools, mine = Tools(desk), hours.services(desk)
    return hours.rated(office, SYSTEM, mine, told, asked, set(again), tools)


def settled(office: Office, customer_id: str, period: str = PERIOD, slots: Mapping[str, Any] | None = None) -> None:
    """Close a month, for this customer; and say that it is."""
    def act(desk: Desk) -> None:
        closing.settled(desk, [customer_id], period, Tools(desk), slots or {})
        closing._mark(desk, period, 0)
    office.act(SYSTEM, act)


def charges(office: Office, customer_id: str, period: str = "2099-12") -> list[tuple[str, str, str, Decimal, int]]:
    """(price, period, original period, amount, revision) of what may be billed."""
    with office.reading() as desk:
        return [(one.price_key, one.period, one.original_period, one.amount, one.revision) for one in closing.charges(desk, [customer_id], period)[customer_id]]


def so_far(office: Office) -> dict[str, Decimal]:
    """Price -> what it comes to until now."""
    with office.reading() as desk:
        return {one.price_key: one.amount for one in desk.session.query(RatedCharge).filter(RatedCharge.revision == 0)}


def balances(office: Office, period: str = PERIOD) -> dict[tuple[str, str], tuple[int, int]]:
    """(key, origin) -> used and size, by owner where there are several."""
    with office.reading() as desk:
        return {(one.key, one.origin): (one.used, one.quantity) for one in desk.session.query(Bucket).filter(Bucket.period == period).order_by(Bucket.owner)}
