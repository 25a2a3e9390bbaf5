"""SNMP traps as alarms: what each means (RFC 3418, and a file of one's own for those of vendors), and which resource it is about.

A device is the resource whose `detail.address` is where the trap came from; an interface is the port or PON port of it (`interface`, or the name) that a
variable of the trap names: ifName, ifDescr, or those that the file says. The file, TOML:

    [[trap]]
    oid = "1.3.6.1.4.1.2011.6.128.1.1.2.5"      # snmpTrapOID
    kind = "onu_offline"                        # of an alarm
    state = "raised"                            # or cleared
    severity = "critical"
    subject = "1.3.6.1.4.1.2011.6.128.1.1.2.43" # the variable whose value is the name of the port or ONU; its index is not compared
"""
from __future__ import annotations

import hashlib
import ipaddress
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import or_, select

from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Resource
from bss.tickets import cause, plant
from bss.tickets.alarm import Event
from bss.tickets.ber import Trap

IF_INDEX, IF_DESCR, IF_NAME, IF_ALIAS = "1.3.6.1.2.1.2.2.1.1", "1.3.6.1.2.1.2.2.1.2", "1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.31.1.1.1.18"
NAMES = (IF_NAME, IF_DESCR, IF_ALIAS)


class Meaning(BaseModel):
    """What a trap means."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    oid: Annotated[str, Field(pattern=r"^\d+(\.\d+){1,60}$")]
    kind: Annotated[str, Field(min_length=1, max_length=64)]
    state: Literal["raised", "cleared"] = "raised"
    severity: Literal["critical", "major", "minor", "warning"] = "major"
    subject: Annotated[str, Field(pattern=r"^(\d+(\.\d+){1,60})?$")] = ""


#: RFC 3418 and 2863. A device that has started was down a moment ago, and is not now: a warning.
KNOWN = (
    *(Meaning(oid=f"1.3.6.1.6.3.1.1.5.{n}", kind="restart", severity="warning") for n in (1, 2)),
    Meaning(oid="1.3.6.1.6.3.1.1.5.3", kind="link_down", severity="critical"),
    Meaning(oid="1.3.6.1.6.3.1.1.5.4", kind="link_down", state="cleared", severity="critical"),
    Meaning(oid="1.3.6.1.6.3.1.1.5.5", kind="authentication_failure", severity="warning"))


class Came(NamedTuple):
    """A trap, where it came from and when."""
    trap: Trap
    address: str
    at: datetime


def meanings(file: str | None = None) -> dict[str, Meaning]:
    """What traps mean by their OIDs: those that are known, and those of a file, which come first. Refusal: the file is none."""
    found: dict[str, Meaning] = {one.oid: one for one in KNOWN}
    if file is None:
        return found
    try:
        told = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        rows = [Meaning.model_validate(one) for one in told.get("trap", [])]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refusal("invalid", f"the file of traps can't be read: {error}", file) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise Refusal("invalid", str(first["msg"]), f"{file}: trap.{'.'.join(map(str, first['loc']))}", "see docs/business-tickets.md") from None
    return {**found, **{one.oid: one.model_copy(update={"kind": cause.kind_of(one.kind) or one.kind}) for one in rows}}


def events(desk: Desk, came: Sequence[Came], known: Mapping[str, Meaning]) -> list[Event]:
    """Traps as events of alarms. What nobody knows the meaning of is a warning of its OID, so that it is seen at all."""
    devices = _devices(desk, {one.address for one in came})
    below = {one.id: plant.below(desk, one.id)[:5000] for one in devices.values()}
    found = []
    for one in came:
        meaning = known.get(one.trap.oid) or Meaning(oid=one.trap.oid, kind=f"trap_{one.trap.oid.replace('.', '_')}"[:64], severity="warning")
        name = _name(one.trap, meaning)
        device = devices.get(one.address)
        about = device
        if device is not None and name:
            about = _part(desk, device, below[device.id], name)
        where = name or (device.name if device else one.address)
        said = f"{meaning.kind} of {where} ({one.address})"
        # the same trap sent again is the same: by what it says and when the device says that it was
        digest = hashlib.sha256(repr((one.address, one.trap.uptime, one.trap.oid, one.trap.variables, one.trap.request)).encode()).hexdigest()[:32]
        found.append(Event("snmp", f"{digest}/{int(one.at.timestamp()) // 86400}", f"{one.address}/{meaning.kind}/{name}"[:128], meaning.state, meaning.kind,
                           meaning.severity, one.at, said, resource=about.id if about else "", target=where[:200],
                           evidence={"address": one.address, "trap": one.trap.oid, "uptime": one.trap.uptime, "name": name}))
    return found


def _name(trap: Trap, meaning: Meaning) -> str:
    """What the port or ONU is called that a trap is about; '' it is about the device."""
    wanted = (meaning.subject,) if meaning.subject else NAMES
    for base in wanted:
        for oid, value in trap.variables:
            if oid == base or oid.startswith(f"{base}."):
                text = value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)
                if text.isprintable() and text.strip():
                    return text.strip()[:64]
    return ""


def _devices(desk: Desk, addresses: set[str]) -> dict[str, Resource]:
    """Devices by the addresses that they are managed at."""
    wanted = {str(ipaddress.ip_address(one)) for one in addresses}
    query = select(Resource).where(Resource.kind.in_(("device", "olt", "ap")), or_(*(
        Resource.detail["address"].as_string() == one for one in sorted(wanted)))).order_by(Resource.id.desc())
    return {str(one.detail["address"]): one for one in desk.session.execute(query).scalars()}


def _part(desk: Desk, device: Resource, below: Sequence[str], name: str) -> Resource | None:
    """The part of a device that is called so; None: it is not known, and the device is not blamed for it."""
    query = select(Resource).where(Resource.id.in_(below), Resource.id != device.id, or_(Resource.interface == name, Resource.name == name))
    return desk.session.execute(query.order_by(Resource.id).limit(1)).scalars().first()
