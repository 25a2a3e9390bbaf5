"""Whose rows are: the compiled look-up against a twin that looks at every line, over addresses, VLANs and moments next to every bound."""
from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import Batch, Made
from dpi.flow.row import ROW
from dpi.identity.bindings import Bindings, time_text
from dpi.identity.stamper import Identity, Options, Stamper, load
from dpi.jit import BUILD, records
from tests.oracle.bindings import Line, stamp

T0 = 1_767_225_600_000_000
EXAMPLES = settings(max_examples=20 if BUILD == "off" else 150, deadline=None)
#: Few, nested and side by side, so that they meet.
PREFIXES = ("10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/30", "10.0.0.1/32", "10.0.0.4/30", "10.0.1.0/24", "10.1.0.0/16", "0.0.0.0/0", "255.255.255.255/32",
            "192.0.2.0/25", "2001:db8::/32", "2001:db8::/64", "2001:db8::1/128", "2001:db8:0:1::/64", "ff00::/8", "ffff::/16", "1.0.0.0/8", "223.255.255.0/24")
ADDRESSES = sorted({str(one) for prefix in PREFIXES for net in [ip_network(prefix)] for edge in (int(net[0]), int(net[-1])) for step in (-1, 0, 1)
                    if 0 <= edge + step < 1 << net.max_prefixlen for one in [type(net[0])(edge + step)]} | {"0.0.0.0", "127.0.0.1", "8.8.8.8", "::", "::1"})
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03")
VLANS = (0, 5, 6)
TIMES = (None, 0, 10, 20, 30)
what = st.one_of(
    st.builds(lambda prefix, tags: {"prefix": prefix, "vlan": tags[0], "inner": tags[1]}, st.sampled_from(PREFIXES),
              st.sampled_from([(None, None), (5, None), (5, 7), (6, None)])),
    st.builds(lambda mac: {"mac": mac}, st.sampled_from(MACS)),
    st.builds(lambda tags: {"vlan": tags[0], "inner": tags[1]}, st.sampled_from([(5, None), (5, 7), (6, 7)])))
spans = st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)).filter(lambda span: None in span or span[0] < span[1])       # type: ignore[operator]


@st.composite
def files(draw: Any) -> list[Line]:
    """Lines of which none overlaps in time with another of its key."""
    found: list[Line] = []
    for k in range(draw(st.integers(0, 24))):
        its, span = draw(what), draw(spans)
        line = Line(f"S{k}", **its, since=None if span[0] is None else T0 + span[0], until=None if span[1] is None else T0 + span[1],
                    probe=draw(st.sampled_from(("", "", "p1", "p2"))), interface=draw(st.sampled_from(("", "", "eth0", "eth1"))))
        if not any((one.prefix, one.vlan, one.inner, one.mac) == (line.prefix, line.vlan, line.inner, line.mac)
                   and (one.since is None or line.until is None or one.since < line.until)
                   and (line.since is None or one.until is None or line.since < one.until)
                   for one in found):
            found.append(line)
    return found


rows = st.lists(st.fixed_dictionaries({
    "client_ip": st.sampled_from(ADDRESSES), "server_ip": st.sampled_from(ADDRESSES), "client_mac": st.sampled_from(("", *MACS)),
    "server_mac": st.sampled_from(("", *MACS)), "vlan": st.sampled_from(VLANS), "inner_vlan": st.sampled_from((0, 7, 8)),
    "time": st.integers(-1, 31).map(lambda at: T0 + at), "interface": st.integers(0, 2)}), min_size=1, max_size=30)
locals_ = st.lists(st.sampled_from(("10.0.0.0/8", "10.0.0.0/16", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0")), max_size=3)
INTERFACES = ["", "eth0", "eth1"]


def written(lines: list[Line]) -> str:
    """The file."""
    out = ["service_id,customer_id,prefix,vlan,inner_vlan,mac,valid_from,valid_to,probe,interface"]
    for one in lines:
        times = [time_text(at) if at is not None else "" for at in (one.since, one.until)]
        tags = [str(tag or "") for tag in (one.vlan, one.inner)]
        out.append(",".join([one.service, f"C-{one.service}", one.prefix, *tags, one.mac, *times, one.probe, one.interface]))
    return "\n".join(out) + "\n"


def identity(tmp: Path, lines: list[Line], local: list[str] | None = None, probe: str = "") -> Identity:
    file = tmp / "bindings.csv"
    file.write_text(written(lines))
    return load(Options(str(file), ",".join(local or []), probe))


def batch(some: list[dict[str, Any]]) -> Batch:
    """The rows as the pipeline hands them on."""
    out = records(len(some), ROW)
    for row, one in zip(out, some, strict=True):
        for side in ("client", "server"):
            address = ip_address(one[f"{side}_ip"])
            raw = address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed
            row[f"{side}_ip"][:] = np.frombuffer(raw, np.uint64)
            row[f"{side}_mac"] = int(one[f"{side}_mac"].replace(":", "") or "0", 16)
        row.interval_start, row.vlan, row.inner_vlan, row.interface = one["time"], one["vlan"], one["inner_vlan"], one["interface"]
    return Batch("flows", len(some), Made({}), out)


@EXAMPLES
@given(files(), locals_, rows, st.sampled_from(("p1", "p3")))
def test_every_row_is_whose_the_twin_says(tmp_path_factory: pytest.TempPathFactory, lines: list[Line], local: list[str], some: list[dict[str, Any]],
                                          probe: str) -> None:
    known = identity(tmp_path_factory.mktemp("b"), lines, local)
    found = Stamper().stamped(batch(some), known, probe, INTERFACES)
    for k, row in enumerate(some):
        expected = stamp(lines, local, row, probe, INTERFACES[row["interface"]])
        mine = {name: column[k] if name.endswith("_id") else bool(column[k]) for name, column in found.columns.items() if not name.endswith("customer_id")}
        assert mine == ({name: value for name, value in expected.items() if name in mine}), (row, written(lines))
        assert len(mine) == (6 if lines else 2 if local else 0)
        for side in ("client", "server"):
            if lines and expected[f"{side}_service_id"]:
                assert found.columns[f"{side}_customer_id"][k] == "C-" + expected[f"{side}_service_id"]


@EXAMPLES
@given(files())
def test_at_each_bound_one_ends_where_the_next_begins(tmp_path_factory: pytest.TempPathFactory, lines: list[Line]) -> None:
    """What the flow table cuts at is every moment at which the twin's answer changes."""
    known = identity(tmp_path_factory.mktemp("b"), lines)
    cut = set(known.bounds["time"].tolist())
    assert cut == {at for one in lines for at in (one.since, one.until) if at is not None}
    assert known.bounds["time"].tolist() == sorted(known.bounds["time"].tolist())


def test_many_networks_side_by_side(tmp_path: Path) -> None:
    """A /16 with more than are searched at once, at both ends of what IPv4 has: each address and its neighbours, in order and with holes."""
    nets = [ip_network(f"{base}.{k >> 6}.{(k & 63) << 2}/{30 if k % 3 else 31}") for base in ("10.7", "0.0", "255.255") for k in range(0, 16384, 37)]
    lines = [Line(f"S{k}", prefix=str(net)) for k, net in enumerate(nets)]
    known = identity(tmp_path, lines)
    owner = {int(one): line.service for net, line in zip(nets, lines, strict=True) for one in net}
    ends = sorted({one for net in nets for edge in (int(net[0]), int(net[-1])) for one in (edge - 1, edge, edge + 1) if 0 <= one < 1 << 32})
    same: dict[str, Any] = {"server_ip": "8.8.8.8", "client_mac": "", "server_mac": "", "vlan": 0, "inner_vlan": 0, "time": T0, "interface": 0}
    some = [{"client_ip": str(ip_address(one)), **same} for one in ends]
    found = Stamper().stamped(batch(some), known, "p", [""])
    assert list(found.columns["client_service_id"]) == [owner.get(one, "") for one in ends] and len(ends) > 4000


def test_the_fold_of_a_network_is_nobody_s_who_has_a_part_of_it(tmp_path: Path) -> None:
    """A fold knows of its clients their network, or nothing (dpi/flow/eviction.py): a line within that network is not all of it."""
    lines = [Line("part", "198.51.100.0/29"), Line("whole", "192.0.2.0/24"), Line("inside", "192.0.2.0/32"), Line("six", "2001:db8:1::/48"),
             Line("host", "2001:db8:1::/128"), Line("zero", "0.0.0.0/8"), Line("server", "203.0.113.5/32")]
    known = identity(tmp_path, lines)
    nobody = {"client_mac": "", "server_mac": "", "vlan": 0, "inner_vlan": 0, "time": T0, "interface": 0, "server_ip": "203.0.113.5"}
    some = batch([{**nobody, "client_ip": one} for one in ("198.51.100.0", "192.0.2.0", "2001:db8:1::", "0.0.0.0", "198.51.100.0", "192.0.2.0")])
    for row, tags in zip(some.records, (3, 3, 5, 9, 0, 9 | 32), strict=True):
        row.fold, row.folded = tags, 7 if tags else 0
    found = Stamper().stamped(some, known, "p1", INTERFACES).columns
    assert list(found["client_service_id"]) == ["", "whole", "six", "", "part", ""]
    assert list(found["server_service_id"]) == ["server"] * 5 + [""]


def test_nothing_given_stamps_nothing() -> None:
    empty = Identity(Options(), Bindings(), load(Options()).arrays, records(0, ROW), 0.0)
    assert not empty.stamps and not Options().given and not dict(Stamper().stamped(batch([]), empty, "p", []).columns)
