"""A cable between two network namespaces, made for a test and gone with it: what is sent into one end is read at the other."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.hostile.samples import ether, ip4, udp

NEAR, FAR = "near0", "far0"


@dataclass(frozen=True)
class Wire:
    """Namespaces of its two ends."""
    near: str
    far: str

    def run(self, end: str, command: Sequence[str], **how: object) -> subprocess.Popen[bytes]:
        """Start a program at an end."""
        return subprocess.Popen(["nsenter", f"--net=/run/netns/{end}", *command], **how)      # type: ignore[call-overload,no-any-return]

    def count(self, name: str) -> int:
        """A counter of the near end's interface."""
        said = subprocess.run(["ip", "netns", "exec", self.near, "cat", f"/sys/class/net/{NEAR}/statistics/{name}"], capture_output=True, check=True)
        return int(said.stdout)


@contextmanager
def wire() -> Iterator[Wire]:
    """Two namespaces and a veth pair, without IPv6 and offloads: nothing is on it but what the test sends."""
    one = Wire(f"fst{os.getpid()}n", f"fst{os.getpid()}f")

    def ip(line: str) -> None:
        subprocess.run(["ip", *line.split()], check=True)
    try:
        for end in (one.near, one.far):
            ip(f"netns add {end}")
            quiet = [f"net.ipv6.conf.{which}.disable_ipv6=1" for which in ("all", "default")]
            subprocess.run(["ip", "netns", "exec", end, "sysctl", "-qw", *quiet], check=True)
        ip(f"link add {NEAR} netns {one.near} type veth peer name {FAR} netns {one.far}")
        for end, device in ((one.near, NEAR), (one.far, FAR)):
            ip(f"-n {end} link set lo up")
            ip(f"-n {end} link set {device} arp off up")
        yield one
    finally:
        for end in (one.near, one.far):
            subprocess.run(["ip", "netns", "delete", end], check=False, stderr=subprocess.DEVNULL)


def frames(count: int, flows: int, size: int = 18) -> list[bytes]:
    """UDP frames of `flows` conversations in turn."""
    made = []
    for k in range(flows):
        ends = (bytes((10, 1, k >> 8, k & 255)), bytes((198, 51, 100, 7)))
        made.append(ether(0x0800, ip4(17, udp(20000 + k, 9999, bytes(size)), ends)))
    return [made[k % flows] for k in range(count)]


SENDER = """
import socket, sys, time
from tests.live.wire import FAR, frames
count, flows, each = map(int, sys.argv[1:4])
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.setsockopt(263, 20, 1)
out.bind((FAR, 0))
sent = 0
for frame in frames(count, flows):
    sent += out.send(frame) == len(frame)
    if each and sent % each == 0:
        time.sleep(0.001)
print(sent)
"""


def send(one: Wire, count: int, flows: int, each: int = 0) -> int:
    """Send so many frames from the far end, pausing a millisecond after `each`; how many went out."""
    sender = one.run(one.far, [sys.executable, "-c", SENDER, str(count), str(flows), str(each)], stdout=subprocess.PIPE)
    said, _ = sender.communicate(timeout=120)
    assert sender.returncode == 0
    return int(said)
