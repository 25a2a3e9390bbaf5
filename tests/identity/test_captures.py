"""Whose traffic a capture is, from the frames to the rows, with one worker and several."""
from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scapy.all import IP, TCP, UDP, Dot1AD, Dot1Q, Ether, IPv6, Raw, wrpcap

import dpi.replaying
from dpi.replaying import ReplayOptions, run
from dpi.settings import Identity, Settings
from tests.golden.rows import Kept

NOON = 1_780_315_200                    # 2026-06-01T12:00:00Z
LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
HEADER = "service_id,customer_id,prefix,vlan,inner_vlan,mac,user,circuit,valid_from,valid_to,probe,interface"


@pytest.fixture(autouse=True)
def crews(monkeypatch: pytest.MonkeyPatch) -> None:
    """No capture is too small for a crew, no block larger than 16 frames."""
    monkeypatch.setattr(dpi.replaying, "ALONE", 0)
    monkeypatch.setattr(dpi.replaying, "FRAMES_PER_BLOCK", 16)


def at(frame: Any, time: float) -> Any:
    frame.time = time
    return frame


def rows(folder: Path, frames: list[Any], lines: list[str], workers: int = 1, local: str = "", identity: Identity | None = None) -> list[dict[str, Any]]:
    """The rows of `flows` of these frames, stamped by these lines."""
    capture, file = folder / "made.pcap", folder / "bindings.csv"
    wrpcap(str(capture), frames)
    file.write_text("\n".join((HEADER, *lines)) + "\n")
    file.chmod(0o600)
    kept = Kept()
    run([str(capture)], sinks=[kept], options=ReplayOptions(workers=workers, bindings=str(file), local_networks=local),
        settings=replace(Settings(), identity=identity or Identity()))
    return kept.rows("flows")


def octets(some: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """IP octets by service: sent by it, sent to it."""
    found: Counter[tuple[str, str]] = Counter()
    for row in some:
        for side, other in (("client", "server"), ("server", "client")):
            found[row[f"{side}_service_id"], "up"] += row[f"{side}_bytes"]
            found[row[f"{side}_service_id"], "down"] += row[f"{other}_bytes"]
    return found


def test_between_two_customers_both_sides_are_stamped(tmp_path: Path) -> None:
    one, two = "10.0.0.1", "2001:db8::5"
    frames = [at(LINK / IP(src=one, dst="10.0.1.9") / UDP(sport=4000, dport=53) / Raw(b"a" * 40), NOON),
              at(LINK / IP(src="10.0.1.9", dst=one) / UDP(sport=53, dport=4000) / Raw(b"b" * 400), NOON + 1),
              at(LINK / IPv6(src=two, dst="2001:db8:1::1") / TCP(sport=4000, dport=443, flags="S"), NOON + 2)]
    found = {row["client_ip"]: row for row in rows(tmp_path, frames, ["S1,C1,10.0.0.0/24,,,,,,,,,", "S2,C2,10.0.1.9,,,,,,,,,", "S3,C1,2001:db8::/48,,,,,,,,,"],
                                                   local="10.0.0.0/24,2001:db8::/48")}
    names = ("client_service_id", "client_customer_id", "server_service_id", "server_customer_id", "client_local", "server_local", "client_duplicate",
             "server_duplicate")
    assert {ip: tuple(row[name] for name in names) for ip, row in found.items()} == {
        one: ("S1", "C1", "S2", "C2", True, False, False, False), two: ("S3", "C1", "", "", True, False, False, False)}
    assert octets(list(found.values()))["S2", "up"] == 428 and octets(list(found.values()))["S1", "up"] == 68


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_address_that_moves_is_split_to_the_byte(tmp_path: Path, workers: int) -> None:
    """From one customer to another at 12:00:30, in the middle of long flows; its neighbour's rows stay whole."""
    frames, expected = [], Counter[tuple[str, str]]()
    for k in range(600):
        time = NOON + k * 0.1 + (0.000_001 if k == 299 else 0)      # one of them at 12:00:29.900001, one at 12:00:30 exactly
        size = 10 + k % 77
        for end, port in (("10.0.0.1", 4000 + k % 6), ("10.0.0.2", 4000 + k % 6)):
            up = k % 3 != 0
            layer = IP(src=end, dst="198.51.100.7") / UDP(sport=port, dport=9999) if up else IP(src="198.51.100.7", dst=end) / UDP(sport=9999, dport=port)
            frames.append(at(LINK / layer / Raw(b"x" * size), time))
            service = "S9" if end == "10.0.0.2" else "S1" if k < 300 else "S2"
            expected[service, "up" if up else "down"] += size + 28
    lines = ["S1,C1,10.0.0.1,,,,,,,2026-06-01T12:00:30Z,,", "S2,C2,10.0.0.1,,,,,,2026-06-01T12:00:30Z,,,", "S9,C9,10.0.0.2,,,,,,,,,"]
    some = rows(tmp_path, frames, lines, workers)
    found = octets(some)
    assert {key: count for key, count in found.items() if key[0]} == dict(expected)
    whose = [(row["client_service_id"] or row["server_service_id"], row["client_customer_id"] or row["server_customer_id"], row) for row in some]
    assert Counter((service, customer) for service, customer, _ in whose) == {("S1", "C1"): 6, ("S2", "C2"): 6, ("S9", "C9"): 6}
    assert all(row["interval_start"] >= "2026-06-01T12:00:30" for service, _, row in whose if service == "S2")
    assert all(row["interval_end"] < "2026-06-01T12:00:30" for service, _, row in whose if service == "S1")


def test_the_same_private_address_in_two_vlans_stays_apart(tmp_path: Path) -> None:
    tags = {"A": Dot1Q(vlan=100), "B": Dot1Q(vlan=200), "Q": Dot1AD(vlan=300) / Dot1Q(vlan=7), "R": Dot1AD(vlan=300) / Dot1Q(vlan=8), "": Dot1Q(vlan=400)}
    frames = [at(LINK / tag / IP(src="192.168.1.10", dst="198.51.100.7") / UDP(sport=4000, dport=9999) / Raw(b"x" * size), NOON + size / 100)
              for size, tag in enumerate(tags.values(), 1) for _ in range(3)]
    lines = ["A,CA,192.168.1.0/24,100,,,,,,,,", "B,CB,192.168.1.0/24,200,,,,,,,,", "Q,CQ,192.168.1.10,300,7,,,,,,,", "R,CR,192.168.0.0/16,300,,,,,,,,"]
    assert {key: count for key, count in octets(rows(tmp_path, frames, lines)).items() if key[0] and key[1] == "up"} == {
        (name, "up"): 3 * (28 + size) for size, name in enumerate(tags, 1) if name}


def test_lines_known_by_vlan_or_mac(tmp_path: Path) -> None:
    """A VLAN's line is its local end."""
    def talk(source: str, target: str, sport: int, dport: int, vlan: int) -> Any:
        packet = IP(src=source, dst=target) / UDP(sport=sport, dport=dport) / Raw(b"x")
        return LINK / Dot1Q(vlan=vlan) / packet

    frames = [at(talk("198.51.100.7", "10.9.9.9", 5000, 5001, 100), NOON), at(talk("10.9.9.9", "198.51.100.7", 6000, 6001, 100), NOON),
              at(talk("10.9.9.9", "198.51.100.7", 6000, 6001, 200), NOON)]
    some = rows(tmp_path, frames, ["V,C1,,100,,,,,,,,", "M,C2,,,,02-00-00-00-00-02,,,,,,"], local="10.0.0.0/8")
    # the MAC address of the far router is nearer than a VLAN
    assert sorted((row["client_ip"], row["vlan"], row["client_service_id"], row["server_service_id"]) for row in some) == [
        ("10.9.9.9", 100, "V", "M"), ("10.9.9.9", 200, "", "M"), ("198.51.100.7", 100, "", "M")]


def test_a_service_seen_at_two_probes_is_billed_at_one(tmp_path: Path) -> None:
    frames = [at(LINK / IP(src="10.0.0.1", dst="10.0.1.9") / UDP(sport=4000, dport=53) / Raw(b"a" * 40), NOON)]
    lines = ["S1,C1,10.0.0.0/24,,,,,,,,north,", "S2,C2,10.0.1.9,,,,,,,,south,eth1"]
    flags = {}
    for probe in ("north", "south", ""):
        row, = rows(tmp_path, frames, lines, identity=Identity(probe=probe))
        assert (row["client_service_id"], row["server_service_id"], row["probe"]) == ("S1", "S2", "replay")
        flags[probe] = (row["client_duplicate"], row["server_duplicate"])
    # a pcap does not say which interface it is of
    assert flags == {"north": (False, True), "south": (True, False), "": (True, True)}


def test_without_bindings_nothing_is_stamped(tmp_path: Path) -> None:
    """Local networks alone say which end is ours."""
    wrpcap(str(tmp_path / "made.pcap"), [at(LINK / IP(src="10.0.0.1", dst="198.51.100.7") / UDP() / Raw(b"x"), NOON)])
    columns = {}
    for local in ("", "10.0.0.0/8"):
        kept = Kept()
        run([str(tmp_path / "made.pcap")], sinks=[kept], options=ReplayOptions(local_networks=local))
        columns[local] = set(kept.batches[0].columns)
        row, = kept.rows("flows")
        assert (row["client_local"], row["server_local"]) == (bool(local), False)
    assert columns["10.0.0.0/8"] - columns[""] == {"client_local", "server_local"}
