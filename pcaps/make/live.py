"""python -m pcaps.make.live: the probe at work. Real programs talk in namespaces, their traffic is mirrored to an interface that only the probe reads,
and the store says who used what.

Beside the probe tcpdump reads the same bridge: what it kept is replayed, and both must have the same conversations.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from pcaps.make import databases, dns, messaging, ssh, web
from pcaps.make.catalogue import Capture, install
from pcaps.make.demo import get, work
from pcaps.make.dns import BROWSER, KNOWN, OWN
from pcaps.make.network import ROOT, SERVER, SERVER6, Network, Trouble

PROGRAMS = "dnsmasq-base bind9-dnsutils caddy nginx-light curl pypi:aioquic openssh-server openssh-client mosquitto mosquitto-clients redis-server redis-tools"
LENGTH = 30.0
"""Seconds that the clients work."""
STORE = ROOT / "live.chdb"
FULLSPAN = [sys.executable, "-m", "dpi.cli.main"]
WHO = """
SELECT client_ip AS client, application, protocol, count() AS flows, sum(client_packets + server_packets) AS packets,
       sum(client_bytes + server_bytes) AS bytes, any(confidence) AS how FROM flows
GROUP BY client_ip, application, protocol ORDER BY client, bytes DESC"""


def mirror(net: Network, probe: str) -> None:
    """Copy what the bridge receives and sends to `span0` in the namespace `probe`, which is made."""
    server = net.name("server")
    for line in (f"ip netns add {probe}", f"ip link add mirror0 netns {server} type veth peer name span0 netns {probe}"):
        subprocess.run(line.split(), check=True)
    for where, device in ((server, "mirror0"), (probe, "span0")):
        subprocess.run(["ip", "netns", "exec", where, "sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1"], check=True)
        subprocess.run(f"ip -n {where} link set {device} arp off mtu 9000 up".split(), check=True)
        net._offloads(where, device)
    rule = "protocol all u32 match u32 0 0 action mirred egress mirror dev mirror0"
    for line in ("qdisc add dev br0 clsact", f"filter add dev br0 ingress {rule}", f"filter add dev br0 egress {rule}"):
        subprocess.run(["tc", "-n", server, *line.split()], check=True)


def day(net: Network, options: list[str]) -> list[tuple[float, int, str]]:
    """What each of four users does: (second, user, shell line)."""
    quic = shlex.join(net.call("web.quic_get", ["www.youtube.com", "www.youtube.com", "/", "/small.json"]))
    shell = shlex.join(["ssh", *options, f"root@{SERVER}", "date; ls -l /"])
    return sorted([
        (0.2, 3, "mosquitto_sub -h broker.example.com -i listener -t 'office/#' -W 25"),
        (0.5, 0, get("www.youtube.com", "", "small.json", "picture.bin")), (1.0, 1, get("web.whatsapp.com", "", "small.json")),
        (2.0, 2, get("weixin.qq.com", "", "small.json")), (3.0, 0, quic), (4.0, 3, shell),
        (5.0, 2, f"curl -s -A {shlex.quote(BROWSER)} http://www.baidu.com/ http://www.baidu.com/small.json"),
        (6.0, 1, get("www.instagram.com", "picture.bin")), (8.0, 0, get("github.com", "small.json")), (9.0, 2, get("www.bilibili.com", "picture.bin")),
        (10.0, 3, f"redis-cli -h {SERVER} SET colour blue"), (12.0, 1, f"dig @{SERVER} example.com MX"), (14.0, 2, get("www.zhihu.com", "")),
        (16.0, 0, get("www.wikipedia.org", "")), (20.0, 1, get("web.whatsapp.com", "small.json")), (24.0, 2, get("www.taobao.com", "picture.bin")),
        *((7.0 + 4 * one, 3, f"mosquitto_pub -h broker.example.com -i sensor -q 1 -t office/heat -m 2{one}.5") for one in range(5)),
    ])


def ask(store: Path, sql: str) -> str:
    """Fullspan's answer."""
    return subprocess.run([*FULLSPAN, "query", sql, "--store", f"chdb://{store}"], check=True, capture_output=True, text=True, cwd=ROOT).stdout


def conversations(store: Path) -> set[str]:
    """Both ends and the protocol of every flow."""
    return set(ask(store, "SELECT DISTINCT ip_protocol, client_ip, client_port, server_ip, server_port FROM flows").splitlines()[1:])


def main() -> int:
    """0 where the probe has every conversation that tcpdump has, and lost nothing."""
    if os.geteuid():
        return subprocess.run(["sudo", sys.executable, "-m", "pcaps.make.live"], check=False).returncode
    install([Capture("live", tuple(PROGRAMS.split()), "", 4, "make/live.py", lambda _: None)])
    for old in (STORE, STORE.with_name(STORE.name + ".spool")):
        shutil.rmtree(old, ignore_errors=True)
    with Network(4) as net:
        namespace, probe = net.name("probe"), None
        try:
            web.site(net)
            dns.dnsmasq(net)
            web.caddy(net, *KNOWN, *OWN, at=(SERVER, SERVER6, *KNOWN.values()))
            web.nginx(net, "server { listen 80 default_server; }")
            options = ssh.sshd(net)
            messaging.mosquitto(net)
            databases.redis_server(net)
            mirror(net, namespace)
            probe = subprocess.Popen(["nsenter", f"--net=/run/netns/{namespace}", *FULLSPAN, "probe", "-i", "span0", "--store", f"chdb://{STORE}"],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
            assert probe.stderr is not None
            while "reading" not in (line := probe.stderr.readline()):
                if not line:
                    raise Trouble("the probe did not start")
                print(line, end="")
            net.capture()
            began = time.monotonic()
            work(net, day(net, options), LENGTH + 10)
            net.captured()
            probe.send_signal(signal.SIGTERM)
            said, complaint = probe.communicate(timeout=60)
            if probe.returncode:
                raise Trouble(complaint)
            print(f"{time.monotonic() - began:.0f} s after the first client began everything is stored. The probe says:\n{said}")
            print("Who used what:\n" + ask(STORE, WHO))
            return compare(net.folder)
        finally:
            if probe is not None and probe.poll() is None:
                probe.kill()
            subprocess.run(["ip", "netns", "delete", namespace], check=False)


def compare(folder: Path) -> int:
    """The probe's conversations beside those of tcpdump's capture."""
    replayed = folder / "replayed.chdb"
    subprocess.run([*FULLSPAN, "replay", str(folder / "part.pcap"), "--store", f"chdb://{replayed}"], check=True, capture_output=True, cwd=ROOT)
    mine, theirs = conversations(STORE), conversations(replayed)
    unnamed = ask(STORE, "SELECT countIf(protocol = '') FROM flows WHERE ip_protocol IN (6, 17)").split()[-1]
    print(f"{len(mine)} conversations; tcpdump beside it has {len(theirs)}, {len(theirs - mine)} of them are missing here; "
          f"{unnamed} TCP or UDP rows without a name.")
    print(f"Rows: {STORE} (ask on with: fullspan query --store chdb://{STORE} '...')")
    return 1 if theirs - mine else 0


if __name__ == "__main__":
    sys.exit(main())
