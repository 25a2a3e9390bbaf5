"""The inventory of services (TMF638): designed, moved through their states, changed; with demarcation and owner."""
from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from bss import identifier
from bss.desk import Desk
from bss.refusal import Refusal
from bss.services import binding, resource
from bss.services.states import step
from bss.tables import Binding, Customer, Offering, Service, Transition, User
from bss.tables.catalogue import KINDS
from bss.tables.party import CLASSES

FASTEST = 10 ** 15          # bit/s
CHANGED = ("offering", "offering_version", "class_", "down_bps", "up_bps", "demarcation", "site", "owner_id", "covered", "agreement_id", "circuit")
PERSONAL = ("site",)        # never in events


def design(desk: Desk, *, customer_id: str, offering: str, offering_version: int, kind: str, class_: str, region: str, down_bps: int, up_bps: int,
           site: str | None = None, circuit: str | None = None, demarcation: str = "", owner_id: str | None = None, covered: bool = True,
           agreement_id: str | None = None) -> Service:
    """A new service, designed. circuit: the number people will know it by; its id where none is given."""
    desk.demand("service.write")
    customer = desk.find(Customer, customer_id)
    if customer.state == "closed" or customer.merged_into:
        raise Refusal("conflict", f"customer {customer.id} is {'merged into ' + customer.merged_into if customer.merged_into else 'closed'}", "customer")
    if kind not in KINDS:
        raise Refusal("invalid", f"{kind!r} is no kind of service", "kind", f"kinds are {', '.join(KINDS)}")
    key = identifier.fresh(Service.LETTER)
    given: dict[str, Any] = {"class_": class_, "down_bps": down_bps, "up_bps": up_bps, "demarcation": demarcation, "owner_id": owner_id,
                             "circuit": circuit or key, "offering": offering, "offering_version": offering_version}
    _check(desk, given)
    if desk.actor.regions and region not in desk.actor.regions:
        raise Refusal("forbidden", f"region {region!r} is not one of yours", "region")
    made = desk.add(Service(id=key, customer_id=customer.id, kind=kind, region=region, site=site, covered=covered, agreement_id=agreement_id, state="designed",
                            created=desk.now, **given))
    desk.record("service.create", made, after={"customer": customer.id, "kind": kind, "region": region, **given})
    desk.emit("service.create", made.id, {"id": made.id, "customer": customer.id, "state": made.state})
    return made


def move(desk: Desk, service_id: str, to: str, reason: str = "", version: int | None = None, at: datetime | None = None) -> Service:
    """Bring a service to another state (states.py). Terminated, or designed again, it has no bindings and no resources from then on. at: when the bindings
    end, now where none is given."""
    desk.demand("service.write")
    service = desk.find(Service, service_id, lock=True)
    before = service.state
    try:
        taken = step(before, to, reason)
    except Refusal as refusal:
        raise desk.deny("service.move", service, refusal, to=to, reason=reason) from None
    desk.fresh(service, version)
    service.state, service.reason = to, reason.strip()[:400] if taken.event == "suspend" else ""
    if to == "active" and before == "inactive" and service.activated is not None:
        from bss.tickets import window

        window.resumed(desk, service.id)
    if to == "active" and service.activated is None:
        service.activated = desk.now
    if to == "terminated":
        service.terminated = desk.now
    if to in ("terminated", "designed"):
        binding.end(desk, service.id, at)
        resource.let_go(desk, service.id)
    desk.add(Transition(entity="service", entity_id=service.id, from_state=before, to_state=to, time=desk.now, user_id=desk.actor.id or None,
                        reason=reason.strip()[:400]))
    desk.record(f"service.{taken.event}", service, before={"state": before}, after={"state": to}, reason=reason)
    desk.emit("service.stateChange", service.id, {"id": service.id, "from": before, "state": to, "event": taken.event})
    return service


def change(desk: Desk, service_id: str, version: int | None = None, **given: Any) -> Service:
    """Change what is said of a service: fields of CHANGED."""
    desk.demand("service.write")
    service = desk.find(Service, service_id, lock=True)
    unknown = sorted(set(given) - set(CHANGED))
    if unknown:
        raise Refusal("invalid", f"{unknown[0]} of a service can't be changed", unknown[0], f"these can: {', '.join(CHANGED)}")
    if service.state == "terminated":
        raise Refusal("conflict", f"service {service.id} is terminated", "state", "design another one")
    _check(desk, {**{name: getattr(service, name) for name in ("offering", "offering_version")}, **given}, set(given))
    differing = {name: value for name, value in given.items() if getattr(service, name) != value}
    if not differing:
        return service
    desk.fresh(service, version)
    before = {name: getattr(service, name) for name in differing}
    for name, value in differing.items():
        setattr(service, name, value)
    desk.session.flush()
    desk.record("service.change", service, before=before, after=differing)
    desk.emit("service.attributeValueChange", service.id, {"id": service.id, **{name: value for name, value in differing.items() if name not in PERSONAL}})
    return service


def suspended(service: Service) -> bool:
    """Whether it was active, and stands still for a reason."""
    return service.state == "inactive" and bool(service.reason)


def bound(desk: Desk, service_id: str) -> bool:
    """Whether anything binds traffic to it now."""
    query = select(Binding.id).where(Binding.service_id == service_id, *binding.holds(desk.now)).limit(1)
    return desk.session.execute(query).first() is not None


def _check(desk: Desk, given: dict[str, Any], named: set[str] | None = None) -> None:
    """Refusal: a value that is none. named: only these were given by somebody."""
    for name in ("down_bps", "up_bps"):
        if name in given and not 0 <= given[name] <= FASTEST:
            raise Refusal("invalid", f"not a rate in bit/s: {given[name]}", name, f"it is 0 to {FASTEST}")
    if "class_" in given and given["class_"] not in CLASSES:
        raise Refusal("invalid", f"{given['class_']!r} is no class", "class", f"classes are {', '.join(CLASSES)}")
    for name, longest in (("circuit", 64), ("demarcation", 200)):
        text = given.get(name, "-")
        if len(text) > longest or not text.isprintable() or (name == "circuit" and not text.strip()):
            raise Refusal("invalid", f"not a {name}: {text[:20]!r}", name, f"write it in at most {longest} printable characters")
    if given.get("owner_id") and desk.session.get(User, given["owner_id"]) is None:
        raise Refusal("missing", f"there is no user {given['owner_id']}", "owner")
    if (named is None or named & {"offering", "offering_version"}) and desk.session.get(Offering, (given["offering"], given["offering_version"])) is None:
        raise Refusal("missing", f"there is no offering {given['offering']} of version {given['offering_version']}", "offering", "look at the catalogue")
