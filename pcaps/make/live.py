"""python -m pcaps.make.live: the probe at work. Real programs talk in namespaces, their traffic is mirrored to an interface that only the probe reads,
and the store says which customer used what, by the bindings file that the probe was given.

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
from datetime import UTC, datetime
from pathlib import Path

from pcaps.make import databases, dns, messaging, ssh, web
from pcaps.make.catalogue import Capture, install
from pcaps.make.demo import get, work
from pcaps.make.dns import BROWSER, KNOWN, OWN
from pcaps.make.network import ROOT, SERVER, SERVER6, Network, Trouble, address, address6

PROGRAMS = "dnsmasq-base bind9-dnsutils caddy nginx-light curl pypi:aioquic openssh-server openssh-client mosquitto mosquitto-clients redis-server redis-tools"
LENGTH = 30.0
"""Seconds that the clients work."""
STORE = ROOT / "live.chdb"
FULLSPAN = [sys.executable, "-m", "dpi.cli.main"]
#: Customer and service of each user.
LINES = (("c-1001", "line-a-7001"), ("c-1001", "line-b-7002"), ("c-2002", "home-8003"), ("c-3003", "wlan-9004"))
NETWORKS = "192.0.2.0/24,2001:db8::/64"
REPORTS = ("customers", "applications", "quality")
WHO = """
SELECT client_customer_id AS customer, client_service_id AS service, application, protocol, countIf(interval = 0) AS flows,
       sum(client_packets + server_packets) AS packets, sum(client_bytes + server_bytes) AS bytes, any(confidence) AS how FROM flows
GROUP BY customer, service, application, protocol ORDER BY customer, service, bytes DESC"""


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


def bindings(folder: Path) -> Path:
    """The bindings file: whose each user's addresses are."""
    file = folder / "bindings.csv"
    lines = [f"{service},{customer},{one}" for user, (customer, service) in enumerate(LINES) for one in (address(user), address6(user))]
    file.write_text("\n".join(["service_id,customer_id,prefix", *lines]) + "\n")
    file.chmod(0o600)
    return file


def fullspan(*arguments: str) -> str:
    """What a command says."""
    done = subprocess.run([*FULLSPAN, *arguments], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise Trouble(f"fullspan {shlex.join(arguments)}: {done.stderr}")
    return done.stdout


def ask(store: Path, sql: str) -> str:
    """Fullspan's answer."""
    return fullspan("query", sql, "--store", f"chdb://{store}", "--reason", "demonstration")


def written(since: float) -> list[Path]:
    """Reports of the minutes since then, in both languages."""
    begin, end = (f"{datetime.fromtimestamp(at // 60 * 60, UTC):%Y-%m-%dT%H:%M}" for at in (since, time.time() + 60))
    files = []
    for name in REPORTS:
        for language in ("en", "zh"):
            files.append(ROOT / f"live-{name}.{language}.html")
            fullspan("report", name, "--store", f"chdb://{STORE}", "--from", begin, "--to", end, "--lang", language, "--out", str(files[-1]))
    return files


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
            whose = {"FULLSPAN_IDENTITY_BINDINGS": str(bindings(net.folder)), "FULLSPAN_IDENTITY_LOCAL_NETWORKS": NETWORKS}
            probe = subprocess.Popen(["nsenter", f"--net=/run/netns/{namespace}", *FULLSPAN, "probe", "-i", "span0", "--store", f"chdb://{STORE}"],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **whose})
            assert probe.stderr is not None
            while "reading" not in (line := probe.stderr.readline()):
                if not line:
                    raise Trouble("the probe did not start")
                print(line, end="")
            net.capture()
            began, since = time.monotonic(), time.time()
            work(net, day(net, options), LENGTH + 10)
            net.captured()
            probe.send_signal(signal.SIGTERM)
            said, complaint = probe.communicate(timeout=60)
            if probe.returncode:
                raise Trouble(complaint)
            print(f"{time.monotonic() - began:.0f} s after the first client began everything is stored. The probe says:\n{said}")
            print("Which customer and service used what:\n" + ask(STORE, WHO))
            print("Usage, as it is billed:\n" + fullspan("usage", "show", "--store", f"chdb://{STORE}"))
            print("Reports of these minutes:", *(file.relative_to(ROOT) for file in written(since)), sep="\n  ")
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
