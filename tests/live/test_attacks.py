"""The place of the attacks, what each attack says of itself, and what is made of alerts."""
from __future__ import annotations

import inspect
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import dpkt
import pytest

from benchmarks.attacks import callers, families, responders
from benchmarks.attacks.attack import attacks
from benchmarks.attacks.judge import judged
from benchmarks.attacks.place import ADDRESSES, ATTACKER, ATTACKER6, BINDINGS, VICTIM, VICTIM6, Place
from dpi.detection import detectors_of
from dpi.security.registry import every
from dpi.settings import load

SAID = {"name": "one", "kinds": ["port_scan"], "source": ATTACKER, "target": VICTIM, "customer": "c-1001", "limit": 60, "start": 1_795_949_940.0}
ALERT = {"kind": "port_scan", "source": ATTACKER, "target": VICTIM, "customer_id": "c-1001", "first_time": 1_795_949_945_000_000}


def test_both_families_are_on_the_wire_and_nothing_stays(tmp_path: Path) -> None:
    with Place() as place:
        folder = place.folder
        place.record("wire", tmp_path / "wire.pcap")
        for target in (VICTIM, VICTIM6):
            place.run("attacker", place.script("callers", "questions", target, "example.com", 50, 500))
        place.captured()
        assert place.prefix in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert place.prefix not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout and not folder.exists()
    asked = {(ATTACKER, VICTIM): 0, (ATTACKER6, VICTIM6): 0}
    with (tmp_path / "wire.pcap").open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            packet = dpkt.ethernet.Ethernet(frame).data
            if isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6) and isinstance(packet.data, dpkt.udp.UDP) and packet.data.dport == 53:
                family = socket.AF_INET if len(packet.src) == 4 else socket.AF_INET6
                asked[socket.inet_ntop(family, packet.src), socket.inet_ntop(family, packet.dst)] += 1
    assert set(asked.values()) == {50}


@pytest.mark.parametrize("one", attacks(), ids=lambda one: one.name)
def test_an_attack_says_what_is_to_be_told(one: Any) -> None:
    known = {address.split("/")[0] for _, _, addresses, _ in ADDRESSES for address in addresses}
    assert one.kinds and set(one.kinds) <= {each.kind for each in every()} and one.limit > 0 and one.tool and one.link in ("wire", "lan")
    assert {one.source, one.target} - {""} <= known and (not one.customer or one.customer in BINDINGS)


@pytest.mark.parametrize("one", [one for one in attacks() if one.settings], ids=lambda one: one.name)
def test_the_settings_of_a_scene_are_settings(one: Any, tmp_path: Path) -> None:
    file = tmp_path / "fullspan.toml"
    file.write_text(one.settings)
    loaded = load(file, {})
    assert detectors_of(loaded)[0] and loaded != load(None, {})


def test_scripts_that_attacks_start_are_there() -> None:
    """A name mistyped would be found only when the attack runs."""
    text = "\n".join(file.read_text() for file in [*Path(families.__path__[0]).glob("*.py"), Path(families.__path__[0]).parent / "servers.py"])
    started = re.findall(r'script\("(\w+)", "(\w+)"', text)
    assert {module for module, _ in started} == {"callers", "responders"}
    for module, function in started:
        assert inspect.isfunction(getattr({"callers": callers, "responders": responders}[module], function))


@pytest.mark.parametrize(("alerts", "right", "other", "wrong"), [
    ([], 0, 0, []),
    ([ALERT], 1, 0, []),
    ([ALERT, {**ALERT, "kind": "syn_flood"}], 1, 1, []),
    ([ALERT, {**ALERT, "first_time": 1_795_949_946_000_000}], 2, 0, ["2 alerts port_scan"]),
    ([{**ALERT, "first_time": 1_795_950_001_000_000}], 1, 0, ["later than 60 s"]),
    ([{**ALERT, "first_time": "2026-11-29T10:59:05.000000Z", "target": "192.0.2.11", "customer_id": ""}], 1, 0, ["target 192.0.2.11", "customer none"]),
])
def test_alerts_are_held_against_what_was_to_be_told(alerts: list[dict[str, Any]], right: int, other: int, wrong: list[str]) -> None:
    verdict = judged(SAID, alerts)
    assert (len(verdict.right), len(verdict.other), verdict.wrong) == (right, other, wrong)
