"""The probe's ways of reading: copies by a mirror, one direction only, VLANs that differ, libpcap, cores."""
from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.live.probe import Run, check
from tests.live.wire import FAR, NEAR, Wire, send

#: Sends UDP packets, each with its copy as behind a router and in a VLAN, a while later; argv: how many, and the interfaces of packet and copy.
MIRROR = """
import socket, sys, time
from tests.hostile.samples import MACS, ip4, udp
count, one, two = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def opened(name):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    out.bind((name, 0))
    return out
first, second = opened(one), opened(two)
for k in range(count):
    packet = ip4(17, udp(20000 + k % 50, 9999, k.to_bytes(4, "big") + bytes(30)), (bytes((10, 1, 0, 1)), bytes((198, 51, 100, 7))))
    routed = bytearray(packet)
    routed[8] -= 1
    routed[10:12] = b"\\x12\\x34"
    first.send(MACS + b"\\x08\\x00" + packet)
    second.send(MACS[::-1] + b"\\x81\\x00\\x00\\x07\\x08\\x00" + bytes(routed))
    if k % 100 == 99:
        time.sleep(0.002)
"""
#: Sends TCP of 50 clients and their server, in VLANs 10 and 20; argv: how many exchanges, and which directions.
TALK = """
import socket, struct, sys, time
from tests.hostile.samples import MACS, ip4
from tests.live.wire import FAR
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.bind((FAR, 0))
ends = bytes((10, 1, 0, 1)), bytes((198, 51, 100, 7))
def tcp(k, back, seq, ack, flags, size):
    ports = (443, 30000 + k) if back else (30000 + k, 443)
    layer = struct.pack(">HHIIBBHHH", *ports, seq, ack, 80, flags, 500, 0, 0) + bytes(size)
    if sys.argv[2] == "both" or back == (sys.argv[2] == "down"):
        out.send(MACS + b"\\x81\\x00" + struct.pack(">HH", 20 if back else 10, 0x0800) + ip4(6, layer, ends[::-1] if back else ends))
for k in range(50):
    tcp(k, False, 99, 0, 2, 0)
    tcp(k, True, 899, 100, 18, 0)
for n in range(int(sys.argv[1])):
    for k in range(50):
        tcp(k, False, 100 + 10 * n, 900 + 20 * n, 16, 10)
        tcp(k, True, 900 + 20 * n, 110 + 10 * n, 16, 20)
    time.sleep(0.002)
"""


def told(cable: Wire, program: str, *arguments: str) -> None:
    """Run a sender at the far end."""
    assert cable.run(cable.far, [sys.executable, "-c", program, *arguments]).wait(60) == 0
    time.sleep(0.3)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_a_mirror_sent_twice_is_in_no_flow(cable: Wire, tmp_path: Path, workers: str) -> None:
    """Whatever the VLAN: the kernel's hash, by which workers share packets, does not know it."""
    probe = Run(cable, tmp_path, "--dedup", "--workers", workers, "--listen", "127.0.0.1:9470")
    told(cable, MIRROR, "2000", FAR, FAR)
    page = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9470/metrics').read().decode())"
    metrics = cable.run(cable.near, [sys.executable, "-c", page], stdout=subprocess.PIPE).communicate(timeout=20)[0].decode()
    assert sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("fullspan_duplicates_total")) == 2000
    seen = probe.end()
    assert seen["packets"] == 2000 == sum(one["duplicates"] for one in probe.workers) and seen["kernel"] == 0
    assert probe.ask("SELECT sum(client_packets), uniqExact(client_port), groupUniqArray(vlan) FROM flows") == [(2000, 50, [0])]
    assert probe.ask("SELECT sum(frames), sum(duplicates) FROM coverage") == [(2000, 2000)]


def test_without_dedup_copies_are_counted(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path)
    told(cable, MIRROR, "300", FAR, FAR)
    assert probe.end()["packets"] == 600 and probe.workers[0]["duplicates"] == 0
    assert probe.ask("SELECT vlan, sum(client_packets) FROM flows GROUP BY vlan ORDER BY vlan") == [(0, 300), (7, 300)]


def test_copies_on_two_interfaces_stay(cable: Wire, tmp_path: Path) -> None:
    """Each interface has flows of its own, and every one of them its packets."""
    subprocess.run(["ip", "-n", cable.near, "link", "add", "near1", "type", "veth", "peer", "name", "far1", "netns", cable.far], check=True)
    for end, name in ((cable.near, "near1"), (cable.far, "far1")):
        subprocess.run(["ip", "-n", end, "link", "set", name, "arp", "off", "up"], check=True)
    probe = Run(cable, tmp_path, "--dedup", "-i", f"{NEAR},near1")
    told(cable, MIRROR, "300", FAR, "far1")
    probe.end()
    assert [(one["interface"], one["packets"], one["duplicates"]) for one in probe.workers] == [(NEAR, 300, 0), ("near1", 300, 0)]
    assert probe.ask("SELECT interface, sum(client_packets) FROM flows GROUP BY interface ORDER BY interface") == [(NEAR, 300), ("near1", 300)]


@pytest.mark.parametrize("way, packets", [("down", 2050), ("up", 2050), ("both", 4100)])
def test_a_direction_that_is_not_mirrored_is_told(cable: Wire, tmp_path: Path, way: str, packets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLSPAN_FLOW_KEY_VLAN", "0")
    probe = Run(cable, tmp_path)
    told(cable, TALK, "40", way)
    probe.process.send_signal(signal.SIGTERM)
    assert probe.process.stderr is not None
    said = probe.process.stderr.read().decode()
    half = way != "both"
    assert ("most TCP is seen in one direction only" in said and "share=1.0" in said) == half
    assert probe.ask("SELECT sum(tcp_packets), sum(one_sided_packets) FROM coverage") == [(packets, packets if half else 0)]
    # a flow over which a minute ended has a row of it too: every row's packets, and the flows by their last
    assert probe.ask("SELECT countIf(final), countIf(final AND has(tags, 'one_sided')), sum(client_packets + server_packets) FROM flows") == [
        (50, 50 if half else 0, packets)]
    assert probe.process.stdout is not None
    worker = json.loads(probe.process.stdout.read())["workers"][0]
    assert (worker["tcp_packets"], worker["one_sided_packets"], worker["one_sided_flows"]) == (packets, packets * half, 50 * half)


def test_directions_in_a_vlan_each_are_two_flows_or_one(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key_vlan, want in (("1", [(10, 50, 550, 0), (20, 50, 0, 550)]), ("0", [(10, 50, 550, 550)])):
        monkeypatch.setenv("FULLSPAN_FLOW_KEY_VLAN", key_vlan)
        folder = tmp_path / key_vlan
        folder.mkdir()
        probe = Run(cable, folder)
        told(cable, TALK, "10", "both")
        probe.end()
        assert probe.ask("SELECT vlan, uniqExact(flow_id), sum(client_packets), sum(server_packets) FROM flows GROUP BY vlan ORDER BY vlan") == want


# ---------------------------------------------------------------- libpcap

@pytest.mark.parametrize("name", [f"pcap:{NEAR}", "any"])
def test_every_frame_through_libpcap(cable: Wire, tmp_path: Path, name: str) -> None:
    """On Ethernet, and in the cooked frames of all interfaces at once."""
    probe = Run(cable, tmp_path, "-i", name, "--dedup")
    sent = send(cable, 20_000, 500, each=200)
    seen = probe.end()
    assert seen["packets"] + seen["kernel"] + sum(one["duplicates"] for one in probe.workers) == sent == 20_000 and seen["kernel"] == 0
    assert probe.ask("SELECT sum(client_packets), uniqExact(client_port), any(interface) FROM flows") == [(seen["packets"], 500, name.removeprefix("pcap:"))]


def test_libpcap_filters_and_puts_tags_back(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "-i", f"pcap:{NEAR}", "--filter", "vlan 7 and udp src port 20003", "--workers", "2")
    told(cable, MIRROR, "500", FAR, FAR)
    assert probe.end()["packets"] == 10 and len(probe.workers) == 1
    assert probe.ask("SELECT vlan, uniqExact(client_port), sum(client_packets) FROM flows GROUP BY vlan") == [(7, 1, 10)]
    # it has one worker whatever was asked for, and that one has told all
    assert json.loads((tmp_path / "store.spool" / "covered.json").read_text())[NEAR] > 1e6 * (time.time() - 60)


def test_a_filter_that_only_libpcap_knows_does_not_keep_rules_from_being_read(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "-i", f"pcap:{NEAR}", "--filter", "inbound", store=False)
    probe.process.send_signal(signal.SIGHUP)
    assert probe.process.stderr is not None and b"msg=reloaded" in probe.process.stderr.readline()
    probe.end()


def test_what_libpcap_drops_is_counted_to_the_packet(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "-i", f"pcap:{NEAR}", "--ring-mb", "2", store=False)
    probe.process.send_signal(signal.SIGSTOP)
    sent = send(cable, 40_000, 100, each=500)
    probe.process.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    assert probe.process.stderr is not None and b"under pressure" in probe.process.stderr.readline()
    seen = probe.end()
    assert seen["packets"] + seen["kernel"] == sent and 1000 < seen["packets"] < sent


def test_an_interface_that_goes_down_is_read_again_through_libpcap(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "-i", f"pcap:{NEAR}", store=False)
    send(cable, 1000, 10, each=100)
    for state in ("down", "up"):
        before = Path(f"/proc/{probe.process.pid}/stat").read_text().split()
        subprocess.run(["ip", "-n", cable.near, "link", "set", NEAR, state], check=True)
        time.sleep(2)
        after = Path(f"/proc/{probe.process.pid}/stat").read_text().split()
        assert sum(map(int, after[13:15])) - sum(map(int, before[13:15])) < 40
    send(cable, 1000, 10, each=100)
    assert probe.end()["packets"] == 2000


#: A kernel that knows no TPACKET_V3, or interfaces of a kind that has no ring: the probe with one number changed, which the real kernel refuses.
WITHOUT = {"version": "import dpi.capture.packet_socket as p; p.TPACKET_V3 = 9", "kind": "import dpi.capture.packet_socket as p; del p.LINKS[1]"}


@pytest.mark.parametrize("what", list(WITHOUT))
def test_without_a_ring_libpcap_reads_and_says_so(cable: Wire, tmp_path: Path, what: str) -> None:
    program = f"{WITHOUT[what]}; from dpi.cli.main import main; main()"
    asked = [sys.executable, "-c", program, "probe", "-i", NEAR, "--store", "none", "--listen", "", "--json", "--seconds", "3"]
    probe = cable.run(cable.near, asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    assert probe.stderr is not None
    said = b""
    while b"msg=reading" not in said:
        line = probe.stderr.readline()
        assert line, said
        said += line
    send(cable, 1000, 10, each=100)
    out, _ = probe.communicate(timeout=60)
    assert b"read through libpcap" in said and json.loads(out)["workers"][0]["packets"] == 1000


@pytest.mark.parametrize("options, said", [(["-i", "pcap:nowhere0"], "nowhere0: there is no such interface"),
                                           (["-i", f"pcap:{NEAR}", "--filter", "udp and"], "syntax error"),
                                           (["-i", NEAR, "--cores", "0-999"], "is not there"), (["-i", NEAR, "--cores", "x"], "names no processors")])
def test_what_is_wrong_is_one_line(cable: Wire, tmp_path: Path, options: list[str], said: str) -> None:
    done, complaint = check(cable, tmp_path, *options)
    assert done.returncode == 2 and said in complaint.decode() and complaint.decode().count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_without_permission_libpcap_says_what_is_needed(cable: Wire, tmp_path: Path) -> None:
    done, complaint = check(cable, tmp_path, "-i", f"pcap:{NEAR}", before=("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"))
    assert done.returncode == 2 and "CAP_NET_RAW" in complaint.decode() and complaint.decode().count("\n") == 1


def test_workers_keep_to_their_cores(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "--workers", "2", "--cores", "1,0", store=False)
    send(cable, 100, 10)            # threads have begun by then
    kept = [line.split()[1] for task in Path(f"/proc/{probe.process.pid}/task").iterdir() for line in (task / "status").read_text().splitlines()
            if line.startswith("Cpus_allowed_list")]
    assert sorted(one for one in kept if one in ("0", "1")) == ["0", "1"] and len(kept) > 2
    probe.end()
