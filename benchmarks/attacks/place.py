"""Where attacks happen: an operator's edge between the internet and the customers of a /24, all of it network namespaces of this machine.

    attacker --+                      +-- victim     192.0.2.10-17  2001:db8:1::10-17  (customer c-1001)
               core ==== wire ==== edge lan  office     192.0.2.40-44  2001:db8:1::40-44  (customer c-1001)
    server   --+                      +-- neighbour  192.0.2.70     2001:db8:2::70     (customer c-2002)

The wire is what a probe is shown; what stays on the customers' segment is on `lan`. The attacker is 198.51.100.66-75 and 2001:db8:66::66, the server is
203.0.113.10-79 and 2001:db8:f::10-19. What nobody is at, forged sources above all, ends in the core.
"""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pcaps.make.network import Network, Trouble

HERE = "benchmarks.attacks"
ATTACKER, ATTACKER6 = "198.51.100.66", "2001:db8:66::66"
SERVER, SERVER6 = "203.0.113.10", "2001:db8:f::10"
RESOLVER = "203.0.113.53"
VICTIM, VICTIM6 = "192.0.2.10", "2001:db8:1::10"
OFFICE, OFFICE6 = "192.0.2.40", "2001:db8:1::40"
NEIGHBOUR, NEIGHBOUR6 = "192.0.2.70", "2001:db8:2::70"
GATEWAY, GATEWAY6 = "192.0.2.1", "2001:db8:1::1"
CUSTOMERS = "192.0.2.0/24"
NETWORKS = "192.0.2.0/24,2001:db8:1::/64,2001:db8:2::/64"
BINDINGS = """service_id,customer_id,prefix
line-a-1,c-1001,192.0.2.0/27
line-a-2,c-1001,192.0.2.32/27
line-a-1,c-1001,2001:db8:1::/64
line-b-1,c-2002,192.0.2.64/26
line-b-1,c-2002,2001:db8:2::/64
"""
MOST = 400_000
"""Packets of a capture."""
T = TypeVar("T")

SETUP = """
{core} a0 {attacker} eth0
{core} s0 {server} eth0
{core} wire0 {edge} wire0
{edge} port0 {victim} eth0
{edge} port1 {office} eth0
{edge} port2 {neighbour} eth0"""

#: Host, device, addresses, gateways. Who forwards IPv6 asks for neighbours from an address of the link only (RFC 4861, 7.2.2).
ADDRESSES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("core", "a0", ("198.51.100.1/24", "2001:db8:66::1/64", "fe80::1/64"), ()),
    ("core", "s0", ("203.0.113.1/24", "2001:db8:f::1/64", "fe80::1/64"), ()),
    ("core", "wire0", ("100.64.0.1/30", "2001:db8:ffff::1/64", "fe80::1/64"), ()),
    ("edge", "wire0", ("100.64.0.2/30", "2001:db8:ffff::2/64", "fe80::2/64"), ("100.64.0.1", "2001:db8:ffff::1")),
    ("edge", "lan", (f"{GATEWAY}/24", f"{GATEWAY6}/64", "2001:db8:2::1/64", "fe80::1/64"), ()),
    ("attacker", "eth0", (*(f"198.51.100.{one}/24" for one in range(66, 76)), f"{ATTACKER6}/64"), ("198.51.100.1", "2001:db8:66::1")),
    ("server", "eth0", (*(f"203.0.113.{one}/24" for one in range(10, 80)), *(f"2001:db8:f::{one}/64" for one in range(10, 20))),
     ("203.0.113.1", "2001:db8:f::1")),
    ("victim", "eth0", (*(f"192.0.2.{one}/24" for one in range(10, 18)), *(f"2001:db8:1::{one}/64" for one in range(10, 18))), (GATEWAY, GATEWAY6)),
    ("office", "eth0", (*(f"192.0.2.{one}/24" for one in range(40, 45)), *(f"2001:db8:1::{one}/64" for one in range(40, 45))), (GATEWAY, GATEWAY6)),
    ("neighbour", "eth0", (f"{NEIGHBOUR}/24", f"{NEIGHBOUR6}/64", "fe80::70/64"), (GATEWAY, "2001:db8:2::1")),
)


class Place(Network):
    """The namespaces above, from `with` to its end."""

    def __init__(self) -> None:
        super().__init__(0)
        self.served: dict[tuple[Callable[..., object], str], object] = {}
        self.began = 0.0

    def __enter__(self) -> Place:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))         # a time limit must not leave namespaces behind
        super().__enter__()
        return self

    def hosts(self) -> list[str]:
        """Every host's name."""
        return ["core", "edge", "attacker", "server", "victim", "office", "neighbour"]

    def _build(self) -> None:
        quiet = ("cd /proc/sys/net; for f in ipv6/conf/default ipv6/conf/all; do echo 0 >$f/accept_dad; echo 0 >$f/router_solicitations; done; "
                 "for f in ipv4/conf/default ipv4/conf/all; do echo 0 >$f/rp_filter; done")
        for host in self.hosts():
            self._ip(f"netns add {self.name(host)}")
            self.run(host, ["sh", "-c", quiet])
            self._ip(f"-n {self.name(host)} link set lo up")
            self._settle(host, f"nameserver {RESOLVER}\noptions timeout:2 attempts:1\n")
        for host in ("core", "edge"):
            self.run(host, ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.send_redirects=0"])
        self._ip(f"-n {self.name('edge')} link add lan address 02:00:00:00:00:01 type bridge mcast_snooping 0")
        for number, line in enumerate(SETUP.split("\n")[1:]):
            here, near, there, far = line.format(**{host: self.name(host) for host in self.hosts()}).split()
            ends = (f"{near} netns {here} address 02:00:00:00:01:{number:02x}", f"{far} netns {there} address 02:00:00:00:02:{number:02x}")
            self._ip(f"link add {ends[0]} type veth peer name {ends[1]}")
            for where, device in ((here, near), (there, far)):
                self._offloads(where, device)
                self._ip(f"-n {where} link set {device} addrgenmode none" + (" master lan" if device.startswith("port") else "") + " up")
        self._offloads(self.name("edge"), "lan")
        self._ip(f"-n {self.name('edge')} link set lan addrgenmode none up")
        for host, device, addresses, gateways in ADDRESSES:
            lines = [f"address add {one} dev {device}" + (" nodad" if ":" in one else "") for one in addresses]
            lines += [f"-6 route add default via {one}" if ":" in one else f"route add default via {one}" for one in gateways]
            self._batch(host, lines)
        self._batch("core", [f"route add {CUSTOMERS} via 100.64.0.2", "-6 route add 2001:db8:1::/64 via 2001:db8:ffff::2",
                             "-6 route add 2001:db8:2::/64 via 2001:db8:ffff::2", "route add blackhole default", "-6 route add blackhole default"])
        time.sleep(0.5)

    def _batch(self, host: str, lines: list[str]) -> None:
        for family in (False, True):        # routes of IPv6 need its addresses
            mine = [line.removeprefix("-6 ") for line in lines if line.startswith("-6 ") == family]
            subprocess.run(["ip", *(["-6"] if family else []), "-n", self.name(host), "-batch", "-"], input="\n".join(mine) + "\n", text=True, check=True)

    # -- programs -----------------------------------------------------------------------------------------------------

    def serve(self, server: Callable[[Place, str], T], host: str) -> T:
        """What `server(place, host)` gives, which starts a server there; it is started once."""
        if (server, host) not in self.served:
            self.served[server, host] = server(self, host)
        return self.served[server, host]        # type: ignore[return-value]

    def script(self, module: str, function: str, *words: str | float) -> list[str]:
        """The command line of a function of `benchmarks.attacks.MODULE`."""
        return [sys.executable, "-m", f"{HERE}.{module}", function, *map(str, words)]

    def fails(self, host: str, command: list[str | Path], seconds: float = 60) -> bytes:
        """Run a program whose end may be a failure, for so long at most; what it said."""
        return self.run(host, ["timeout", "-k", "2", str(seconds), *command], check=False, seconds=seconds + 10)

    def begins(self) -> None:
        """The attack begins now; what went before was to be ordinary."""
        self.began = time.time()

    # -- what is on the wire ------------------------------------------------------------------------------------------

    def record(self, link: str, file: Path, every: int = 0) -> None:
        """Write every frame of a link (wire or lan) to a file, with nanoseconds, until `captured`; with `every`, a new file after so many seconds,
        the name being one for strftime."""
        line = ["tcpdump", "-i", {"wire": "wire0", "lan": "lan"}[link], "-n", "-w", file, "-s", "0", "-B", "65536", "-Z", "root",
                "--time-stamp-precision=nano", *(["-G", str(every)] if every else ["-c", str(MOST)])]
        with (self.folder / "tcpdump.log").open("wb") as log:
            self.dump = subprocess.Popen(self._line("edge", line), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        for _ in range(100):
            if "listening on" in (self.folder / "tcpdump.log").read_text(errors="replace"):
                time.sleep(0.2)
                return
            time.sleep(0.1)
        raise Trouble("tcpdump did not start")

    def mirror(self, link: str, probe: str) -> None:
        """Copy what a link carries to `span0` in the namespace `probe`, which must exist."""
        edge, device = self.name("edge"), {"wire": "wire0", "lan": "lan"}[link]
        self._ip(f"link add mirror0 netns {edge} type veth peer name span0 netns {probe}")
        for where, end in ((edge, "mirror0"), (probe, "span0")):
            subprocess.run(["ip", "netns", "exec", where, "sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1"], check=True)
            self._ip(f"-n {where} link set {end} arp off mtu 9000 up")
            self._offloads(where, end)
        self._ip(f"-n {edge} link set {device} promisc on")         # a bridge shows only then what one port sends to another
        rule = "protocol all u32 match u32 0 0 action mirred egress mirror dev mirror0"
        for line in (f"qdisc add dev {device} clsact", f"filter add dev {device} ingress {rule}", f"filter add dev {device} egress {rule}"):
            subprocess.run(["tc", "-n", edge, *line.split()], check=True)


def bindings(folder: Path) -> Path:
    """The bindings file: whose each address is."""
    file = folder / "bindings.csv"
    file.write_text(BINDINGS)
    os.chmod(file, 0o600)
    return file
