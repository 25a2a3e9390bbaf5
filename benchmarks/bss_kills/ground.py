"""What the writers work on: people, a catalogue, customers who have something, services to bind to, and resources."""
from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import bss
from benchmarks.bss_kills import bills
from bss.catalogue.publishing import publish
from bss.catalogue.reading import read
from bss.desk import Desk
from bss.office import Office
from bss.parties import agreement, customer, interaction
from bss.parties.contact import Given
from bss.people.scope import SYSTEM, Actor
from bss.services import inventory, resource
from bss.tables import User

ROLES = ("manager", "provisioning", "administrator", "billing")
REGION = "贵阳"
PAIRS, SERVICES = 6, 8
CATALOGUE = Path(bss.__file__).parent / "samples" / "catalogue.toml"


class Ground(NamedTuple):
    """actors by writer; steady: a customer who stays; pairs of those that are merged and parted; services to bind to; ports to reserve;
    billed: customers who get bills."""
    actors: dict[str, Actor]
    steady: str
    pairs: list[tuple[str, str]]
    services: list[str]
    ports: list[str]
    billed: list[str]


def lay(office: Office, writers: tuple[str, ...]) -> Ground:
    """Make all of it in an empty office."""
    return office.act(SYSTEM, lambda desk: _lay(desk, writers))


def _lay(desk: Desk, writers: tuple[str, ...]) -> Ground:
    publish(desk, read(CATALOGUE))
    actors = {}
    for name in writers:
        user = desk.add(User(login=name, name=name, roles=list(ROLES), created=desk.now))
        actors[name] = Actor(user.id, name, frozenset(ROLES))
    pairs = [(_customer(desk, 2 * n), _customer(desk, 2 * n + 1)) for n in range(PAIRS)]
    services = [_service(desk, pairs[n % PAIRS][n // PAIRS % 2]) for n in range(SERVICES)]
    for one in pairs:
        for key in one:
            agreement.make(desk, customer_id=key, name="frame", valid_from=desk.now)
            interaction.note(desk, customer_id=key, channel="phone", subject="asked")
            _service(desk, key)
    ports = [resource.add(desk, kind="port", name=f"port {n}", region=REGION, capacity_bps=10 ** 13).id for n in range(4)]
    for n in range(20):
        resource.add(desk, kind="vlan", name=f"vlan {n}", region=REGION, detail={"vlan": n + 100})
        resource.add(desk, kind="prefix", name=f"prefix {n}", region=REGION, detail={"prefix": f"203.0.113.{n * 8}/29"})
    billed = [_customer(desk, 2 * PAIRS + 1 + n) for n in range(bills.BILLED)]
    bills.lay(desk, billed, [_service(desk, one) for one in billed])
    return Ground(actors, _customer(desk, 2 * PAIRS), pairs, services, ports, billed)


def _customer(desk: Desk, n: int) -> str:
    contacts = (Given(medium="phone", value=f"139{n:08d}"), Given(medium="address", value=f"中华北路{n}号"))
    return customer.make(desk, kind="organization", name=f"云上公司{n}", class_="A", region=REGION, number=f"K{n}", contacts=contacts).id


def _service(desk: Desk, customer_id: str, **given: Any) -> str:
    made = inventory.design(desk, customer_id=customer_id, offering="line-a", offering_version=1, kind="leased_line", class_="A", region=REGION,
                            down_bps=10 ** 8, up_bps=10 ** 8, **given)
    for state in ("reserved", "inactive", "active"):
        inventory.move(desk, made.id, state)
    return made.id
