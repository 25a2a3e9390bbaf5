"""demo.pcap: a small office for a little more than a minute, the capture that the demo replays."""

from __future__ import annotations

import shlex
import time

from pcaps.make import databases, dns, files, mail, management, messaging, ssh, voice, web
from pcaps.make.catalogue import capture
from pcaps.make.dns import BROWSER, KNOWN, OWN
from pcaps.make.network import SERVER, SERVER6, Network, Trouble

FILM = 120_000
"""Octets of the one large file."""
LENGTH = 76
"""Seconds from the first program's start to the last one's."""
PROGRAMS = (
    "dnsmasq-base bind9-dnsutils caddy nginx-light curl pypi:aioquic openssh-server openssh-client postfix dovecot-imapd mosquitto "
    "mosquitto-clients sip-tester"
    " postgresql-15 postgresql-client-15 redis-server redis-tools samba smbclient chrony ntpsec-ntpdig"
)


def get(name: str, *pages: str, more: str = "") -> str:
    """A browser's requests to one site."""
    return f"curl -sk --connect-timeout 5 -A {shlex.quote(BROWSER)} {more} " + " ".join(f"-o /dev/null https://{name}/{page}" for page in pages)


def day(net: Network, options: list[str], words: str) -> list[tuple[float, int, str]]:
    """What each of six users does: (second, user, shell line)."""
    quic = shlex.join(net.call("web.quic_get", ["www.youtube.com", "www.youtube.com", "/", "/film.bin", "/small.json"]))
    shell = shlex.join(["ssh", *options, f"root@{SERVER}", "for one in 1 2 3 4 5 6 7 8; do date; ls -l /; sleep 5; done"])
    letter = f"curl -s smtp://mail.example.com/desk --mail-from alice@example.com --mail-rcpt bob@example.com -T {net.folder}/letter"
    inbox = "curl -sk --ssl-reqd -u alice:secret 'imap://mail.example.com/INBOX;MAILINDEX=1'"
    plain = f"curl -s -A {shlex.quote(BROWSER)} "
    lines = [
        (0.0, 0, f"ntpdig {SERVER}"),
        (0.3, 5, "mosquitto_sub -h broker.example.com -i listener -t 'office/#' -W 70"),
        (0.6, 4, shell),
        (1.0, 0, get("www.youtube.com", "", "small.json", "picture.bin")),
        (1.5, 0, get("i.ytimg.com", "picture.bin")),
        (2.0, 3, get("www.netflix.com", "film.bin", more="--limit-rate 2K")),
        (3.0, 1, get("web.whatsapp.com", "", "small.json")),
        (4.0, 2, get("weixin.qq.com", "", "small.json")),
        (5.0, 1, shlex.join(voice.call(net, "client1", 1, 9000))),
        (6.0, 2, plain + "http://www.baidu.com/ http://www.baidu.com/small.json"),
        (8.0, 3, quic),
        (9.0, 0, letter),
        (11.0, 0, get("www.wikipedia.org", "")),
        (12.0, 4, f"psql {shlex.quote(words + ' sslmode=disable')} -c {shlex.quote(databases.QUESTIONS)}"),
        (14.0, 2, get("music.163.com", "picture.bin")),
        (15.0, 1, inbox),
        (17.0, 3, f"smbclient -s /dev/null -N //{SERVER}/files -c 'ls; get book.txt {net.folder}/book.txt; put {net.folder}/letter letter.eml'"),
        (19.0, 5, get("github.com", "small.json")),
        (21.0, 4, f"redis-cli -h {SERVER} SET colour blue"),
        (22.0, 4, f"redis-cli -h {SERVER} GET colour"),
        (24.0, 2, get("www.bilibili.com", "", "film.bin")),
        (26.0, 1, get("www.instagram.com", "picture.bin")),
        (28.0, 0, get("outlook.office365.com", "", "small.json")),
        (30.0, 5, "curl -s -A 'Debian APT-HTTP/1.3 (2.6.1)' http://deb.debian.org/small.json"),
        (32.0, 0, get("zoom.us", "")),
        (34.0, 4, f"dig @{SERVER} example.com MX"),
        (36.0, 4, f"dig @{SERVER} nothing.example.com"),
        (38.0, 2, get("www.zhihu.com", "")),
        (40.0, 3, get("video.example.com", "film.bin", more="--http1.1")),
        (42.0, 1, inbox),
        (44.0, 2, get("www.douyin.com", "picture.bin", "small.json")),
        (46.0, 5, get("pypi.org", "small.json")),
        (48.0, 0, letter),
        (50.0, 4, f"psql {shlex.quote(words + ' sslmode=require')} -c 'SELECT count(*) FROM person'"),
        (52.0, 1, get("web.whatsapp.com", "small.json")),
        (54.0, 2, get("www.taobao.com", "", "picture.bin")),
        (57.0, 1, shlex.join(voice.call(net, "client1", 1, 8500, 5062))),
        (60.0, 0, get("www.youtube.com", "small.json")),
        (62.0, 2, get("weixin.qq.com", "small.json")),
        (65.0, 3, quic),
        (68.0, 4, f"redis-cli -h {SERVER} INFO server"),
        (70.0, 0, inbox),
        (72.0, 2, plain + "http://www.baidu.com/"),
        (LENGTH, 5, get("github.com", "")),
    ]
    lines += [(7.0 + 10 * one, 5, f"mosquitto_pub -h broker.example.com -i sensor -q 1 -t office/heat -m 2{one}.5") for one in range(7)]
    return sorted(lines)


def work(net: Network, plan: list[tuple[float, int, str]], seconds: float) -> None:
    """Let the users do what is planned; Trouble if a program fails or is not done after so long."""
    begin, running = time.monotonic(), []
    for second, user, line in plan:
        time.sleep(max(0.0, begin + second - time.monotonic()))
        running.append((line, net.start("client" + (str(user) if user else ""), ["sh", "-c", line])))
    failed = []
    for line, process in running:
        code = process.wait(max(1.0, begin + seconds - time.monotonic()))
        if code and not line.startswith("mosquitto_sub"):
            failed.append(f"{code}: {line[:150]}")
    if failed:
        raise Trouble("; ".join(failed))


@capture(
    "demo",
    PROGRAMS,
    "six users of an office for a minute and a quarter, across two full minutes: DNS, TLS 1.3 and HTTP/3 to well-known names (answered "
    "locally), HTTP, SSH, "
    "mail, MQTT, calls with RTP, databases, SMB, NTP",
    users=6,
)
def demo(net: Network) -> None:
    """Start every server, wait for second 50 of a minute, and let the users work."""
    (web.site(net) / "film.bin").write_bytes(bytes(range(250)) * (FILM // 250))
    (net.folder / "letter").write_text(mail.MESSAGE)
    dns.dnsmasq(net)
    web.caddy(net, *KNOWN, *OWN, at=(SERVER, SERVER6, *KNOWN.values()))
    web.nginx(net, "server { listen 80 default_server; }")
    options = ssh.sshd(net)
    mail.postfix(net)
    mail.dovecot(net)
    messaging.mosquitto(net)
    voice.answerer(net)
    words = databases.postgres(net)
    databases.redis_server(net)
    files.samba(net)
    management.chronyd(net)
    plan = day(net, options, words)
    time.sleep((50 - time.time()) % 60)
    net.capture()
    work(net, plan, LENGTH + 20)
