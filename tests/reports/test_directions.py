"""A replay of captures whose directions are not as they should be: one is lacking, each has a VLAN of its own, packets came twice."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.utils import wrpcap

from dpi.cli.main import run
from dpi.outcome import Outcome
from dpi.replaying import ReplayOptions
from dpi.replaying import run as replay
from dpi.store import Store, open_store

UP, DOWN = IP(src="10.0.0.1", dst="198.51.100.7", ttl=64), IP(src="198.51.100.7", dst="10.0.0.1", ttl=60)
CONVERSATIONS, ANSWERS = 30, 10


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"chdb://{tmp_path}/store")
    yield opened
    opened.close()


def replayed(store: Store, names: list[str], dedup: bool = False) -> Outcome:
    outcome = replay(names, sinks=[store], options=ReplayOptions(dedup=dedup))
    store.flush()
    return outcome


def packets() -> list[tuple[bool, Any]]:
    """(from the server, packet) of HTTP-like conversations."""
    made: list[tuple[bool, Any]] = []
    for k in range(CONVERSATIONS):
        ports, back = {"sport": 40000 + k, "dport": 8443}, {"sport": 8443, "dport": 40000 + k}
        made += [(False, UP / TCP(**ports, flags="S", seq=99)), (True, DOWN / TCP(**back, flags="SA", seq=899, ack=100)),
                 (False, UP / TCP(**ports, flags="A", seq=100, ack=900))]
        for n in range(ANSWERS):
            made += [(False, UP / TCP(**ports, flags="PA", seq=100 + 10 * n, ack=900 + 500 * n) / bytes(10)),
                     (True, DOWN / TCP(**back, flags="PA", seq=900 + 500 * n, ack=110 + 10 * n) / bytes(500))]
    for number, (_, packet) in enumerate(made, 1):
        packet.id = number          # as systems number them: what is really sent again has another
    return made


def capture(path: Path, *, up: bool = True, down: bool = True, vlans: tuple[int, int] = (0, 0), twice: bool = False) -> Path:
    """Packets a second apart by hundreds, over two minutes."""
    written = []
    for number, (back, packet) in enumerate(packets()):
        if not (down if back else up):
            continue
        macs = {"src": "02:00:00:00:00:02", "dst": "02:00:00:00:00:01"} if back else {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
        inner = Dot1Q(vlan=vlans[back]) / packet if vlans[back] else packet
        frame = Ether(**macs) / inner
        frame.time = 1_700_000_000 + number // 8
        written.append(frame)
        if twice:
            copy = packet.copy()
            copy.ttl -= 1
            frame = Ether(src="02:00:00:00:00:09", dst="02:00:00:00:00:08") / Dot1Q(vlan=9) / copy
            frame.time = 1_700_000_000 + number // 8 + 0.001
            written.append(frame)
    wrpcap(str(path), written)
    return path


TOTAL = CONVERSATIONS * (3 + 2 * ANSWERS)
FLOWS = "SELECT count(), countIf(has(tags, 'one_sided')), uniqExact(flow_id), sum(client_packets), sum(server_packets) FROM flows"
COVERED = "SELECT sum(frames), sum(duplicates), sum(tcp_packets), sum(one_sided_packets) FROM coverage"


def test_both_directions(store: Store, tmp_path: Path) -> None:
    outcome = replayed(store, [str(capture(tmp_path / "a.pcap"))])
    assert store.query(COVERED).rows == [(TOTAL, 0, TOTAL, 0)] and outcome.counters["duplicates"] == 0
    rows, marked, flows, up, down = store.query(FLOWS).rows[0]
    assert marked == 0 and flows == CONVERSATIONS <= rows and up + down == TOTAL


def test_one_direction(store: Store, tmp_path: Path) -> None:
    """Of several captures each has its own counts."""
    names = [str(capture(tmp_path / f"{name}.pcap", up=up, down=not up)) for name, up in (("up", True), ("down", False))]
    replayed(store, [*names, str(capture(tmp_path / "whole.pcap"))])
    up, down = CONVERSATIONS * (2 + ANSWERS), CONVERSATIONS * (1 + ANSWERS)
    assert store.query(COVERED.replace("SELECT", "SELECT source,") + " GROUP BY source ORDER BY source").rows == [
        ("down.pcap", down, 0, down, down), ("up.pcap", up, 0, up, up), ("whole.pcap", TOTAL, 0, TOTAL, 0)]
    assert store.query("SELECT uniqExact(flow_id) FROM flows WHERE has(tags, 'one_sided') AND final").rows == [(2 * CONVERSATIONS,)]


def test_copies_are_counted_and_in_no_flow(store: Store, tmp_path: Path) -> None:
    replayed(store, [str(capture(tmp_path / "a.pcap", twice=True))], dedup=True)
    assert store.query(COVERED).rows == [(TOTAL, TOTAL, TOTAL, 0)]
    assert store.query(FLOWS).rows[0][2:] == (CONVERSATIONS, CONVERSATIONS * (2 + ANSWERS), CONVERSATIONS * (1 + ANSWERS))


@pytest.mark.parametrize("key_vlan, flows, marked", [("1", 2 * CONVERSATIONS, True), ("0", CONVERSATIONS, False)])
def test_a_vlan_for_each_direction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key_vlan: str, flows: int,
                                   marked: bool) -> None:
    """As a person meets it: the summary says what is wrong and what would mend it, and the setting does."""
    path = capture(tmp_path / "a.pcap", vlans=(10, 20))
    (tmp_path / "fullspan.toml").write_text(f"[flow]\nkey_vlan = {key_vlan}\n")
    monkeypatch.setenv("FULLSPAN_CONFIG", str(tmp_path / "fullspan.toml"))
    assert run(["replay", str(path), "--store", "none"]) == 0
    said = capsys.readouterr().out
    assert ("100.0 % of TCP is seen in one direction only" in said and "key_vlan = 0 in [flow]" in said) == marked
    assert f"{flows} " in next(line for line in said.splitlines() if line.lstrip().startswith("Flows"))
