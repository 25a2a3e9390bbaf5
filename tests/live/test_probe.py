"""The probe on a real interface: every frame that was sent is in a row, refused or counted as lost."""
from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dpi.store.directory import held
from tests.live.probe import Run, check
from tests.live.wire import FAR, NEAR, Wire, send

ARP_AND_VLAN = """
import socket, struct, sys
from tests.hostile.samples import MACS, ip4, udp
from tests.live.wire import FAR
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.bind((FAR, 0))
plain = ip4(17, udp(4000, 9999, bytes(40)), (bytes((10, 1, 0, 1)), bytes((10, 1, 0, 2))))
for kind in (b"\\x81\\x00", b"\\x88\\xa8"):
    out.send(MACS + kind + b"\\x60\\x05" + b"\\x08\\x00" + plain)
out.send(MACS + b"\\x81\\x00\\x00\\x07" + b"\\x81\\x00\\x00\\x09" + b"\\x08\\x00" + plain)
out.send(MACS + b"\\x08\\x06" + bytes(46))
"""


def test_every_frame_is_in_a_row(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path)
    sent = send(cable, 40_000, 500, each=200)
    seen = probe.end()
    assert seen["packets"] + seen["kernel"] == sent == 40_000 and seen["kernel"] == 0
    sums = "sum(client_packets + server_packets), sum(client_wire_bytes), uniqExact(flow_id), uniqExact(client_port), countIf(final)"
    assert probe.ask(f"SELECT {sums}, any(probe), any(source) FROM flows") == [(40_000, 40_000 * 60, 500, 500, 500, "box", NEAR)]
    assert probe.ask("SELECT sum(frames), sum(wire_bytes), sum(dropped_kernel) FROM coverage") == [(40_000, 40_000 * 60, 0)]


def test_workers_share_the_packets_and_lose_none(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "--workers", "3")
    send(cable, 30_000, 300, each=200)
    seen = probe.end()
    assert seen["packets"] + seen["kernel"] == 30_000 and sum(one["packets"] > 0 for one in probe.workers) >= 2
    assert probe.ask("SELECT sum(client_packets), uniqExact(flow_id), uniqExact(client_port) FROM flows") == [(seen["packets"], 300, 300)]


def test_overload_is_counted_to_the_packet(cable: Wire, tmp_path: Path) -> None:
    """The probe stands still while more comes than the ring holds."""
    probe = Run(cable, tmp_path, "--ring-mb", "2", store=False)
    probe.process.send_signal(signal.SIGSTOP)
    sent = send(cable, 40_000, 100, each=500)
    probe.process.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    assert probe.process.stderr is not None
    said = probe.process.stderr.readline() + probe.process.stderr.readline()
    assert b"under pressure" in said and b"rows of dns, tls, http and files, naming by first bytes" in said and b"all is done again" in said
    seen = probe.end()
    assert seen["packets"] + seen["kernel"] == sent and 1000 < seen["packets"] < sent and probe.workers[0]["level"] == 0


def test_vlan_tags_are_put_back(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path)
    cable.run(cable.far, [sys.executable, "-c", ARP_AND_VLAN]).wait(30)
    time.sleep(0.3)
    seen = probe.end(signal.SIGINT)
    assert seen["packets"] == 4 and seen["refused"] == {"not_ip": 1}
    assert probe.ask("SELECT vlan, inner_vlan, client_packets, client_wire_bytes FROM flows ORDER BY vlan, inner_vlan") == [(5, 0, 2, 2 * 86), (7, 9, 1, 90)]


def test_the_kernel_filters(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "--filter", "udp src port 20003")
    send(cable, 5000, 10, each=200)
    assert probe.end()["packets"] == 500
    assert probe.ask("SELECT uniqExact(client_port), sum(client_packets) FROM flows") == [(1, 500)]


@pytest.mark.parametrize("options, said", [(["-i", "nowhere0"], "nowhere0: there is no such interface"), ([], "no interface is named"),
                                           (["-i", NEAR, "--filter", "udp and"], "syntax error")])
def test_what_is_wrong_is_one_line(cable: Wire, tmp_path: Path, options: list[str], said: str) -> None:
    done, complaint = check(cable, tmp_path, *options)
    assert done.returncode == 2 and said in complaint.decode() and complaint.decode().count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_nothing_is_made_for_an_interface_that_is_not_there(cable: Wire, tmp_path: Path) -> None:
    done = cable.run(cable.near, [sys.executable, "-m", "dpi.cli.main", "probe", "-i", "nowhere0"], stderr=subprocess.PIPE, cwd=tmp_path)
    assert b"there is no such interface" in done.communicate(timeout=60)[1] and done.returncode == 2 and not list(tmp_path.iterdir())


def test_without_permission_it_says_what_is_needed(cable: Wire, tmp_path: Path) -> None:
    done, complaint = check(cable, tmp_path, "-i", NEAR, before=("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"))
    assert done.returncode == 2 and "CAP_NET_RAW" in complaint.decode()


def test_check_says_that_it_could_start(cable: Wire, tmp_path: Path) -> None:
    done = cable.run(cable.near, [sys.executable, "-m", "dpi.cli.main", "probe", "--check", "-i", NEAR], stdout=subprocess.PIPE, cwd=tmp_path)
    assert done.communicate(timeout=60)[0] == f"ready: {NEAR}\n".encode() and done.returncode == 0 and FAR != NEAR


def test_an_interface_that_goes_down_costs_no_processor_and_comes_back(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "--listen", "127.0.0.1:9470")
    program = "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9470); c.request('GET', '/readyz'); print(c.getresponse().status)"
    send(cable, 1000, 10, each=100)
    for state in ("down", "up"):
        before = Path(f"/proc/{probe.process.pid}/stat").read_text().split()
        subprocess.run(["ip", "-n", cable.near, "link", "set", NEAR, state], check=True)
        time.sleep(1)
        after = Path(f"/proc/{probe.process.pid}/stat").read_text().split()
        assert sum(map(int, after[13:15])) - sum(map(int, before[13:15])) < 40         # hundredths of a second
        if state == "down":
            assert cable.run(cable.near, [sys.executable, "-c", program], stdout=subprocess.PIPE).communicate(timeout=20)[0] == b"503\n"
    send(cable, 1000, 10, each=100)
    assert probe.end()["packets"] == 2000


def test_rules_are_read_anew_without_a_gap(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "own.toml").write_text('[[application]]\nname = "Tens"\ncategory = "business"\nports = ["udp/10"]\n')
    monkeypatch.setenv("FULLSPAN_RULES_DIRECTORY", str(rules))
    probe = Run(cable, tmp_path)
    assert probe.process.stderr is not None

    def hang_up() -> str:
        probe.process.send_signal(signal.SIGHUP)
        assert probe.process.stderr is not None
        return probe.process.stderr.readline().decode()

    send(cable, 1000, 10, each=100)
    (rules / "own.toml").write_text("[[application]]\nname = 3\n")
    assert 'msg="not reloaded"' in hang_up()
    (rules / "own.toml").write_text('[[application]]\nname = "Nines"\ncategory = "business"\nports = ["udp/9999"]\n')
    assert "msg=reloaded" in hang_up()
    time.sleep(0.5)
    send(cable, 1000, 20, each=100)
    assert probe.end()["packets"] == 2000
    assert probe.ask("SELECT sum(client_packets) FROM flows") == [(2000,)]
    assert probe.ask("SELECT any(application), uniqExact(flow_id) FROM flows WHERE client_port >= 20010") == [("Nines", 10)]


def test_it_says_how_it_is_to_prometheus_and_to_systemd(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        probe = Run(cable, tmp_path, "--listen", "127.0.0.1:9470")
        assert b"READY=1" in systemd.recv(4096)
        send(cable, 3000, 10, each=100)
        time.sleep(0.3)

        def page(name: str) -> str:
            program = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:9470/{name}').read().decode())"
            return cable.run(cable.near, [sys.executable, "-c", program], stdout=subprocess.PIPE).communicate(timeout=20)[0].decode()

        metrics = page("metrics")
        assert f'fullspan_packets_total{{interface="{NEAR}",worker="0"}} 3000.0' in metrics and "fullspan_lost_total" in metrics
        assert page("healthz").strip() and page("readyz").strip() == page("healthz").strip()
        probe.process.send_signal(signal.SIGHUP)
        said = b""
        while b"RELOADING=1" not in said:
            said += systemd.recv(4096)
        assert b"MONOTONIC_USEC=" in said
        while b"READY=1" not in said:
            said += systemd.recv(4096)
        probe.end()
        while b"STOPPING=1" not in said:
            said += systemd.recv(4096)


def test_the_store_answers_while_it_is_written(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLSPAN_FLOW_IDLE_UDP", "1")
    monkeypatch.setenv("FULLSPAN_PROBE_FLUSH_SECONDS", "1")
    probe = Run(cable, tmp_path)
    send(cable, 2000, 10, each=100)
    time.sleep(8)                   # flows are silent for a second, the clock of an idle interface follows, rows leave, and are given to the store
    assert probe.ask_beside(cable, "SELECT sum(client_packets) AS seen, any(probe) FROM flows") == ["2000", "box"]
    assert probe.end()["packets"] == 2000


def test_a_killed_probe_loses_only_what_was_in_memory_and_doubles_nothing(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLSPAN_FLOW_IDLE_UDP", "1")
    monkeypatch.setenv("FULLSPAN_PROBE_FLUSH_SECONDS", "1")
    stored = 0
    for _ in range(2):
        probe = Run(cable, tmp_path)
        send(cable, 2000, 10, each=100)
        time.sleep(7)
        probe.process.kill()
        probe.process.communicate()
        stored += 2000
    for _ in range(50):
        if not held(tmp_path / "store"):
            break
        time.sleep(0.1)
    assert Run(cable, tmp_path).end()["packets"] == 0
    probe.folder = tmp_path
    assert probe.ask("SELECT sum(client_packets), count() = uniqExact(flow_id, interval) FROM flows") == [(stored, 1)]


def test_time_that_was_not_read_is_told(cable: Wire, tmp_path: Path) -> None:
    """Before the first start it is not known what was read; after a clean end the next start tells what was missed, to the moment."""
    first = Run(cable, tmp_path)
    send(cable, 100, 10)
    ended = time.time()
    first.end()
    note = tmp_path / "store.spool" / "covered.json"
    until = json.loads(note.read_text())[NEAR]
    assert ended - 1 < until / 1e6 < time.time()
    Run(cable, tmp_path).end()
    told = json.loads(note.read_text())[NEAR]
    assert until < told
    minutes = "SELECT toUnixTimestamp64Micro(time) AS at, sum(unread_us), sum(frames), count() FROM coverage GROUP BY at ORDER BY at"
    for at, unread, _, _ in Run(cable, tmp_path).end() and first.ask(minutes):
        assert 0 <= int(unread) < 60_000_000 and int(at) % 60_000_000 == 0
    note.write_text(json.dumps({NEAR: until - 3_600_000_000}))       # as if it had ended an hour ago
    again = Run(cable, tmp_path)
    again.end()
    rows = again.ask(minutes)
    assert 58 <= sum(int(unread) == 60_000_000 for _, unread, _, count in rows if int(count) == 1) <= 60 and sum(int(row[2]) for row in rows) == 100
    before = next(int(unread) for at, unread, _, _ in rows if int(at) == (until - 3_600_000_000) // 60_000_000 * 60_000_000)
    assert before == 60_000_000 - until % 60_000_000
