"""Names: dnsmasq and dig, and flows whose names come from DNS, SNI or Host."""

from __future__ import annotations

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, SERVER6, Network
from pcaps.make.web import caddy, nginx

KNOWN = {
    "www.youtube.com": "203.0.113.10",
    "i.ytimg.com": "203.0.113.11",
    "www.netflix.com": "203.0.113.12",
    "web.whatsapp.com": "203.0.113.13",
    "www.instagram.com": "203.0.113.14",
    "github.com": "203.0.113.15",
    "outlook.office365.com": "203.0.113.16",
    "zoom.us": "203.0.113.17",
    "www.wikipedia.org": "203.0.113.18",
    "weixin.qq.com": "198.51.100.10",
    "www.bilibili.com": "198.51.100.11",
    "www.taobao.com": "198.51.100.12",
    "www.douyin.com": "198.51.100.13",
    "www.baidu.com": "198.51.100.14",
    "music.163.com": "198.51.100.15",
    "www.zhihu.com": "198.51.100.16",
    "deb.debian.org": "198.51.100.20",
    "pypi.org": "198.51.100.21",
}
"""Well-known names and the documentation addresses that stand for them."""
OWN = {"video.example.com": SERVER, "mail.example.com": SERVER, "files.example.com": SERVER, "sip.example.com": SERVER, "broker.example.com": SERVER}
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def dnsmasq(net: Network) -> None:
    """Start dnsmasq with every name above and give the server their addresses."""
    net.internet(*KNOWN.values())
    lines = [
        "no-daemon",
        "no-resolv",
        "no-hosts",
        "user=root",
        "bind-interfaces",
        f"listen-address={SERVER}",
        f"listen-address={SERVER6}",
        "domain=example.com",
        "local=/com/org/us/arpa/",
        "mx-host=example.com,mail.example.com,10",
        "cname=www.video.example.com,video.example.com",
        "srv-host=_sip._udp.example.com,sip.example.com,5060",
        "txt-record=example.com,v=spf1 mx -all",
        "local-ttl=300",
        f"pid-file={net.folder}/dnsmasq.pid",
        "edns-packet-max=512",
        f"host-record=video.example.com,{SERVER},{SERVER6}",
        "ptr-record=1.2.0.192.in-addr.arpa,server.example.com",
    ]
    lines += [f"host-record={name},{where}" for name, where in {**KNOWN, **OWN}.items() if name != "video.example.com"]
    lines += [f"host-record=many.example.com,192.0.2.{100 + one}" for one in range(60)]
    config = net.folder / "dnsmasq.conf"
    config.write_text("\n".join(lines) + "\n")
    net.start("server", ["dnsmasq", "-C", config], udp=53)


@capture(
    "dns",
    "dnsmasq-base bind9-dnsutils",
    "DNS over UDP and TCP, IPv4 and IPv6: A, AAAA, CNAME, MX, SRV, TXT, PTR, NXDOMAIN, a truncated answer and its retry over TCP",
)
def dns(net: Network) -> None:
    """Questions of every common kind."""
    dnsmasq(net)
    net.capture()
    for words in (
        "video.example.com A",
        "video.example.com AAAA",
        "www.video.example.com A",
        "example.com MX",
        "_sip._udp.example.com SRV",
        "example.com TXT",
        "-x 192.0.2.1",
        "nothing.example.com A",
        "+noedns many.example.com A",
        "+tcp mail.example.com A",
    ):
        net.run("client", ["dig", f"@{SERVER}", *words.split()])
    net.run("client", ["dig", f"@{SERVER6}", "video.example.com", "AAAA"])


@capture(
    "dns-names",
    "dnsmasq-base caddy curl",
    "names from DNS answers, then TLS 1.3 flows with those names as SNI, two of them refused by the client (certificate)",
)
def names(net: Network) -> None:
    """Applications known by name."""
    dnsmasq(net)
    caddy(net, *KNOWN, protocols="h1 h2")
    net.capture()
    for name in ("www.youtube.com", "weixin.qq.com", "www.netflix.com", "www.bilibili.com", "web.whatsapp.com", "music.163.com"):
        net.run("client", ["curl", "-sk", "-A", BROWSER, f"https://{name}/small.json"])
    for name in ("github.com", "www.zhihu.com"):
        net.run("client", ["curl", "-s", f"https://{name}/"], check=False)


@capture("dns-http-hosts", "dnsmasq-base nginx-light curl", "names from DNS answers, then HTTP/1.1 with those names as Host and several user agents")
def hosts(net: Network) -> None:
    """Applications known by Host."""
    dnsmasq(net)
    nginx(net, "server { listen 80 default_server; }")
    net.capture()
    agents = {
        "deb.debian.org": "Debian APT-HTTP/1.3 (2.6.1)",
        "www.baidu.com": BROWSER,
        "pypi.org": "pip/24.0",
        "video.example.com": "VLC/3.0.20 LibVLC/3.0.20",
    }
    for name, agent in agents.items():
        net.run("client", ["curl", "-s", "-A", agent, f"http://{name}/small.json"])
