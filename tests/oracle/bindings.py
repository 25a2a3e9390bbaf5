"""The slow twin of identity: every line of a bindings file is looked at for every row, as docs/identity.md says."""
from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any


@dataclass(frozen=True)
class Line:
    """A line. Times us; '' and None: not given."""
    service: str
    prefix: str = ""
    vlan: int | None = None
    inner: int | None = None
    mac: str = ""
    since: int | None = None
    until: int | None = None
    probe: str = ""
    interface: str = ""

    def holds(self, time: int) -> bool:
        return (self.since is None or self.since <= time) and (self.until is None or time < self.until)

    def near(self, address: str, mac: str, vlan: int, inner: int) -> tuple[int, ...] | None:
        """How near it is to an end, to be compared; None: it is about another, or about a VLAN alone."""
        tagged = 0 if self.vlan is None else 1 if self.inner is None else 2
        if (tagged and self.vlan != vlan) or (tagged == 2 and self.inner != inner):
            return None
        if self.prefix:
            one, network = ip_address(address), ip_network(self.prefix)
            return (2, tagged, network.prefixlen) if one.version == network.version and one in network else None
        return (1,) if self.mac and self.mac == mac else None


def stamp(lines: list[Line], local: list[str], row: dict[str, Any], probe: str, interface: str) -> dict[str, Any]:
    """What a row is stamped with. Of the row: addresses, MACs, VLANs, and `time` in us."""
    found: dict[str, Any] = {}
    theirs: dict[str, Line | None] = {}
    for side in ("client", "server"):
        address = row[f"{side}_ip"]
        one = ip_address(address)
        found[f"{side}_local"] = any(one.version == ip_network(net).version and one in ip_network(net) for net in local)
        near = [(how, line) for line in lines if line.holds(row["time"])
                and (how := line.near(address, row[f"{side}_mac"], row["vlan"], row["inner_vlan"])) is not None]
        theirs[side] = max(near, key=lambda pair: pair[0])[1] if near else None
    bare = [line for line in lines if line.holds(row["time"]) and not line.prefix and not line.mac and line.vlan == row["vlan"]
            and line.inner in (None, row["inner_vlan"])]
    if bare:
        line = max(bare, key=lambda one: one.inner is not None)
        if found["client_local"] != found["server_local"]:
            side = "client" if found["client_local"] else "server"
            theirs[side] = theirs[side] or line
        else:
            free = [side for side in ("client", "server") if theirs[side] is None]
            if free:
                theirs[free[0]] = line
    for side, mine in theirs.items():
        found[f"{side}_service_id"] = mine.service if mine else ""
        found[f"{side}_duplicate"] = bool(mine and ((mine.probe and mine.probe != probe) or (mine.interface and interface and mine.interface != interface)))
    return found
