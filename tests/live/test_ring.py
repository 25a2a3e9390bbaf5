"""The packet ring of a probe on a real interface: what was sent is cut out of it by flow, without content but where a case opens it, whatever the disk does."""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpi.capture.segments import listed
from tests.live.probe import Run, check
from tests.live.wire import FAR, NEAR, Wire, send

SECRET = b"content-of-a-person"
#: Sends COUNT datagrams with SECRET from 10.1.0.LAST, and as many inside of a VLAN.
TALKER = f"""
import socket, sys
from tests.hostile.samples import MACS, ether, ip4, udp
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.bind(({FAR!r}, 0))
count, last = map(int, sys.argv[1:])
inside = ip4(17, udp(4000, 9999, {SECRET!r}), (bytes((10, 1, 0, last)), bytes((198, 51, 100, 7))))
for _ in range(count):
    out.send(ether(0x0800, inside))
    out.send(MACS + b"\\x81\\x00\\x00\\x05\\x08\\x00" + inside)
"""


@pytest.fixture(autouse=True)
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the ring of this test is."""
    for name, value in (("RING_DIRECTORY", tmp_path / "ring"), ("FLUSH_SECONDS", 1)):
        monkeypatch.setenv(f"FULLSPAN_PROBE_{name}", str(value))
    return tmp_path / "ring"


def talk(wire: Wire, count: int, last: int) -> None:
    assert wire.run(wire.far, [sys.executable, "-c", TALKER, str(count), str(last)]).wait(30) == 0


def flow(folder: Path, number: Any, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dpi.cli.main", "flow", str(number), "--store", f"chdb://{folder}/store", *options],
                          capture_output=True, text=True, timeout=120, cwd=folder)


def shown(capture: Path, *fields: str) -> list[list[str]]:
    """Fields of its packets, by tshark."""
    names = [part for name in fields for part in ("-e", name)]
    done = subprocess.run(["tshark", "-n", "-r", str(capture), "-T", "fields", *names], capture_output=True, text=True, check=True, timeout=60)
    return [line.split("\t") for line in done.stdout.splitlines()]


def on_disk(ring: Path) -> bytes:
    return b"".join((ring / one.name).read_bytes() for one in listed(ring))


def test_a_live_flow_is_cut_from_the_ring_and_has_no_content(cable: Wire, tmp_path: Path, ring: Path) -> None:
    probe = Run(cable, tmp_path, "--workers", "2")
    send(cable, 3000, 30, each=100)
    talk(cable, 20, 77)
    time.sleep(0.3)
    assert {one.interface for one in listed(ring)} == {NEAR} and {one.worker for one in listed(ring)} <= {0, 1}
    seen = probe.end()
    assert seen["packets"] == 3040 == sum(one["kept"] for one in probe.workers) and not sum(one["unkept"] + one["opened"] for one in probe.workers)
    assert all((ring / one.name).stat().st_mode & 0o777 == 0o600 for one in listed(ring)) and ring.stat().st_mode & 0o777 == 0o700
    number, = next(iter(probe.ask("SELECT flow_id FROM flows WHERE client_port = 20007 AND final")))
    done = flow(tmp_path, number, "--pcap", "out.pcap")
    assert done.returncode == 0, done.stderr
    assert "ring: 100 of 100; all without content" in done.stdout and "written: out.pcap" in done.stdout
    packets = shown(tmp_path / "out.pcap", "udp.srcport", "frame.len", "frame.cap_len", "frame.time_epoch")
    assert [one[:3] for one in packets] == [["20007", "60", "42"]] * 100
    times = [float(one[3]) for one in packets]
    assert times == sorted(times) and time.time() - 60 < times[0] < times[-1] < time.time()
    # in the VLAN and outside of it are two flows; headers of all packets are there, content of none
    (plain,), (tagged,) = probe.ask("SELECT flow_id FROM flows WHERE client_port = 4000 AND final ORDER BY vlan")
    assert plain != tagged
    content = on_disk(ring)
    assert SECRET not in content and content.count(bytes((10, 1, 0, 77, 198, 51, 100, 7))) == 40
    told = json.loads(flow(tmp_path, plain, "--json", "--packets", "3").stdout)
    assert len(told["packets"]) == 3 and "without content" in told["capture"]
    assert "Dst: 198.51.100.7" in flow(tmp_path, plain, "--packets", "1").stdout


def test_a_flow_is_cut_while_the_probe_goes_on(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLSPAN_FLOW_IDLE_UDP", "1")
    probe = Run(cable, tmp_path)
    send(cable, 2000, 10, each=100)
    time.sleep(8)
    program = [sys.executable, "-m", "dpi.cli.main"]
    store = ["--store", f"chdb://{tmp_path}/store"]

    def said(*command: str) -> str:
        return cable.run(cable.near, [*program, *command, *store], stdout=subprocess.PIPE, cwd=tmp_path).communicate(timeout=60)[0].decode()

    number = said("query", "SELECT flow_id FROM flows WHERE client_port = 20003").split()[-1]
    assert "ring: 200 of 200; all without content" in said("flow", number, "--pcap", "out.pcap")
    assert len(shown(tmp_path / "out.pcap", "frame.number")) == 200
    assert probe.end()["packets"] == 2000


def test_a_ring_that_is_not_named_or_has_nothing_is_one_line(cable: Wire, tmp_path: Path, ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Run(cable, tmp_path)
    send(cable, 100, 10)
    probe.end()
    number, = next(iter(probe.ask("SELECT flow_id FROM flows")))
    for one in listed(ring):
        (ring / one.name).unlink()
    done = flow(tmp_path, number)
    assert done.returncode == 1 and "none of its 10 packets is in the ring any more" in done.stdout
    monkeypatch.delenv("FULLSPAN_PROBE_RING_DIRECTORY")
    done = flow(tmp_path, number, "--pcap", "out.pcap")
    assert done.returncode == 1 and "no packet ring is named" in done.stdout and not (tmp_path / "out.pcap").exists()
    done = flow(tmp_path, number, "--ring", str(tmp_path / "nowhere"))
    assert done.returncode == 2 and "the packet ring can't be read" in done.stderr and done.stderr.count("\n") == 1


def case(number: str, seconds: float, **also: str) -> str:
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    words = "".join(f'{name} = "{value}"\n' for name, value in also.items())
    return f'[[case]]\nnumber = "{number}"\nreason = "a test"\napproved_by = ["Li Na", "Wang Wei"]\naddresses = ["10.1.0.77"]\nuntil = {until}\n{words}'


def test_a_case_opens_content_for_its_addresses_and_ends(cable: Wire, tmp_path: Path, ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cases.toml"
    monkeypatch.setenv("FULLSPAN_PROBE_CASE_FILE", str(file))
    probe = Run(cable, tmp_path)
    assert probe.process.stderr is not None

    def hang_up(words: str) -> str:
        probe.process.send_signal(signal.SIGHUP)
        said = ""
        while words not in said:
            said = probe.process.stderr.readline().decode()     # type: ignore[union-attr]
            assert said
        return said

    def opened() -> int:
        time.sleep(0.5)
        return on_disk(ring).count(SECRET)

    talk(cable, 10, 77)
    file.write_text(case("2026-1", 6))
    file.chmod(0o600)
    assert 'case=2026-1 reason="a test" approved_by="Li Na, Wang Wei"' in hang_up("content is opened")
    time.sleep(0.3)
    assert opened() == 0
    talk(cable, 10, 77)
    talk(cable, 10, 78)
    assert opened() == 20       # also those in the VLAN, none of another address, none from before
    file.write_text('[[case]]\nnumber = "2"\n')
    assert "case 2" in hang_up("not reloaded")
    talk(cable, 5, 77)
    assert opened() == 30
    said = ""
    while "content is closed" not in said:
        said = probe.process.stderr.readline().decode()
        assert said
    assert "packets=30" in said and "its time is over" in said
    talk(cable, 10, 77)
    assert opened() == 30
    file.write_text(case("2026-2", 600, filter="udp port 9998"))
    hang_up("content is opened")
    time.sleep(0.3)
    talk(cable, 10, 77)
    assert opened() == 30
    file.unlink()
    assert "taken out" in hang_up("content is closed")
    assert probe.end()["packets"] == 110 and probe.workers[0]["opened"] == 30 and probe.workers[0]["kept"] == 110
    events = [json.loads(line) for line in (ring / "openings.jsonl").read_text().splitlines()]
    assert [(one["event"], one["case"]) for one in events] == [("opened", "2026-1"), ("closed", "2026-1"), ("opened", "2026-2"), ("closed", "2026-2")]
    numbers = [number for number, in probe.ask("SELECT flow_id FROM flows WHERE client_port = 4000 AND final AND vlan = 0 ORDER BY client_packets")]
    assert "ring: 45 of 45; 30 without content" in flow(tmp_path, numbers[-1], "--pcap", "out.pcap").stdout
    assert [len(one[0]) > 0 for one in shown(tmp_path / "out.pcap", "data.data")].count(True) == 15


def test_the_budget_holds_and_the_oldest_go(cable: Wire, tmp_path: Path, ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLSPAN_PROBE_RING_DISK_MB", "16")
    probe = Run(cable, tmp_path)
    first = send(cable, 1000, 10, each=100)
    time.sleep(0.3)
    largest = 0
    for _ in range(6):
        send(cable, 60_000, 100, each=500)
        largest = max(largest, sum(one.size for one in listed(ring)))
    seen = probe.end()
    assert seen["packets"] == 360_000 + first == probe.workers[0]["kept"] and 12 << 20 < largest <= 16 << 20
    kept = sum(one.size for one in listed(ring))
    assert 12 << 20 < kept <= 16 << 20 and on_disk(ring).count(bytes((198, 51, 100, 7))) < 300_000
    number, = next(iter(probe.ask("SELECT flow_id FROM flows WHERE client_port = 20007 ORDER BY interval LIMIT 1")))
    said = flow(tmp_path, number, "--pcap", "out.pcap").stdout
    assert re.search(r"ring: \d+ of 3700, the others have left the ring; all without content", said), said


@pytest.fixture
def small_disk(tmp_path: Path, ring: Path) -> Iterator[Path]:
    """The ring's directory is a disk of 8 MB."""
    ring.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(ring)], check=True)
    try:
        yield ring
    finally:
        subprocess.run(["umount", "-l", str(ring)], check=True)


def test_a_full_disk_is_counted_and_survived(cable: Wire, tmp_path: Path, small_disk: Path) -> None:
    filler = small_disk / "somebody elses"
    filler.write_bytes(bytes(7 << 20))
    probe = Run(cable, tmp_path, "--listen", "127.0.0.1:9470")
    assert probe.process.stderr is not None
    sent = send(cable, 40_000, 100, each=500)
    time.sleep(0.5)
    assert b"packets are not kept" in probe.process.stderr.readline()
    program = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9470/metrics').read().decode())"
    page = cable.run(cable.near, [sys.executable, "-c", program], stdout=subprocess.PIPE).communicate(timeout=20)[0].decode()
    lost, kept = (int(float(re.search(rf"fullspan_ring_{name}_total{{.*}} (\S+)", page).group(1))) for name in ("lost", "packets"))      # type: ignore[union-attr]
    assert lost > 20_000 and kept + lost == sent
    filler.unlink()
    sent += send(cable, 1000, 100, each=100)
    time.sleep(0.3)
    assert b"packets are kept again" in probe.process.stderr.readline()
    seen = probe.end()
    worker = probe.workers[0]
    assert seen["packets"] == sent == worker["kept"] + worker["unkept"] and seen["kernel"] == 0 and worker["unkept"] == lost
    for one in listed(small_disk):
        subprocess.run(["tshark", "-n", "-r", str(small_disk / one.name), "-c", "1"], check=True, capture_output=True)
    assert probe.ask("SELECT sum(client_packets) FROM flows") == [(sent,)]


def test_a_disk_smaller_than_the_budget_keeps_the_newest(cable: Wire, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLSPAN_PROBE_RING_DISK_MB", "16")
    probe = Run(cable, tmp_path, store=False)
    for _ in range(4):
        send(cable, 60_000, 100, each=500)
    assert probe.end()["packets"] == probe.workers[0]["kept"] == 240_000
    left = sum(one.size for one in listed(small_disk))
    assert 5 << 20 < left <= 8 << 20 and listed(small_disk)[-1].last > time.time_ns() // 1000 - 20_000_000


def test_what_a_killed_probe_left_is_read(cable: Wire, tmp_path: Path, ring: Path) -> None:
    probe = Run(cable, tmp_path)
    send(cable, 500, 10, each=100)
    time.sleep(0.5)
    probe.process.kill()
    probe.process.communicate()
    left, = listed(ring)
    with (ring / left.name).open("ab") as file:        # as if it had been writing
        file.write(b"\x01" * 9)
    again = Run(cable, tmp_path, store=False)
    send(cable, 100, 10, each=100)
    again.end()
    counts = sorted(sum(1 for _ in done.stdout.splitlines()) for one in listed(ring)
                    for done in [subprocess.run(["tshark", "-n", "-r", str(ring / one.name)], capture_output=True, check=False)])
    assert counts == [100, 500]


def test_what_is_wrong_with_it_is_one_line(cable: Wire, tmp_path: Path, ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring.mkdir(mode=0o755)
    os.chmod(ring, 0o755)
    done, complaint = check(cable, tmp_path, "-i", NEAR)
    assert done.returncode == 2 and b"others may look into the directory of packets (chmod 700" in complaint and complaint.count(b"\n") == 1
    shutil.rmtree(ring)
    file = tmp_path / "cases.toml"
    file.write_text(case("1", 86400 * 90))
    file.chmod(0o600)
    monkeypatch.setenv("FULLSPAN_PROBE_CASE_FILE", str(file))
    done, complaint = check(cable, tmp_path, "-i", NEAR)
    assert done.returncode == 2 and b"more than 31 days away" in complaint and complaint.count(b"\n") == 1
