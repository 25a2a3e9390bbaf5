"""`fullspan usage` as it is typed."""
from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import pytest
from scapy.all import IP, UDP, Ether, Raw, wrpcap

from dpi.cli.main import run
from dpi.store import open_store
from tests.usage.traffic import BEGIN, MINUTE, coverage, flows, put

pytestmark = pytest.mark.compiled
HOUR = "2023-11-14T22:00Z"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with two hours of flows, of which the first is closed, and its usage computed."""
    url = f"chdb://{tmp_path_factory.mktemp('said')}/store"
    with contextlib.closing(open_store(url)) as store:
        put(store, flows(400, span=63 * MINUTE), coverage(range(61)), coverage([61], told=range(1), frames=3))
    assert BEGIN == 1_699_999_200_000_000
    return url


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(["usage", *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_from_nothing_to_a_bill(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, complaint = said(capsys, "show", "--store", url)
    assert code == 2 and "no usage has been computed there" in complaint
    code, out, _ = said(capsys, "run", "--once", "--store", url)
    assert code == 0 and "written" in out

    code, out, _ = said(capsys, "show", "--store", url, "--json")
    told = json.loads(out)
    assert code == 0 and [one["name"] for one in told["usage"]] == sorted((one["name"] for one in told["usage"]), key=lambda name: -sum(
        one["up_bytes"] + one["down_bytes"] for one in told["usage"] if one["name"] == name))
    assert {one["name"] for one in told["usage"]} == {f"S{n}" for n in range(5)} and told["complete"]["closed"] == told["complete"]["seen"]

    with contextlib.closing(open_store(url, create=False)) as store:
        expected = store.query("SELECT sum(if(client_service_id = 'S1' AND NOT client_duplicate, client_bytes, 0) + "
                               "if(server_service_id = 'S1' AND NOT server_duplicate, server_bytes, 0)) FROM flows WHERE interval_start < "
                               f"fromUnixTimestamp64Micro({BEGIN + 60 * MINUTE}, 'UTC')").value()
    for by in ("service", "application", "hour", "minute"):
        code, out, complaint = said(capsys, "show", HOUR, "2023-11-14T23:00Z", "--store", url, "--service", "S1", "--by", by, "--csv", "--ticket", "T")
        rows = list(csv.DictReader(io.StringIO(out)))
        assert code == 0 and sum(int(row["up_bytes"]) for row in rows) == expected and "computed" in complaint
    assert said(capsys, "show", HOUR, "2023-11-14T23:00Z", "--store", url, "--service", "nobody", "--ticket", "T")[1].startswith("nothing")


def test_a_table_says_how_complete_it_is(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "run", "--once", "--store", url)
    code, out, _ = said(capsys, "show", HOUR, "2023-11-14T23:00Z", "--store", url, "--by", "customer")
    assert code == 0 and "60 of 60 minutes seen are computed; nothing known to be lost." in out and "mean RTT" in out
    for name in ("C0", "C1", "C2"):
        assert name in out
    code, out, _ = said(capsys, "show", HOUR, "2023-11-14T23:00Z", "--store", url, "--by", "network", "--top", "2")
    assert code == 0 and "/24" in out and "1 of 1 hours seen are computed" in out and "more of" in out


def test_recomputing_says_what_changes(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "run", "--once", "--store", url)
    words = (HOUR, "2023-11-14T23:00Z", "--store", url)
    late = flows(3, 9, span=MINUTE)
    with contextlib.closing(open_store(url)) as store:
        put(store, late)
    code, out, _ = said(capsys, "recompute", *words, "--dry-run", "--json")
    told = json.loads(out)
    assert code == 0 and told["tables"]["usage_1m"]["written"] == 1 and told["tables"]["usage_1m"]["unchanged"] == 59
    assert any(change["after"] > change["before"] for change in told["changes"]["usage_1h"].values())
    code, out, _ = said(capsys, "recompute", *words)
    assert code == 0 and "bytes before" in out
    with contextlib.closing(open_store(url)) as store:
        store.query(f"ALTER TABLE flows DELETE WHERE interval_start < fromUnixTimestamp64Micro({BEGIN + MINUTE}, 'UTC') SETTINGS mutations_sync = 1")
    code, out, complaint = said(capsys, "recompute", *words)
    assert code == 1 and "no figure changed" in out and "usage_1m 2023-11-14T22:00:00Z of p1: flows of it have gone" in complaint


@pytest.mark.parametrize("words, complaint", [
    (("show", "2023-01-02", "2023-01-01"), "FROM is not before TO"), (("recompute", "x", "2023-01-01"), "not a time: 'x'"),
    (("recompute", "2023-01-02", "2023-01-01"), "FROM is not before TO")])
def test_wrong_use_is_one_line(url: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str) -> None:
    code, _, told = said(capsys, *words, "--store", url)
    assert code == 2 and complaint in told and told.count("\n") == 1


def test_a_store_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, told = said(capsys, "show", "--store", f"chdb://{tmp_path}/none")
    assert code == 2 and "there is no store here" in told


def test_a_replay_with_bindings_leaves_its_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two customers, and an address that moves from one to the other in the middle of a minute; again, usage is replaced with the capture."""
    noon = 1_780_315_200                    # 2026-06-01T12:00:00Z
    frames = []
    for second, size in ((0, 100), (29.5, 200), (30.5, 400), (61, 800)):
        frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.9.0.1") / UDP(sport=4000, dport=9999) / Raw(bytes(size))
        frame.time = noon + second
        frames.append(frame)
    capture, bindings, url = tmp_path / "made.pcap", tmp_path / "bindings.csv", f"chdb://{tmp_path}/store"
    wrpcap(str(capture), frames)
    bindings.write_text("service_id,customer_id,prefix,valid_from,valid_to\nA,a,10.0.0.0/24,,2026-06-01T12:00:30Z\nB,b,10.0.0.0/24,2026-06-01T12:00:30Z,\n"
                        "N,n,10.9.0.0/24,,\n")
    bindings.chmod(0o600)
    for _ in range(2):
        assert run(["replay", str(capture), "--store", url, "--bindings", str(bindings)]) == 0
        out = capsys.readouterr().out
        assert "Usage of services: 2 minutes" in out
        rows = list(csv.DictReader(io.StringIO(said(capsys, "show", "2026-06-01T12:00Z", "2026-06-01T12:01Z", "--store", url, "--csv")[1])))
        assert {row["service"]: (int(row["up_bytes"]), int(row["down_bytes"])) for row in rows} == {
            "A": (128 + 228, 0), "B": (428, 0), "N": (0, 128 + 228 + 428)}
    with contextlib.closing(open_store(url, create=False)) as store:
        assert store.query("SELECT uniqExact(capture_id), count(), sum(up_bytes) FROM usage_1m").rows == [(1, 5, 784 + 828)]
    # what a legal hold keeps is not replaced, nor counted twice
    assert run(["hold", "add", "--store", url, "--customer", "a", "--from", "2026-06-01", "--to", "2026-06-02", "--reason", "r"]) == 0
    assert run(["replay", str(capture), "--store", url, "--bindings", str(bindings)]) == 1
    assert "under a legal hold" in capsys.readouterr().err
    with contextlib.closing(open_store(url, create=False)) as store:
        assert store.query("SELECT uniqExact(capture_id), count(), sum(up_bytes) FROM usage_1m").rows == [(1, 5, 784 + 828)]
        assert store.query("SELECT uniqExact(capture_id), sum(client_bytes) FROM flows").rows == [(1, 784 + 828)]
