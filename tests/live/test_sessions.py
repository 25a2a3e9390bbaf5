"""Sessions that a probe learns on a wire: all its workers follow, and the next probe goes on with them."""
from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.identity.telling import datagram, session
from tests.identity.test_sessions import bindings
from tests.live.probe import Run
from tests.live.wire import FAR, Wire, send

ONE_BY_ONE = f"""
import socket, sys
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.bind(("{FAR}", 0))
for line in sys.stdin:
    out.send(bytes.fromhex(line))
"""


def tell(cable: Wire, *messages: bytes) -> None:
    """Accounting of the NAS, from the far end."""
    sender = cable.run(cable.far, [sys.executable, "-c", ONE_BY_ONE], stdin=subprocess.PIPE)
    sender.communicate("\n".join(datagram(one, 1813).hex() for one in messages).encode(), timeout=30)
    assert sender.returncode == 0
    time.sleep(0.4)


def talk(cable: Wire, count: int) -> None:
    """Packets of 10.1.0.0 and 10.1.0.1, in turn, of as many conversations."""
    assert send(cable, count, 2, each=50) == count
    time.sleep(0.4)


def test_all_workers_follow_and_the_next_probe_goes_on(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "own.toml"
    config.write_text(f'[identity]\nbindings = {json.dumps(str(bindings(tmp_path, "a;user;alice", "b;user;bob")))}\nradius_from = "192.0.2.12"\n')
    monkeypatch.setenv("FULLSPAN_CONFIG", str(config))
    probe = Run(cable, tmp_path, "--workers", "2")
    tell(cable, session(1, "alice", "s1", "10.1.0.0"), session(1, "bob", "s2", "10.1.0.1"))
    talk(cable, 200)
    tell(cable, session(2, "alice", "s1"), session(2, "bob", "s2"), session(1, "bob", "s3", "10.1.0.0"))
    talk(cable, 300)
    probe.end()
    state = tmp_path / "store.spool" / "sessions.state"
    assert oct(state.stat().st_mode & 0o777) == "0o600" and b"bob" not in state.read_bytes()
    second = Run(cable, tmp_path, "--workers", "2")
    talk(cable, 100)
    tell(cable, session(2, "bob", "s3"))
    talk(cable, 400)
    second.end()
    ask = ("SELECT client_service_id, toUInt8(right(IPv6NumToString(client_ip), 1)), sum(client_packets) FROM flows WHERE server_port = 9999 "
           "GROUP BY 1, 2 ORDER BY 1, 2")
    assert second.ask(ask) == [("", 0, 200), ("", 1, 150 + 50 + 200), ("a", 0, 100), ("b", 0, 150 + 50), ("b", 1, 100)]
    assert second.ask("SELECT action, service_id, count() FROM sessions GROUP BY 1, 2 ORDER BY 1, 2") == [
        ("start", "a", 1), ("start", "b", 2), ("stop", "a", 1), ("stop", "b", 2)]
