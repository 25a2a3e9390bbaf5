"""Pings of a real address in a namespace: up, the cable is cut, up again; an address that nobody has is down throughout."""
from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from dpi.errors import UserError
from dpi.pinging import targets
from dpi.settings import Ping
from tests.live.wire import FAR, NEAR, wire

_PROGRAM = """
import json, sys, time
from dpi.pinging import Pinger
from dpi.settings import Ping

class Printed:
    def write(self, batch):
        names = ("time", "target", "service_id", "state", "changed", "rtt_us", "sent", "loss_permille")
        found = [batch.columns[name] for name in names]
        text = {name: [one.words[code] for code in one.codes] if hasattr(one, "words") else list(one) for name, one in zip(names, found)}
        for k in range(batch.count):
            print(json.dumps({name: values[k].item() if hasattr(values[k], "item") else values[k] for name, values in text.items()}), flush=True)

pinger = Pinger(Ping(targets="gateway=10.9.0.2, service:S1=10.9.0.3", interval=1, count=2), "box", [Printed()])
pinger.start()
sys.stdin.read()
pinger.close()
"""


def test_up_down_and_up_again() -> None:
    with wire() as cable:
        macs = {}
        for end, device, address in ((cable.near, NEAR, "10.9.0.1"), (cable.far, FAR, "10.9.0.2")):
            subprocess.run(["ip", "-n", end, "addr", "add", f"{address}/24", "dev", device], check=True)
            macs[address] = json.loads(subprocess.run(["ip", "-n", end, "-j", "link", "show", device], capture_output=True, check=True).stdout)[0]["address"]
        subprocess.run(["ip", "-n", cable.near, "neigh", "add", "10.9.0.2", "lladdr", macs["10.9.0.2"], "dev", NEAR], check=True)
        subprocess.run(["ip", "-n", cable.far, "neigh", "add", "10.9.0.1", "lladdr", macs["10.9.0.1"], "dev", FAR], check=True)
        running = cable.run(cable.near, [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert running.stdout is not None and running.stdin is not None
        rows = []
        try:
            def until(state: str) -> None:
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline:
                    rows.append(json.loads(running.stdout.readline()))     # type: ignore[union-attr]
                    if rows[-1]["target"] == "gateway" and rows[-1]["state"] == state:
                        return
                raise AssertionError(rows)

            until("up")
            subprocess.run(["ip", "netns", "exec", cable.far, "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1"], check=True)
            cut = time.time()
            until("down")
            noticed = time.time() - cut
            subprocess.run(["ip", "netns", "exec", cable.far, "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=0"], check=True)
            until("up")
        finally:
            running.stdin.close()
            rows += [json.loads(line) for line in running.stdout]
            running.wait(20)
        assert noticed < 6
        mine = [row for row in rows if row["target"] == "gateway"]
        changes = [row["state"] for row in mine if row["changed"]]
        assert mine[0]["state"] == "up" and not mine[0]["changed"] and changes == ["down", "up"]
        assert all(0 < row["rtt_us"] < 1_000_000 and row["loss_permille"] < 1000 for row in mine if row["state"] == "up")
        other = [row for row in rows if row["target"] == "S1"]
        assert other and all((row["state"], row["service_id"], row["loss_permille"], row["rtt_us"]) == ("down", "S1", 1000, 0xFFFFFFFF) for row in other)


@pytest.mark.parametrize(("words", "wrong"), [("a", "not a target"), ("a=b", "not a target"), ("=10.0.0.1", "without a name"),
                                              ("a=10.0.0.1,a=10.0.0.2", "named twice")])
def test_targets_that_are_wrong(words: str, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        targets(Ping(targets=words))


def test_targets_of_both_kinds() -> None:
    found = targets(Ping(targets="gw = 10.0.0.1, service:S7=2001:db8::1"))
    assert [(one.name, one.address, one.service) for one in found] == [("gw", "10.0.0.1", ""), ("S7", "2001:db8::1", "S7")]


def test_who_may_not_ping_says_nothing_of_anybody() -> None:
    """Without CAP_NET_RAW nothing is sent: a target is not down for that."""
    program = _PROGRAM.replace("gateway=10.9.0.2, service:S1=10.9.0.3", "here=127.0.0.1").replace("sys.stdin.read()", "import time; time.sleep(2)")
    ran = subprocess.run(["setpriv", "--bounding-set", "-net_raw", sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "" and "ping failed" in ran.stderr
