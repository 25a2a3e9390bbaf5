"""`fullspan doctor --interface`: what a real veth pair says of itself, and what was turned off is no longer told."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.wire import FAR, NEAR, Wire, wire

#: ioctl(SIOCETHTOOL) with ethtool_value: ETHTOOL_SGRO, ETHTOOL_STSO, ETHTOOL_SGSO; what `ethtool -K` does.
SWITCH = """
import ctypes, fcntl, socket, struct, sys
value = ctypes.create_string_buffer(struct.pack("2I", int(sys.argv[2], 16), int(sys.argv[3])), 8)
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, struct.pack("16sP16x", sys.argv[1].encode(), ctypes.addressof(value)))
"""
GRO, TSO, GSO = "2c", "1f", "24"


@pytest.fixture(scope="module")
def cable() -> Iterator[Wire]:
    with wire() as one:
        yield one


def asked(cable: Wire, folder: Path, *options: str, before: tuple[str, ...] = ()) -> tuple[dict[str, tuple[str, str, str]], int]:
    """Findings by name: state, detail, mend; and the exit status."""
    command = ["ip", "netns", "exec", cable.near, *before, sys.executable, "-m", "dpi.cli.main", "doctor", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder, check=False)
    found = json.loads(done.stdout)["findings"]
    return {one["name"]: (one["state"], one["detail"], one["mend"]) for one in found}, done.returncode


def switch(cable: Wire, end: str, interface: str, what: str, on: int) -> None:
    assert cable.run(end, [sys.executable, "-c", SWITCH, interface, what, str(on)]).wait(20) == 0


def test_a_veth_is_told_what_to_turn_off_and_no_longer_once_it_is_off(cable: Wire, tmp_path: Path) -> None:
    switch(cable, cable.near, NEAR, GRO, 1)
    found, _ = asked(cable, tmp_path, "-i", NEAR)
    assert found[f"{NEAR} merging"] == ("note", "gro on: frames are made one before they are read, and counted as one", f"ethtool -K {NEAR} gro off")
    assert found[f"{NEAR} sender"][0] == "note" and "another namespace" in found[f"{NEAR} sender"][1]
    assert found[f"{NEAR} IPv6"][:2] == ("ok", "off") and found[f"{NEAR} link"][:2] == ("ok", "is up") and found[f"{NEAR} ring"][:2] == ("ok", "TPACKET_V3")
    assert found["packets"][0] == "ok"
    switch(cable, cable.near, NEAR, GRO, 0)
    assert asked(cable, tmp_path, "-i", NEAR)[0][f"{NEAR} merging"][:2] == ("ok", "off: frames are read as they came")


def test_a_sender_at_the_other_end_that_leaves_its_frames_uncut(cable: Wire, tmp_path: Path) -> None:
    subprocess.run(["ip", "-n", cable.near, "link", "add", "one0", "type", "veth", "peer", "name", "two0"], check=True)
    state, detail, mend = asked(cable, tmp_path, "-i", "one0")[0]["one0 sender"]
    assert state == "note" and "two0 has tso, gso" in detail and mend.startswith("ethtool -K two0 tso off gso off")
    for what in (TSO, GSO, "3b"):
        if what != "3b":
            switch(cable, cable.near, "two0", what, 0)
    state, detail, mend = asked(cable, tmp_path, "-i", "one0")[0]["one0 sender"]
    assert "tso" not in detail and " gso" not in detail
    assert asked(cable, tmp_path, "-i", "one0")[0]["one0 link"] == ("note", "is down", "ip link set one0 up")


def test_ipv6_is_told(cable: Wire, tmp_path: Path) -> None:
    name = f"net.ipv6.conf.{NEAR}.disable_ipv6"
    subprocess.run(["ip", "netns", "exec", cable.near, "sysctl", "-qw", f"{name}=0"], check=True)
    try:
        assert asked(cable, tmp_path, "-i", NEAR)[0][f"{NEAR} IPv6"][::2] == ("note", f"sysctl -w {name}=1")
    finally:
        subprocess.run(["ip", "netns", "exec", cable.near, "sysctl", "-qw", f"{name}=1"], check=True)


def test_who_may_not_read_packets_is_told(cable: Wire, tmp_path: Path) -> None:
    found, _ = asked(cable, tmp_path, "-i", NEAR, before=("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"))
    assert found["packets"][0] == "note" and "CAP_NET_RAW" in found["packets"][2] and found[f"{NEAR} ring"][0] == "ok"


def test_an_interface_that_is_not_there_is_bad_and_those_of_the_settings_are_looked_at(cable: Wire, tmp_path: Path) -> None:
    found, code = asked(cable, tmp_path, "-i", f"nowhere0, pcap:{NEAR}")
    assert code == 1 and found["nowhere0"][:2] == ("bad", "there is no such interface") and f"{NEAR} link" in found
    (tmp_path / "fullspan.toml").write_text(f'[probe]\ninterfaces = "{NEAR}"\n')
    found, _ = asked(cable, tmp_path)
    assert f"{NEAR} link" in found and FAR not in found
