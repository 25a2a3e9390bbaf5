"""Attacks as packets, through a whole replay: the same with any number of workers; the store, the files and the commands say it."""
from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dpi.replaying
from dpi.cli.main import run as fullspan
from dpi.output import Limits
from dpi.replaying import ReplayOptions, run
from dpi.settings import load
from tests.capture.crafted import pcap
from tests.hostile.samples import ether, ip4, ip6, udp
from tests.security.made import Sink, numbered

SYN, RST, ACK = 2, 4, 16
VICTIM, SCANNER = bytes((192, 0, 2, 10)), bytes((203, 0, 113, 5))
START = 1_699_999_200
Packet = tuple[float, bytes]


def tcp(source: int, target: int, flags: int) -> bytes:
    return struct.pack(">HHIIBBHHH", source, target, 1000, 0, 0x50, flags, 500, 0, 0)


def four(source: bytes, target: bytes, number: int, layer: bytes) -> bytes:
    return ether(0x0800, ip4(number, layer, (source, target)))


def scan(at: float, count: int) -> Iterator[Packet]:
    for k in range(count):
        yield at + k * 0.05, four(SCANNER, VICTIM, 6, tcp(40000, 1 + k, SYN))
        yield at + k * 0.05 + 0.001, four(VICTIM, SCANNER, 6, tcp(1 + k, 40000, RST | ACK))


def flood(at: float, count: int) -> Iterator[Packet]:
    for k in range(count):
        yield at + k * 0.002, four(bytes((198, 51, k >> 8 & 255, k & 255)), VICTIM, 6, tcp(1024 + k, 80, SYN))


def flood6(at: float, count: int) -> Iterator[Packet]:
    victim = bytes.fromhex("20010db8000100000000000000000010")
    for k in range(count):
        yield at + k * 0.0005, ether(0x86DD, ip6(17, udp(2000 + k % 5000, 9999), (bytes.fromhex("20010db8006600000000000000000066"), victim)))


def reflection(at: float, count: int) -> Iterator[Packet]:
    for k in range(count):
        yield at + k * 0.01, four(bytes((198, 51, 100, 1 + k % 5)), VICTIM, 17, struct.pack(">HHHH", 123, 50000, 1208, 0) + bytes(1200))


def write(path: Path, *attacks: Iterator[Packet]) -> Path:
    packets = sorted((one for attack in attacks for one in attack), key=lambda one: one[0])
    path.write_bytes(pcap([(START + int(at), round(at % 1 * 1e6), data, len(data)) for at, data in packets]))
    return path


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """No capture is too small for a crew, and outputs are small, so that rows leave all the time."""
    usual = dpi.replaying.limits
    monkeypatch.setattr(dpi.replaying, "ALONE", 0)
    monkeypatch.setattr(dpi.replaying, "FRAMES_PER_BLOCK", 64)
    monkeypatch.setattr(dpi.replaying, "limits", lambda settings, most: Limits(**{**vars(usual(settings, most)), "exports": 1040, "transactions": 4300}))


def found(path: Path, workers: int = 1) -> dict[str, list[dict[str, Any]]]:
    """What is written; ids of alerts, which have a secret of their own in each replay without a store, as numbers in their order."""
    sink = Sink()
    run([str(path)], sinks=[sink], options=ReplayOptions(workers=workers), settings=load(environment={}))
    return numbered(sink.rows)


@pytest.mark.compiled
def test_any_number_of_workers_finds_the_same(always: None, tmp_path: Path) -> None:
    path = write(tmp_path / "attacks.pcap", scan(5, 100), flood(30, 5000), flood6(61, 20_000), reflection(80, 1500), scan(400, 60), flood(900, 4000))
    alone = found(path)
    assert {one["kind"] for one in alone["alerts"]} == {"port_scan", "syn_flood", "udp_flood", "amplification"}
    assert [one["state"] for one in alone["alerts"] if one["kind"] == "syn_flood"] == ["raised", "cleared", "raised"]
    for workers in (2, 4):
        assert found(path, workers) == alone


def test_just_below_the_limits_is_nothing(tmp_path: Path) -> None:
    assert found(write(tmp_path / "below.pcap", scan(5, 39))) == {"detections": [], "alerts": []}
    kinds = [(one["kind"], one["state"], one["source"], one["target"]) for one in found(write(tmp_path / "over.pcap", scan(5, 40)))["alerts"]]
    assert kinds == [("port_scan", "raised", "203.0.113.5", "192.0.2.10")]


@pytest.mark.compiled
def test_commands_tell_prove_and_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    path, store = write(tmp_path / "scan.pcap", scan(5, 60), flood(40, 100)), ["--store", f"chdb://{tmp_path}/store"]
    assert fullspan(["replay", str(path), *store, "--alerts-out", "alerts.jsonl", "--detections-out", "detections.parquet", "--report", "report.html"]) == 0
    out = capsys.readouterr().out
    assert "203.0.113.5 tried 60 ports of 192.0.2.10" in out and "203.0.113.5 tried 60 ports" in (tmp_path / "report.html").read_text()
    told = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert [one["kind"] for one in told] == ["port_scan"] and (tmp_path / "detections.parquet").stat().st_size > 1000
    number = told[0]["alert_id"]
    assert fullspan(["alerts", "list", *store, "--json"]) == 0
    assert [one["alert_id"] for one in json.loads(capsys.readouterr().out)] == [number]
    assert fullspan(["alerts", "show", number, *store, "--json", "--rows", "5", "--pcap", "proof.pcap"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["flows"]) == 5 and len(shown["detections"]) == 1 and shown["detections"][0]["distinct_values"] == 60
    again = found(tmp_path / "proof.pcap")["alerts"]
    assert [(one["kind"], one["first_time"]) for one in again] == [("port_scan", (START + 5) * 1_000_000)]
    assert fullspan(["alerts", "ack", number, *store]) == 2 and "has a reason" in capsys.readouterr().err
    assert fullspan(["alerts", "ack", number, *store, "--reason", "we look"]) == 0
    assert fullspan(["alerts", "list", *store]) == 0 and "[acknowledged]" in capsys.readouterr().out
    assert fullspan(["alerts", "mute", number, *store, "--reason", "our own scanner"]) == 0
    assert fullspan(["alerts", "list", *store]) == 0 and "0 alerts" in capsys.readouterr().out
    assert fullspan(["alerts", "mute", number, "--off", *store, "--ticket", "7"]) == 0
    assert fullspan(["alerts", "list", *store]) == 0 and "1 alert\n" in capsys.readouterr().out
    assert fullspan(["alerts", "show", "nothing", *store]) == 2 and "no alert nothing" in capsys.readouterr().err
    assert fullspan(["replay", str(path), *store]) == 0                # the same file once more: its alerts are replaced
    capsys.readouterr()
    assert fullspan(["alerts", "list", *store, "--muted"]) == 0 and "1 alert\n" in capsys.readouterr().out


def test_nothing_found_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "quiet.pcap", scan(5, 3))
    assert fullspan(["replay", str(path), "--store", "none"]) == 0 and "no attack or fault detected (" in capsys.readouterr().out
    monkeypatch.setenv("FULLSPAN_DETECT_ENABLED", "0")
    assert fullspan(["replay", str(path), "--store", "none"]) == 0 and "detected" not in capsys.readouterr().out
