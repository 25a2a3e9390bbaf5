"""Configuration data (局数据): what a device is to be told for an item, and what undoes it, rendered from a template of the product's kind.

Values are checked before they come near a template: letters, digits and a few marks, nothing that ends a line. Templates run in a sandbox, and one that names
something unknown is refused. What an active configuration or binding has taken already is a conflict, and what conflicts is not signed. Who rendered it does
not sign it.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlalchemy import Select, select

from bss.catalogue.publishing import version_of
from bss.desk import Desk
from bss.orders.fulfilment import service_of, working_item
from bss.orders.milestone import reach
from bss.orders.wanted import wanted_of
from bss.refusal import Refusal
from bss.services.binding import holds
from bss.tables import Binding, Configuration, OrderItem, ProductOrder, Resource, Service, ServiceResource
from bss.tables import Reservation as Kept
from bss.tickets.assurance import untouched

TEMPLATES = Path(__file__).resolve().parents[1] / "samples" / "configuration"
KINDS = ("leased_line", "broadband")
VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._:/@+-]{0,126}[A-Za-z0-9])?")
LONGEST, MOST_VALUES = 64 << 10, 64
ACTIVE = ("signed", "applied")
#: Of resources, which value of a template they are.
NAMED = {"port": "port", "onu": "onu", "ap": "ap", "olt": "olt"}


def checked_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that may be put into a template. Refusal: the first that could be more than a value."""
    if len(values) > MOST_VALUES:
        raise Refusal("invalid", f"{MOST_VALUES} values at most", "values")
    found: dict[str, Any] = {}
    for name, value in values.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
            raise Refusal("invalid", f"{name!r} is no name of a value", f"values.{name}", "write it in small letters, digits and _")
        if name in CHECKED:
            found[name] = None if value is None or value == "" else CHECKED[name](value)
        elif value is None or value == "" or isinstance(value, bool):
            found[name] = value
        elif isinstance(value, int):
            if not 0 <= value <= 10 ** 13:
                raise Refusal("invalid", f"{value} is out of range", f"values.{name}")
            found[name] = value
        elif isinstance(value, list | tuple):
            if len(value) > MOST_VALUES:
                raise Refusal("invalid", f"{MOST_VALUES} at most", f"values.{name}")
            found[name] = [_checked(name, one) for one in value]
        else:
            found[name] = _checked(name, value)
    return found


def _vlan(value: Any) -> int:
    """A VLAN as others are compared with it."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,4}", str(value)) or not 1 <= int(value) <= 4094:
        raise Refusal("invalid", f"{str(value)[:60]!r} is no VLAN", "values.vlan", "it is 1 to 4094")
    return int(value)


def _prefixes(value: Any) -> list[str]:
    """Prefixes as others are compared with them."""
    import ipaddress

    if not isinstance(value, list | tuple) or len(value) > MOST_VALUES:
        raise Refusal("invalid", f"prefixes are a list of at most {MOST_VALUES}", "values.prefixes")
    try:
        return [str(ipaddress.ip_network(_checked("prefixes", one), strict=False)) for one in value]
    except ValueError as error:
        raise Refusal("invalid", f"no prefix: {error}", "values.prefixes", "write it as 203.0.113.0/29") from None


#: What conflicts are found by is of one form.
CHECKED: dict[str, Any] = {"vlan": _vlan, "inner_vlan": _vlan, "prefixes": _prefixes}


def _checked(name: str, value: Any) -> str:
    if not isinstance(value, str) or not VALUE.fullmatch(value):
        raise Refusal("invalid", f"{str(value)[:60]!r} can't be put into configuration data", f"values.{name}",
                      "letters, digits, blanks and ._:/@+- within, in one line of at most 128")
    return value


def render(desk: Desk, item_id: str, values: Mapping[str, Any] | None = None) -> Configuration:
    """Configuration data of an item, a new version, with its inverse and what conflicts with it. values: beside those that the order and its resources say."""
    desk.demand("configuration.write")
    item, order = working_item(desk, item_id, ("inProgress", "held"))
    kind = version_of(desk, item.offering, item.offering_version).kind
    if kind not in KINDS:
        raise Refusal("conflict", f"there is no template for {kind}", f"item {item_id}", f"there are for {', '.join(KINDS)}")
    service = service_of(desk, item)
    given = checked_values({**_known(desk, item, service), **dict(values or {})})
    context = {**given, "order": {"number": _checked("order.number", order.number)}, "item": {"place": item.place},
               "service": {"circuit": _checked("service.circuit", service.circuit), "class": service.class_, "id": service.id}}
    text, inverse = (_rendered(name, context) for name in (f"{kind}.j2", f"{kind}.inverse.j2"))
    if item.action == "delete":
        text, inverse = inverse, text
    number = 1 + len(desk.session.execute(select(Configuration.id).where(Configuration.item_id == item.id)).all())
    for one in desk.session.execute(select(Configuration).where(Configuration.item_id == item.id, Configuration.state == "rendered")).scalars():
        one.state = "refused"
    taken = {name: given.get(name) for name in ("port", "onu", "vlan", "inner_vlan")} | {"prefixes": given.get("prefixes") or []}
    found = desk.add(Configuration(item_id=item.id, version=number, template=kind, text=text, inverse=inverse, created=desk.now,
                                   conflicts=conflicts(desk, item, service, taken), taken=taken, rendered_by=desk.actor.id or None))
    desk.record("configuration.render", found, after={"item": item.id, "version": number, "conflicts": found.conflicts})
    desk.emit("configuration.create", found.id, {"id": found.id, "item": item.id, "version": number, "conflicts": len(found.conflicts)})
    return found


def _known(desk: Desk, item: OrderItem, service: Service) -> dict[str, Any]:
    """What the order and the resources that are kept or used for it say."""
    wanted = wanted_of(item)
    known: dict[str, Any] = {"vlan": wanted.vlan, "inner_vlan": wanted.inner_vlan, "prefixes": list(wanted.prefixes), "user": wanted.user,
                             "down_kbps": (wanted.down_bps or service.down_bps) // 1000, "up_kbps": (wanted.up_bps or service.up_bps) // 1000}
    kept = select(Kept.resource_id).where(Kept.item_id == item.id, Kept.released.is_(None))
    used = select(ServiceResource.resource_id).where(ServiceResource.service_id == service.id)
    for row in desk.session.execute(select(Resource).where(Resource.id.in_(kept) | Resource.id.in_(used)).order_by(Resource.name)).scalars():
        if row.kind in NAMED:
            known.setdefault(NAMED[row.kind], row.name)
        elif row.kind == "vlan" and not known["vlan"] and row.name.isdigit():
            known["vlan"] = int(row.name)
        elif row.kind == "prefix" and not wanted.prefixes:
            known["prefixes"].append(row.name)
    return {name: value for name, value in known.items() if value is not None or name == "inner_vlan"}


def _rendered(name: str, context: Mapping[str, Any]) -> str:
    environment = ImmutableSandboxedEnvironment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    try:
        text = environment.get_template(name).render(context)
    except TemplateNotFound:
        raise Refusal("conflict", "there is no such template", name) from None
    except TemplateError as error:
        raise Refusal("invalid", f"the template can't be filled: {error.message}", name, "give the value that is missing") from None
    if len(text) > LONGEST:
        raise Refusal("large", f"configuration data has {LONGEST >> 10} kB at most", name)
    return text


def conflicts(desk: Desk, item: OrderItem, service: Service, taken: Mapping[str, Any]) -> list[str]:
    """What another item's active configuration or another service's binding has already of what this one takes."""
    found: list[str] = []
    query = select(Configuration, OrderItem, ProductOrder.region).join(OrderItem, OrderItem.id == Configuration.item_id).join(
        ProductOrder, ProductOrder.id == OrderItem.order_id).where(Configuration.state.in_(ACTIVE), Configuration.item_id != item.id)
    region = desk.session.get_one(ProductOrder, item.order_id).region
    for other, whose, where in desk.session.execute(query.execution_options(yield_per=500)):
        if whose.service_id == service.id or where != region:
            continue
        has = other.taken
        place = next((name for name in ("port", "onu") if taken.get(name) and taken[name] == has.get(name)), "")
        vlans = taken.get("vlan"), taken.get("inner_vlan")
        if place == "onu":
            found.append(f"ONU {taken['onu']} is configured for item {whose.id}")
        elif place and vlans == (has.get("vlan"), has.get("inner_vlan")):
            found.append(f"VLAN {_tag(*vlans)} on port {taken['port']} is configured for item {whose.id}")
        found += [f"prefix {one} overlaps {two}, configured for item {whose.id}" for one in taken["prefixes"] for two in has.get("prefixes", [])
                  if _overlap(one, two)]
    for row in desk.session.execute(select(Binding).where(Binding.service_id != service.id, Binding.prefix != "", *holds(desk.now))).scalars():
        found += [f"prefix {one} overlaps {row.prefix}, bound to service {row.service_id}" for one in taken["prefixes"] if _overlap(one, row.prefix)]
    return sorted(set(found))[:100]


def _tag(vlan: Any, inner: Any) -> str:
    return f"{vlan}.{inner}" if inner else str(vlan)


def _overlap(one: str, two: str) -> bool:
    import ipaddress

    try:
        first, second = ipaddress.ip_network(one, strict=False), ipaddress.ip_network(two, strict=False)
    except ValueError:
        return False
    return first.version == second.version and first.overlaps(second)       # type: ignore[arg-type]


def sign(desk: Desk, configuration_id: str, approve: bool = True, reason: str = "") -> Configuration:
    """Sign configuration data, or refuse it: a second person. What conflicts is not signed; it is looked at anew."""
    desk.demand("configuration.sign")
    found = desk.find(Configuration, configuration_id, lock=True)
    where = f"configuration {found.id}"
    if found.state != "rendered":
        raise Refusal("conflict", f"it is {found.state}", where, "render it anew")
    desk.another(found.rendered_by, "signing configuration data")
    if approve:
        item = desk.find(OrderItem, found.item_id)
        found.conflicts = conflicts(desk, item, service_of(desk, item), found.taken)
        if found.conflicts:
            raise Refusal("conflict", found.conflicts[0], where, "take other resources, and render it anew")
    elif not reason.strip():
        raise Refusal("invalid", "a reason is needed to refuse it", "reason", "give one sentence")
    found.state = "signed" if approve else "refused"
    found.signed_by, found.signed = desk.actor.id or None, desk.now
    _told(desk, found, "rendered", reason)
    return found


def apply(desk: Desk, configuration_id: str, reason: str = "") -> Configuration:
    """Note that a device has been told it: the item's data is configured."""
    return _put(desk, configuration_id, ("signed",), "applied", reason)


def revert(desk: Desk, configuration_id: str, reason: str) -> Configuration:
    """Note that a device has been told the inverse: what was taken is free again."""
    if not reason.strip():
        raise Refusal("invalid", "a reason is needed to revert it", "reason", "give one sentence")
    return _put(desk, configuration_id, ACTIVE, "reverted", reason)


def _put(desk: Desk, configuration_id: str, before: tuple[str, ...], to: str, reason: str) -> Configuration:
    desk.demand("configuration.write")
    found = desk.find(Configuration, configuration_id, lock=True)
    if found.state not in before:
        raise Refusal("conflict", f"it is {found.state}", f"configuration {found.id}", f"it is done to one that is {' or '.join(before)}")
    item = desk.find(OrderItem, found.item_id)
    if to == "applied":
        untouched(desk, [item.service_id])
    was, found.state = found.state, to
    _told(desk, found, was, reason)
    if to == "applied":
        reach(desk, item, "dataConfigured", {"configuration": found.id, "version": found.version})
    return found


def _told(desk: Desk, found: Configuration, before: str, reason: str) -> None:
    desk.record(f"configuration.{found.state}", found, {"state": before}, {"state": found.state}, reason)
    desk.emit("configuration.stateChange", found.id, {"id": found.id, "item": found.item_id, "from": before, "to": found.state})


def listed(desk: Desk, item_id: str = "", order_id: str = "") -> Select[tuple[Configuration]]:
    """A query of configuration data, the newest first."""
    desk.demand("order.read")
    query = desk.select(Configuration)
    if item_id:
        query = query.where(Configuration.item_id == item_id)
    if order_id:
        query = query.where(Configuration.item_id.in_(select(OrderItem.id).where(OrderItem.order_id == order_id)))
    return query.order_by(Configuration.created.desc(), Configuration.id.desc())
