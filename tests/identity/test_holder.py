"""`fullspan whois` over a store of sessions: who had an address, as its rows were stamped."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.identity.test_sessions import LEASE, RADIUS, USERS, bindings

pytestmark = pytest.mark.compiled


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ask whois about the captures of sessions."""
    folder = tmp_path_factory.mktemp("holder")
    bound = bindings(folder, *USERS, "one;mac;02:00:00:00:01:0a", "net;prefix;192.0.2.0/24")
    environment = {**os.environ, "FULLSPAN_IDENTITY_BINDINGS": str(bound), "FULLSPAN_IDENTITY_RADIUS_FROM": "192.0.2.12"}

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "dpi.cli.main", *words, "--store", f"chdb://{folder}/store"], env=environment, capture_output=True,
                              text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("replay", str(RADIUS), str(LEASE))
    return run


@pytest.mark.parametrize("address, at, service, since", [
    ("192.0.2.10", "07:02:31", "a", "07:02:30.321525"), ("192.0.2.10", "07:02:31.7", "net", ""), ("192.0.2.10", "07:02:32", "b", "07:02:31.712148"),
    ("192.0.2.11", "07:02:35", "net", ""), ("192.0.2.50", "07:03:16", "net", "07:03:15.517775"), ("2001:db8::10", "07:02:31", "a", "07:02:30.321525")])
def test_who_had_it(asked: Any, address: str, at: str, service: str, since: str) -> None:
    found = json.loads(asked("whois", address, "--ticket", "T-1", "--at", f"2026-11-29T{at}Z", "--json"))
    assert (found["service_id"], found["session"] and found["session"]["since"].partition(" ")[2]) == (service, since or None)


@pytest.mark.parametrize("lines, service", [(("one;mac;02:00:00:00:01:0a",), "one"), (("one;mac;02:00:00:00:01:0a", "net;prefix;192.0.2.0/24"), "net"),
                                            (("one;mac;02:00:00:00:01:0a;;2026-11-29T07:03:16Z",), ""), (("other;mac;02:00:00:00:01:0a",), "")])
def test_it_asks_as_rows_are_stamped(asked: Any, tmp_path: Path, lines: tuple[str, ...], service: str) -> None:
    """A MAC address that was learned comes after the address's own prefix; and a line that has ended, or is another's now, binds nobody."""
    found = json.loads(asked("whois", "192.0.2.50", "--ticket", "T-1", "--at", "2026-11-29T07:03:16Z", "--json", "--bindings", str(bindings(tmp_path, *lines))))
    assert found["service_id"] == service and found["session"]["service_id"] == "one"


def test_in_words(asked: Any) -> None:
    said = asked("whois", "192.0.2.50", "--ticket", "T-1", "--at", "2026-11-29T07:03:21Z")
    assert "session   since 2026-11-29T07:03:19.200591Z, by dhcp, whose user no line binds" in said


