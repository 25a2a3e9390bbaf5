"""The commands report, flow and replay, as a person meets them."""
from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dpi.batch import Batch, Coded, Texts
from dpi.captured import Captured
from dpi.cli.flow import command as flow
from dpi.cli.flow import display_filter
from dpi.cli.replay import command as replay
from dpi.cli.report import command as report
from dpi.errors import UserError
from dpi.outcome import Outcome, Progress
from dpi.store import open_store
from tests.reports import rows


def run(command: Any, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def refused(result: Result) -> str:
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def capture(path: Path) -> int:
    """Three UDP packets of one flow and one of another; returns the time of the first, us."""
    begin = 1_331_901_000
    frames = b""
    for k, (source, target, ports) in enumerate(((5, 9, (4000, 7)), (9, 5, (7, 4000)), (5, 9, (4000, 7)), (5, 8, (4000, 7)))):
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, k, 0, 64, 17, 0, bytes([10, 0, 0, source]), bytes([10, 0, 0, target]))
        frame = b"\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0" + ip + struct.pack("!HHHH", *ports, 12, 0) + b"\x1b[2J"
        frames += struct.pack("<IIII", begin + k, 250_000, len(frame), len(frame)) + frame
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + frames)
    return begin * 1_000_000 + 250_000


def stored(folder: Path, path: Path, begin: int, **more: Any) -> str:
    """A store that holds the flow of `capture`."""
    url = f"chdb://{folder}/store"
    store = open_store(url)
    ends = np.zeros((2, 16), np.uint8)
    ends[:, 10:12], ends[:, 12:] = 255, [[10, 0, 0, 5], [10, 0, 0, 9]]
    columns = {"flow_id": np.array([1 << 60], np.uint64), "capture_id": np.array([7], np.uint64), "interval_start": np.array([begin]),
               "interval_end": np.array([begin + 2_000_000]), "flow_start_time": np.array([begin]), "client_ip": ends[:1], "server_ip": ends[1:],
               "client_port": np.array([4000], np.uint16), "server_port": np.array([7], np.uint16), "ip_protocol": np.array([17], np.uint8),
               "client_packets": np.array([2], np.uint64), "application": Coded.of([rows.HOSTILE])}
    store.write(Batch("flows", 1, columns))
    captured = {"capture_id": np.array([7], np.uint64), "path": Texts.of([str(path)]), "source": Coded.of([path.name]),
                "size": np.array([path.stat().st_size], np.uint64)}
    store.write(Batch("captures", 1, captured))
    store.close()
    return url


def test_flow_shows_row_and_packets(tmp_path: Path) -> None:
    begin = capture(tmp_path / "a.pcap")
    url = stored(tmp_path, tmp_path / "a.pcap", begin)
    shown = run(flow, str(1 << 60), "--store", url)
    assert shown.exit_code == 0, shown.output
    assert "client_ip                10.0.0.5" in shown.output and "\x1b" not in shown.output
    assert shown.output.count("User Datagram Protocol, Src Port") == 3
    assert "more packets" in run(flow, str(1 << 60), "--store", url, "--packets", "1").output

    told = json.loads(run(flow, str(1 << 60), "--store", url, "--json").output)
    assert told["rows"][0]["flow_id"] == str(1 << 60) and len(told["packets"]) == 3

    assert run(flow, str(1 << 60), "--store", url, "--pcap", str(tmp_path / "out.pcap")).exit_code == 0
    assert (tmp_path / "out.pcap").stat().st_size > 0 and not list(tmp_path.glob("*.part"))

    (tmp_path / "a.pcap").rename(tmp_path / "b.pcap")
    moved = run(flow, str(1 << 60), "--store", url)
    assert moved.exit_code == 1 and "no longer at" in moved.output and "client_ip" in moved.output


def test_flow_with_a_shifted_clock(tmp_path: Path) -> None:
    begin = capture(tmp_path / "a.pcap")
    url = stored(tmp_path, tmp_path / "a.pcap", begin + 86_400_000_000)
    assert run(flow, str(1 << 60), "--store", url).output.count("User Datagram Protocol, Src Port") == 3


def test_flow_of_several_captures(tmp_path: Path) -> None:
    begin = capture(tmp_path / "a.pcap")
    url = stored(tmp_path, tmp_path / "a.pcap", begin)
    store = open_store(url)
    store.write(Batch("flows", 1, {"flow_id": np.array([1 << 60], np.uint64), "capture_id": np.array([8], np.uint64), "source": Coded.of(["b.pcap"])}))
    store.close()
    assert "2 captures hold a flow" in refused(run(flow, str(1 << 60), "--store", url))
    assert run(flow, str(1 << 60), "--store", url, "--capture", "7").output.count("User Datagram Protocol, Src Port") == 3
    assert "no flow" in refused(run(flow, str(1 << 60), "--store", url, "--capture", "c.pcap"))


def test_flow_of_a_fold_says_what_it_is(tmp_path: Path) -> None:
    """A flood against a small table: the rows of its folds are no single conversation."""
    frames = b""
    for k in range(3000):
        tcp = struct.pack(">HHIIBBHHH", 1024 + k, 443, 1, 0, 0x50, 2, 500, 0, 0)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, bytes([10, 0, 0, 5]), bytes([10, 0, 0, 9]))
        frames += struct.pack("<IIII", 1_700_000_000, k, 54, 54) + b"\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0" + ip + tcp
    (tmp_path / "flood.pcap").write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + frames)
    url = f"chdb://{tmp_path}/store"
    assert run(replay, str(tmp_path / "flood.pcap"), "--store", url, "--max-flows", "1024").exit_code == 0
    store = open_store(url)
    (number, folded), = store.query("SELECT toString(flow_id), folded FROM flows WHERE folded > 0").rows
    store.close()
    assert int(folded) > 1000
    shown = run(flow, number, "--store", url)
    assert shown.exit_code == 1 and f"stands for {folded} half-open connections" in shown.output and "client_prefix_24" in shown.output


def test_flow_refuses_what_is_not_there(tmp_path: Path) -> None:
    url = stored(tmp_path, Path(__file__), 1)
    assert "not a flow id" in refused(run(flow, "x", "--store", url))
    assert "no flow 12" in refused(run(flow, "12", "--store", url))
    assert "no store here" in refused(run(flow, "12", "--store", f"chdb://{tmp_path}/other"))


@pytest.mark.parametrize("ip, number, want", [("10.0.0.1", 6, "tcp.port == 1 && tcp.port == 2"), ("2001:db8::1", 58, "icmpv6"), ("10.0.0.1", 1, "icmp"),
                                              ("10.0.0.1", 47, "ip.proto == 47"),
                                              ("2001:db8::1", 89, "ipv6.nxt == 89")])
def test_display_filter(ip: str, number: int, want: str) -> None:
    row = {"client_ip": ip, "server_ip": ip, "ip_protocol": number, "client_port": 1, "server_port": 2, "start_us": 5, "end_us": 7_000_001}
    text = display_filter([row, {**row, "start_us": 1}])
    assert want in text and text.endswith("frame.time_epoch >= 0.000001 && frame.time_epoch <= 7.000002")


def test_report_of_the_store(tmp_path: Path) -> None:
    url = f"chdb://{tmp_path}/store"
    store = open_store(url)
    store.write(rows.flows(200))
    store.write(Batch("captures", 1, {"capture_id": np.array([1], np.uint64), "source": Coded.of(["a.pcap"])}))
    store.close()
    out = tmp_path / "r.html"
    told = run(report, "--store", url, "--capture", "a.pcap", "--lang", "zh", "--out", str(out))
    assert told.exit_code == 0 and "应用" in told.output and str(out) in told.output and out.read_text().startswith("<!doctype html>")
    assert json.loads(run(report, "--store", url, "--json", "--out", "-").output)["rows"] == 200
    assert "no capture called" in refused(run(report, "--store", url, "--capture", "b.pcap"))
    assert "no flows there" in refused(run(report, "--store", url, "--since", "2030-01-01"))
    assert "no such directory" in refused(run(report, "--store", url, "--out", str(tmp_path / "no" / "r.html")))
    assert "not a time" in refused(run(report, "--store", url, "--since", "soon"))


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A replay that hands over made-up rows; what it was asked is kept."""
    asked: dict[str, Any] = {"outcome": Outcome(captures=[Captured("a.pcap", "/x/a.pcap", packets=9000)], per_second=np.zeros((0, 3), np.int64))}

    def pretend(arguments: Any, *, sinks: Any, options: Any, progress: Any) -> Outcome:
        asked.update(arguments=list(arguments), options=options)
        if progress:
            progress(Progress(1, 2, 3, 4))
        for sink in sinks:
            sink.write(rows.flows(100))
        if "fail" in asked:
            raise asked["fail"]
        outcome: Outcome = asked["outcome"]
        return outcome

    monkeypatch.setattr("dpi.replaying.run", pretend)
    return asked


def test_replay_says_where_everything_is(tmp_path: Path, pretended: dict[str, Any]) -> None:
    url, page, out = f"chdb://{tmp_path}/store", tmp_path / "r.html", tmp_path / "f.jsonl"
    told = run(replay, "a.pcap", "--store", url, "--report", str(page), "--out", str(out), "--since", "2012-01-01", "--time-shift", "-1h", "--joined")
    assert told.exit_code == 0, told.output
    assert f"{tmp_path}/store" in told.output and str(page) in told.output and str(out) in told.output and "9,000 read" in told.output
    assert page.is_file() and len(out.read_text().splitlines()) == 100
    options = pretended["options"]
    assert options.time_shift == -3_600_000_000 and options.joined and options.since == 1_325_376_000_000_000
    store = open_store(url)
    assert store.query("SELECT count() FROM flows").value() == 100
    store.close()


def test_replay_as_json(pretended: dict[str, Any]) -> None:
    told = json.loads(run(replay, "a.pcap", "b.pcap", "--store", "none", "--json").output)
    assert told["rows"] == 100 and told["store"] == "none" and pretended["arguments"] == ["a.pcap", "b.pcap"]


def test_replay_exit_codes(pretended: dict[str, Any]) -> None:
    outcome = pretended["outcome"]
    outcome.captures[0].damage = "cut inside packet 4"
    told = run(replay, "a.pcap", "--store", "none")
    assert told.exit_code == 1 and "fullspan: a.pcap: cut inside packet 4" in told.stderr
    outcome.interrupted = True
    told = run(replay, "a.pcap", "--store", "none", "--lang", "zh")
    assert told.exit_code == 130 and "已中断" in told.output


def test_replay_leaves_nothing_half_written(tmp_path: Path, pretended: dict[str, Any]) -> None:
    pretended["fail"] = UserError("no capture", "a.pcap")
    told = run(replay, "a.pcap", "--store", "none", "--out", str(tmp_path / "f.csv"), "--report", str(tmp_path / "r.html"))
    assert refused(told) == "a.pcap: no capture" and list(tmp_path.iterdir()) == []


def test_replay_refuses_a_report_it_cannot_write_before_it_reads(tmp_path: Path, pretended: dict[str, Any]) -> None:
    assert "no such directory" in refused(run(replay, "a.pcap", "--store", "none", "--report", str(tmp_path / "no" / "r.html")))
    assert "directory" in refused(run(replay, "a.pcap", "--store", "none", "--report", str(tmp_path)))
    assert "arguments" not in pretended
    assert run(replay).exit_code == 2
