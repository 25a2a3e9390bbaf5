"""Captures through the whole pipeline with bindings by user, circuit and MAC address: whose each packet is, to the byte."""
from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dpkt
import pytest

from dpi.errors import UserError
from dpi.jit import BUILD
from dpi.replaying import ReplayOptions, run
from dpi.settings import load
from tests.capture.crafted import pcap
from tests.golden.rows import Kept
from tests.hostile.samples import ip4, udp
from tests.identity import telling
from tests.identity.telling import CLIENT, SERVER, access_line, control, datagram, discovery, frame, ppp, session

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
NOBODY = ""
pytestmark = pytest.mark.skipif(BUILD == "off", reason="minutes of plain Python for what the twins have compared")


def bindings(folder: Path, *lines: str) -> Path:
    """A bindings file: service, and one cell by its column."""
    rows = [f"{service},cust-{service},{','.join(value if column == name else '' for column in ('prefix', 'mac', 'user', 'circuit'))},{since},{until}"
            for service, name, value, since, until in (tuple((line + ";;").split(";")[:5]) for line in lines)]
    path = folder / "bindings.csv"
    path.write_text("service_id,customer_id,prefix,mac,user,circuit,valid_from,valid_to\n" + "\n".join(rows) + "\n")
    path.chmod(0o600)
    return path


def replayed(capture: Path, bound: Path | None, workers: int = 1, **said: str) -> tuple[Kept, Any]:
    """Rows of a capture. said: of [identity]."""
    kept = Kept()
    settings = load("/dev/null", {f"FULLSPAN_IDENTITY_{name.upper()}": value for name, value in said.items()})
    outcome = run([str(capture)], sinks=[kept], options=ReplayOptions(workers=workers, bindings=str(bound) if bound else None), settings=settings)
    return kept, outcome


def written(path: Path, frames: Iterable[tuple[float, bytes]]) -> Path:
    """A capture of frames at seconds."""
    path.write_bytes(pcap([(int(time), round(time % 1 * 1e6), data, len(data)) for time, data in frames]))
    return path


def volumes(kept: Kept, port: int = 7007) -> dict[str, tuple[int, int]]:
    """Packets and IP octets of each service on the client's side of flows to a port."""
    found: Counter[str] = Counter()
    octets: Counter[str] = Counter()
    for row in kept.rows("flows"):
        if row["server_port"] == port:
            found[row["client_service_id"]] += row["client_packets"] + row["server_packets"]
            octets[row["client_service_id"]] += row["client_bytes"] + row["server_bytes"]
    return {service: (count, octets[service]) for service, count in found.items()}


def read(capture: Path) -> list[tuple[int, bytes]]:
    """(us, frame) as another reader has them."""
    with capture.open("rb") as file:
        return [(round(time * 1e6), frame) for time, frame in dpkt.pcap.Reader(file)]


RADIUS = PCAPS / "radius-sessions.pcap"
USERS = ("a;user;alice@example.com", "b;user;bob@example.com", "m;user;mallory@example.com")


def by_hand() -> dict[str, tuple[int, int]]:
    """Whose the packets of radius-sessions.pcap are, walking through it with another decoder and a dictionary."""
    holder: dict[str, str] = {}
    sessions: dict[bytes, str] = {}
    found: Counter[str] = Counter()
    octets: Counter[str] = Counter()
    names = {b"alice@example.com": "a", b"bob@example.com": "b"}
    for _, data in read(RADIUS):
        packet = dpkt.ethernet.Ethernet(data).data
        if not isinstance(packet, dpkt.ip.IP) or not isinstance(packet.data, dpkt.udp.UDP):
            continue
        source, target = (".".join(map(str, one)) for one in (packet.src, packet.dst))
        if packet.data.dport == 1813 and source == "192.0.2.12":
            said = dict(dpkt.radius.parse_attrs(packet.data.data[20:]))
            status, name = said[40][-1], said.get(44, b"")
            if status == 1:
                address = ".".join(map(str, said[8]))
                holder[address], sessions[name] = names[said[1]], address
            elif status == 2:
                holder.pop(sessions.pop(name))
            elif status == 7:
                holder.clear()
        elif 7007 in (packet.data.sport, packet.data.dport):
            service = holder.get(source if packet.data.dport == 7007 else target, NOBODY)
            found[service] += 1
            octets[service] += packet.len
    return {service: (count, octets[service]) for service, count in found.items()}


def test_a_stop_and_a_start_with_another_address_are_followed(tmp_path: Path) -> None:
    kept, outcome = replayed(RADIUS, bindings(tmp_path, *USERS), radius_from="192.0.2.12/32")
    want = by_hand()
    assert set(want) == {"a", "b", NOBODY} and volumes(kept) == want
    assert outcome.counters["sessions_untrusted"] == 2 and outcome.counters["sessions_restarted"] == 2
    long = sorted((row for row in kept.rows("flows") if row["client_port"] == 40000), key=lambda row: row["interval"])
    assert [row["client_service_id"] for row in long] == ["a", NOBODY, "b"] and len({row["flow_id"] for row in long}) == 1
    told = [(row["time"], row["action"], row["service_id"], row["learned_from"]) for row in kept.rows("sessions") if row["address"] == "192.0.2.10"]
    assert [one[1:] for one in told] == [("start", "a", "radius"), ("stop", "a", "radius"), ("start", "b", "radius")]
    # cut at the very packets: nothing of a is as late as the stop, nothing of b is earlier than her start
    assert long[0]["interval_end"] < told[1][0] <= long[1]["interval_start"] <= long[1]["interval_end"] < told[2][0] <= long[2]["interval_start"]
    assert not {"alice", "bob", "example"} & set(str(kept.rows("sessions")).replace("@", " ").split())


def test_forged_accounting_counts_where_nobody_says_whom_to_believe(tmp_path: Path) -> None:
    kept, outcome = replayed(RADIUS, bindings(tmp_path, *USERS))
    assert volumes(kept)["m"] == (10, 10 * 328) and outcome.counters["sessions_untrusted"] == 0


def test_several_workers_have_the_rows_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpi.replaying.ALONE", 1)
    bound = bindings(tmp_path, *USERS)
    rows = []
    for workers in (1, 2, 4):
        kept, outcome = replayed(RADIUS, bound, workers, radius_from="192.0.2.12")
        rows.append((sorted(str({k: v for k, v in row.items() if k not in ("stored_time", "flow_id")}) for row in kept.rows("flows")),
                     [(row["time"], row["action"], row["address"], row["service_id"]) for row in kept.rows("sessions")],
                     {name: count for name, count in outcome.counters.items() if name.startswith("sessions_")}))
    assert rows[1] == rows[0] and rows[2] == rows[0]


def test_nothing_is_learned_where_nothing_asks_for_it(tmp_path: Path) -> None:
    prefix = bindings(tmp_path, "p;prefix;192.0.2.0/24")
    (tmp_path / "users").mkdir()
    users = bindings(tmp_path / "users", *USERS)
    for bound, said in ((None, {}), (prefix, {}), (users, {"learn": "off"}), (users, {"learn": "dhcp"})):
        kept, outcome = replayed(RADIUS, bound, **said)
        assert not kept.rows("sessions") and not outcome.counters.get("sessions_started")
    kept, _ = replayed(RADIUS, None, learn="radius")
    assert len(kept.rows("sessions")) == 9 and {row["service_id"] for row in kept.rows("sessions")} == {""}
    for name, value, why in (("learn", "radius,ldap", "'ldap'"), ("learn", "off,dhcp", "off"), ("radius_from", "192.0.2.300", "192.0.2.300")):
        with pytest.raises(UserError, match=why):
            replayed(RADIUS, None, **{"learn": "radius", name: value})


LEASE = PCAPS / "dhcp-lease.pcap"


def tagged(frame: bytes, vlan: int) -> bytes:
    return frame[:12] + struct.pack(">HH", 0x8100, vlan) + frame[12:]


def test_a_lease_moves_with_its_address(tmp_path: Path) -> None:
    """Seen beyond a router, where MAC addresses of clients are not: frames get others, DHCP says whose they are."""
    moved = tmp_path / "moved.pcap"
    written(moved, ((time / 1e6, (bytes.fromhex("0200000000fe0200000000fd") if data[12:14] == b"\x08\0" else data[:12]) + data[12:])
                    for time, data in read(LEASE)))
    kept, outcome = replayed(moved, bindings(tmp_path, "one;mac;02:00:00:00:01:0a", "two;mac;02:00:00:00:01:0b"))
    assert volumes(kept) == {"one": (8, 8 * 128), "two": (12, 12 * 228)}
    assert outcome.counters["sessions_started"] == 2        # renewals are no others
    assert [(row["action"], row["service_id"]) for row in kept.rows("sessions")] == [("start", "one"), ("stop", "one"), ("start", "two"), ("stop", "two")]


def test_the_same_address_in_two_vlans(tmp_path: Path) -> None:
    """Both clients have 192.0.2.50 at the same time, each in a VLAN of its own."""
    frames = [(time, data) for time, data in read(LEASE) if data[12:14] == b"\x08\0"]
    hers = [(time, data) for time, data in frames if 0x0B in (data[5], data[11]) or b"\x02\0\0\0\x01\x0b" in data]
    his = [one for one in frames if one not in hers]
    shift = hers[0][0] - his[0][0]
    both = sorted([(time, tagged(data, 10)) for time, data in his] + [(time - shift + 7, tagged(data, 20)) for time, data in hers])
    capture = written(tmp_path / "both.pcap", [(time / 1e6, data) for time, data in both])
    bound = bindings(tmp_path, "one;mac;02:00:00:00:01:0a", "two;mac;02:00:00:00:01:0b")
    # the servers' and the clients' MAC addresses say nothing on this side of a router
    anonymous = written(tmp_path / "anonymous.pcap", [(time / 1e6, bytes.fromhex("0200000000fe0200000000fd") + data[12:]) for time, data in both])
    for path in (capture, anonymous):
        kept, _ = replayed(path, bound)
        assert volumes(kept) == {"one": (8, 8 * 128), "two": (12, 12 * 228)}
        assert {(row["vlan"], row["client_service_id"]) for row in kept.rows("flows") if row["server_port"] == 7007} == {(10, "one"), (20, "two")}


def talk(source: str, size: int, port: int = 40000, macs: bytes = b"\2\0\0\0\0\xfe\2\0\0\0\0\xfd") -> bytes:
    from ipaddress import ip_address
    return macs + b"\x08\0" + ip4(17, udp(port, 7007, bytes(size)), (ip_address(source).packed, bytes((198, 51, 100, 7))))


def test_the_line_that_a_relay_names(tmp_path: Path) -> None:
    agent = telling.option(82, telling.option(1, b"\0\4\0\x0a\1\2") + telling.option(2, b"cpe-7"))
    other = telling.option(82, telling.option(1, b"olt1 1/1/3"))
    frames = [
        (1000.0, datagram(telling.leased(5, "10.0.0.9", relay="10.0.0.1", more=agent), 67)), (1001.0, talk("10.0.0.9", 100)),
        (1050.0, datagram(telling.leased(5, "10.0.0.9"), 68, vlans=(10,))),             # renewed past the relay, without its option
        (1130.0, talk("10.0.0.9", 200)), (1171.0, talk("10.0.0.9", 300)),               # 120 s after the renewal it is over
        (1180.0, datagram(telling.leased(5, "10.0.0.9", CLIENT[:5] + b"\x77", relay="10.0.0.1", more=other), 67)), (1181.0, talk("10.0.0.9", 400))]
    bound = bindings(tmp_path, "hex;circuit;0x0004000a0102", "text;circuit;olt1 1/1/3")
    kept, _ = replayed(written(tmp_path / "relay.pcap", frames), bound)
    assert volumes(kept) == {"hex": (2, 128 + 228), NOBODY: (1, 328), "text": (1, 428)}
    remote, _ = replayed(tmp_path / "relay.pcap", bindings(tmp_path, "cpe;circuit;cpe-7"))
    assert volumes(remote)["cpe"] == (2, 128 + 228)


def test_pppoe_by_pap_and_by_chap(tmp_path: Path) -> None:
    """Two users one after the other in the same session of the same line; their packets are inside of it."""
    def inside(size: int) -> bytes:
        return ppp(0x0021, ip4(17, udp(40000, 7007, bytes(size)), (bytes((10, 0, 0, 7)), bytes((198, 51, 100, 7)))))

    def address(last: int) -> bytes:
        return ppp(0x8021, control(2, b"\3\6\x0a\0\0" + bytes([last])), up=False)

    opened = [discovery(0x19, tags=access_line(b"port 7", b"")), discovery(0x65, 17, up=False)]
    frames = [*opened, ppp(0xC023, control(1, b"\5alice\6secret")), address(7), inside(100), inside(100), discovery(0xA7, 17), inside(300),
              *opened, ppp(0xC223, control(2, b"\x10" + bytes(16) + b"bob")), address(7), inside(400), ppp(0xC021, control(5)), inside(500)]
    capture = written(tmp_path / "pppoe.pcap", [(1000 + k * 0.1, data) for k, data in enumerate(frames)])
    kept, outcome = replayed(capture, bindings(tmp_path, "a;user;alice", "b;user;bob"))
    assert volumes(kept) == {"a": (2, 256), NOBODY: (2, 328 + 528), "b": (1, 428)}
    assert outcome.captures[0].refused == {"not_ip": len(frames) - 5}
    kept, _ = replayed(capture, bindings(tmp_path, "line;circuit;port 7"))
    assert volumes(kept) == {"line": (3, 256 + 428), NOBODY: (2, 328 + 528)}


def test_addresses_of_ipv6(tmp_path: Path) -> None:
    """A prefix that is delegated through PPPoE is the user's; the longer of two prefixes holds."""
    from ipaddress import ip_address

    from tests.hostile.samples import ip6
    where = [ip_address(one).packed for one in ("2001:db8:5::1", "2001:db8:5:0:1::1", "2001:db8:5:100::1", "2001:db8:f::1")]

    def from_(place: int, size: int) -> bytes:
        return frame(0x86DD, ip6(17, udp(40000, 7007, bytes(size)), (where[place], where[3])))

    reply = ip6(17, udp(547, 546, telling.given(prefix="2001:db8:5::/56")), (ip_address("fe80::1").packed, ip_address("fe80::2").packed))
    framed = telling.accounting(1, telling.attribute(1, b"bob"), telling.attribute(44, b"s"), telling.attribute(97, b"\0\x40" + where[1]))
    frames = [discovery(0x65, 17, up=False), ppp(0xC023, control(1, b"\5alice\6secret")), ppp(0x0057, reply, up=False), from_(0, 100), from_(2, 200),
              datagram(framed, 1813), from_(0, 300), from_(1, 400), datagram(session(2, "bob", "s", nas="192.0.2.12"), 1813)]
    capture = written(tmp_path / "six.pcap", [(1000 + k * 0.1, data) for k, data in enumerate(frames)])
    kept, _ = replayed(capture, bindings(tmp_path, "a;user;alice", "b;user;bob"))
    assert volumes(kept) == {"a": (1, 148), NOBODY: (1, 248), "b": (2, 348 + 448)}


def test_a_line_of_the_bindings_that_ends_while_its_user_is_there(tmp_path: Path) -> None:
    frames = [(1000.0, datagram(session(1, "alice", "s1", "10.0.0.7"), 1813)), *((1001.0 + k, talk("10.0.0.7", 100)) for k in range(20))]
    bound = bindings(tmp_path, "old;user;alice;;1970-01-01T00:16:50Z", "new;user;alice;1970-01-01T00:16:55Z")
    kept, _ = replayed(written(tmp_path / "ends.pcap", frames), bound)
    assert volumes(kept) == {"old": (9, 9 * 128), NOBODY: (5, 5 * 128), "new": (6, 6 * 128)}


def test_more_changes_than_may_wait_are_all_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One flow of accounting, whose row leaves at the end only: what it told is written before."""
    monkeypatch.setattr("dpi.identity.sessions.ROWS", 400)
    frames = [(1000 + k / 1000, datagram(session(1, "alice", f"s{k}", f"10.1.{k >> 8}.{k & 255}"), 1813)) for k in range(2000)]
    capture, bound = written(tmp_path / "many.pcap", frames), bindings(tmp_path, "a;user;alice")
    kept, outcome = replayed(capture, bound)
    assert len(kept.rows("sessions")) == 2000 and outcome.counters["sessions_rows_lost"] == 0


def test_the_file_of_a_probe(tmp_path: Path) -> None:
    """Leases are there again after a restart; a file that is not whole is left, and sessions begin anew."""
    import time

    from dpi.identity.remembered import Remembered
    from dpi.identity.sessions import Learning
    from tests.identity.telling import Ear
    from tests.identity.test_leases import learned, who
    path, learning = tmp_path / "sessions.state", Learning(kinds=7, most=2000)
    first = Remembered(path, learning)
    ear, now = Ear(learning), time.time_ns() // 1000
    ear.sessions, ear.tap = first.sessions, first.sessions.tap()
    frames = [datagram(session(1, f"user{k}", f"s{k}", f"10.0.0.{k}"), 1813) for k in range(1, 9)]
    learned(ear, [*frames, datagram(session(2, "user3", "s3"), 1813), datagram(telling.leased(5, "10.0.0.99", lifetime=1), 68)], [now] * 9 + [now - 2_000_000])
    first.write()
    assert not path.exists()                # it is not yet time
    first.write(always=True)
    assert oct(os.stat(path).st_mode & 0o777) == "0o600" and b"user" not in path.read_bytes()
    second = Remembered(path, learning)
    assert second.sessions.key == first.sessions.key and second.sessions.counters()["open"] == 7
    other = Ear(learning)
    other.sessions, other.tap = second.sessions, second.sessions.tap()
    ours = [who(other, 0x0A000000 | k, now + 1) for k in range(1, 9)]
    assert ours == [who(ear, 0x0A000000 | k, now + 1) for k in range(1, 9)] and [bool(one) for one in ours] == [True, True, False] + [True] * 5
    frames = [datagram(session(3, "user1", "s1", "10.0.0.1"), 1813), datagram(session(2, "user2", "s2"), 1813)]
    assert learned(other, frames, [now + 2] * 2) == ["stop 10.0.0.2"]
    whole = path.read_bytes()
    for broken in (whole[:-1], whole.replace(b"sessions 1", b"sessions 9"), b"", b"{}\n", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(broken)
        fresh = Remembered(path, learning)
        assert fresh.sessions.counters()["open"] == 0 and fresh.sessions.key != first.sessions.key
    small = Remembered(None, Learning(kinds=7, most=1024))
    small.write(always=True)
    assert small.sessions.key != first.sessions.key and SERVER != CLIENT
