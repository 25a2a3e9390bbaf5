"""fullspan whois: whose an address is, or was."""
from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import click

from dpi.cli.moments import moment
from dpi.cli.reasons import permitted, reason_options
from dpi.errors import UserError

if TYPE_CHECKING:
    from dpi.identity.stamper import Identity


@click.command("whois", short_help="Say whose an address is, or was.")
@click.argument("address", metavar="IP")
@click.option("--at", "when", metavar="TIME", help="At this moment (default: now).")
@click.option("--vlan", type=click.IntRange(1, 4094), metavar="N", help="As seen in this VLAN.")
@click.option("--inner-vlan", type=click.IntRange(1, 4094), metavar="N", help="And in this inner one (QinQ).")
@click.option("--bindings", metavar="FILE", help="The bindings file (default: that of the settings).")
@click.option("--local-networks", metavar="CIDR,...", help="Networks on the operator's side (default: those of the settings).")
@click.option("--store", "store_url", metavar="URL", help="Ask this store's sessions as well (default: that of the settings, where it is there).")
@reason_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(address: str, when: str | None, vlan: int | None, inner_vlan: int | None, bindings: str | None, local_networks: str | None,
            store_url: str | None, reason: str, ticket: str, as_json: bool) -> None:
    """Say which service and customer an address is at a moment, and by which line of the bindings file; where it is, if there are databases for that.

    It asks as the engine does when it stamps a flow's row: what it says is what the row says.
    """
    from dpi import settings
    from dpi.identification import options_of
    from dpi.identity.geography import Place
    from dpi.identity.stamper import geography, load

    wanted = _address(address)
    at = moment(when, "--at")
    options = options_of(settings.load())
    options = replace(options, bindings=bindings or options.bindings, local_networks=local_networks or options.local_networks)
    if not options.given:
        raise UserError("nobody has said whose addresses are", "[identity]", "name a bindings file in the settings or with --bindings")
    known = load(options, "--local-networks" if local_networks else "[identity] local_networks")
    if at is None:
        import time

        at = time.time_ns() // 1000
    found = _ask(known, wanted, at, vlan or 0, inner_vlan or 0)
    found["session"] = session = _session(store_url, wanted, at, vlan or 0, inner_vlan or 0, reason, ticket)
    if session is not None and session["service_id"] and _stamps(session, known, at, bool(found["service_id"])):
        found |= {"service_id": session["service_id"], "customer_id": session["customer_id"], "line": None}
    places = geography(options)
    place = places.place(_octets(wanted)) if places is not None else Place()
    found |= {"country": places.countries[place.country] if places is not None else "", "asn": place.asn}
    click.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else _said(found, known))


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        one = ip_address(text)
    except ValueError:
        raise UserError(f"not an address: {text!r}", "whois", "write it as 192.0.2.1 or 2001:db8::1") from None
    return one.ipv4_mapped or one if isinstance(one, IPv6Address) else one


def _octets(address: IPv4Address | IPv6Address) -> bytes:
    """Sixteen, IPv4 mapped."""
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed


def _ask(known: Identity, address: IPv4Address | IPv6Address, at: int, vlan: int, inner: int) -> dict[str, Any]:
    """What a row of this address would be stamped with."""
    import numpy as np

    from dpi.flow.row import ROW
    from dpi.identity.bindings import time_text
    from dpi.identity.holders import HELD
    from dpi.identity.stamp import STAMP, stamp
    from dpi.jit import records

    rows, stamps = records(1, ROW), records(1, STAMP)
    row = rows[0]
    row.client_ip[:] = np.frombuffer(_octets(address), np.uint64)
    row.interval_start, row.vlan, row.inner_vlan = at, vlan, inner
    stamp(rows, stamps, np.zeros(1, np.uint32), known.world, records(0, HELD), 1, 0)
    number = int(stamps[0].client)
    line = known.bindings.words(number) if number else {}
    return {"address": str(address), "at": time_text(at), "vlan": vlan, "inner_vlan": inner, "service_id": line.get("service_id", ""),
            "customer_id": line.get("customer_id", ""), "line": line or None, "file": known.bindings.path, "local": bool(stamps[0].client_local)}


def _session(url: str | None, address: IPv4Address | IPv6Address, at: int, vlan: int, inner: int, reason: str, ticket: str) -> dict[str, Any] | None:
    """Who had the address, as learned on the wire; None where nobody is known to have had it, or there is no store to ask."""
    from pathlib import Path

    from dpi import settings
    from dpi.cli.holder import holder
    from dpi.store import address as place_of
    from dpi.store import open_store

    place = place_of(url or settings.load().store.url)
    if place.scheme == "none" or (not url and place.scheme == "chdb" and not Path(place.path).exists()):
        return None
    store = open_store(url or settings.load().store.url, create=False, readonly=True)
    try:
        reading = permitted(store, "whois", reason, ticket, "address", str(address))
        found = holder(store, address, at, vlan, inner)
        reading.told(0 if found is None else 1)
        return found
    finally:
        store.close()


def _stamps(session: dict[str, Any], known: Identity, at: int, bound: bool) -> bool:
    """Whether a row is stamped by who has the address: by user or circuit before all else, by MAC address where nothing else binds the address, and not where
    the bindings have no such line of the service then. The session was stored with the bindings of its time; of which kind its line was they say."""
    import numpy as np

    from dpi.identity.bindings import CIRCUIT, MAC, USER

    if not len(known.bindings):
        return True
    lines = known.bindings.lines.view(np.ndarray)[1:]
    services = known.bindings.services
    if session["service_id"] not in services:
        return False
    mine = lines[(lines["service"] == services.index(session["service_id"])) & (lines["valid_from"] <= at) & (at < lines["valid_to"])]
    kinds = {int(kind) for kind in mine["kind"]}
    return bool(kinds & {USER, CIRCUIT}) or (MAC in kinds and not bound)


def _said(found: dict[str, Any], known: Identity) -> str:
    """For people."""
    where = "".join(f", {name} {found[key]}" for key, name in (("vlan", "VLAN"), ("inner_vlan", "inner VLAN")) if found[key])
    lines = [f"{found['address']} at {found['at']}{where}"]
    line = found["line"]
    if line:
        told = [f"{name} {line[name]}" for name in ("prefix", "vlan", "inner_vlan", "mac", "valid_from", "valid_to") if name in line]
        point = " ".join(f"{name} {line[name]}" for name in ("probe", "interface") if name in line)
        lines += [f"service   {found['service_id']}", f"customer  {found['customer_id'] or '-'}", f"by        {found['file']}:{line['line']}: {', '.join(told)}",
                  f"metered   {'at ' + point if point else 'wherever it is seen'}"]
    elif found["service_id"]:
        lines += [f"service   {found['service_id']}", f"customer  {found['customer_id'] or '-'}"]
    elif known.bindings.path:
        lines.append(f"service   none: no line of {found['file']} binds it then")
    if session := found["session"]:
        lines.append(f"session   since {session['since'].replace(' ', 'T')}Z, by {session['learned_from']}"
                     + ("" if session["service_id"] else ", whose user no line binds"))
    lines.append(f"local     {'yes' if found['local'] else 'no'}")
    lines += [f"country   {found['country']}"] if found["country"] else []
    lines += [f"AS        {found['asn']}"] if found["asn"] else []
    return "\n".join(lines)
