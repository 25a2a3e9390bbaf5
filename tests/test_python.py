"""dpi.replay, and the examples of docs/python.md as they stand."""
from __future__ import annotations

import re
from pathlib import Path

import dpi

ROOT = Path(__file__).resolve().parents[1]


def test_a_replay_gives_tables() -> None:
    replayed = dpi.replay(ROOT / "pcaps" / "tls13-h2.pcap")
    flows = replayed.flows
    assert flows.num_rows == replayed.figures.rows > 0
    assert "TLS" in flows.column("protocol").to_pylist() and replayed.tls.num_rows > 0
    read = replayed.outcome.captures[0]
    assert read.packets - sum(read.refused.values()) == sum(flows.column("client_packets").to_pylist()) + sum(flows.column("server_packets").to_pylist())


def test_the_page_runs(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S):
        exec(block, names)
    assert "YouTube" in capsys.readouterr().out
