"""Each detector with made-up rows: nothing just under its limit, one alert just over it, and what must not make it fire."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dpi.batch import Coded
from dpi.security.registry import configured
from tests.security.made import ACK, ANSWERED, FIN, RST, SYN, batch, kinds, row, watch

VICTIM, SIX, INSIDE = "192.0.2.10", "2001:db8:1::10", "10.9.8.7"
REFUSED = {"server_tcp_flags": RST | ACK, **ANSWERED}
UDP = {"ip_protocol": 17, "client_tcp_flags": 0}
PING = {"ip_protocol": 1, "client_tcp_flags": 0, "icmp_type": 8, "server_port": 0}
STRAY = {"client_tcp_flags": ACK, "midstream": 1}


def ports(count: int, client: str = "203.0.113.5", server: str = VICTIM, **given: Any) -> list[dict[str, Any]]:
    return [row(client, server, 1 + k, at=k % 50, **given) for k in range(count)]


def hosts(count: int, port: int = 22, client: str = "203.0.113.5", gap: float = 0.0, **given: Any) -> list[dict[str, Any]]:
    return [row(client, f"192.0.{k >> 8}.{k & 255}", port, at=k * gap, **given) for k in range(count)]


def flood(packets: int, server: str = VICTIM, sources: int = 20, port: int = 80, **given: Any) -> list[dict[str, Any]]:
    """So many packets in a slot of 10 s, in 100 rows, from several sources."""
    return [row(f"203.0.113.{1 + k % sources}", server, port, at=k * 0.09, client_packets=(packets + 99 - k) // 100,
                client_bytes=(packets + 99 - k) // 100 * 40, client_port=1024 + k, **given) for k in range(100)]


def carpet(packets: int, targets: int, net: str = "192.0.2.", **given: Any) -> list[dict[str, Any]]:
    return [row("203.0.113.5", f"{net}{1 + k % targets}", 80, at=k * 0.09, client_packets=packets // 100, client_port=1024 + k, **given) for k in range(100)]


def amplified(kilobytes: int, reflectors: int = 4, **given: Any) -> list[dict[str, Any]]:
    one = {**UDP, "client_packets": 0, "client_bytes": 0, "server_packets": 10, "server_bytes": kilobytes * 10 + 1}
    return [row(VICTIM, f"198.51.100.{1 + k % reflectors}", 53, at=k * 0.5, **{**one, **given}) for k in range(100)]


def echoes(packets: int = 30, size: int = 600, extra: int = 7, back: int = -1, client: str = "203.0.113.5") -> list[dict[str, Any]]:
    """A row of pings of these many packets each way; extra: octets by which one is larger; back: the size of what comes back."""
    sent = packets * size + extra
    return [row(client, VICTIM, **{**PING, "client_packets": packets, "server_packets": packets, "client_bytes": sent,
                                   "server_bytes": sent if back < 0 else packets * back})]


def logins(count: int, port: int = 22, up: int = 3000, down: int = 3000, gap: float = 1, client: str = "203.0.113.5", hosts: int = 1, server: str = "192.0.2.",
           first: int = 10, **given: Any) -> list[dict[str, Any]]:
    """Connections with a log-in, a second apart."""
    return [row(client, f"{server}{first + k % hosts}", port, at=k * gap, client_tcp_flags=SYN | ACK | FIN, server_tcp_flags=SYN | ACK | FIN, client_packets=9,
                server_packets=8, client_payload_bytes=up, server_payload_bytes=down, client_port=30000 + k, **given) for k in range(count)]


def calls(count: int, jitter: float = 0.0, port: int = 443, client: str = INSIDE, **given: Any) -> list[dict[str, Any]]:
    """A call a minute, with so much deviation by turns."""
    return [one | {"interval_start": one["interval_start"] + int(jitter * 60_000_000) * (-1) ** k} for k, one in enumerate(
        logins(count, port, 500, 500, 60, client, **given), 1)]


def upload(megabytes: float, client: str = INSIDE, **given: Any) -> list[dict[str, Any]]:
    return [row(client, VICTIM, 443, at=9, lasts=30, client_bytes=int(megabytes * 1e6), client_payload_bytes=int(megabytes * 9e5),
                **{"server_packets": 500, "server_payload_bytes": 900, "client_packets": 30000, **given})]


def pools(packets: int, port: int = 3333, **given: Any) -> list[dict[str, Any]]:
    return [row(INSIDE, VICTIM, port, client_packets=packets - packets // 2, server_packets=packets // 2, client_payload_bytes=900, server_payload_bytes=900,
                lasts=50, client_tcp_flags=ACK, **given)]


def waiting(count: int, **given: Any) -> list[dict[str, Any]]:
    """Requests that do not end."""
    one = {"client_tcp_flags": SYN | ACK, "server_tcp_flags": SYN | ACK, "server_packets": 9, "client_payload_bytes": 300, "lasts": 12}
    return [row("203.0.113.5", VICTIM, 80, at=k * 0.5, client_port=2000 + k, **{**one, **given}) for k in range(count)]


def session(at: float, client: str = "203.0.113.5", **given: Any) -> list[dict[str, Any]]:
    """Somebody works over SSH."""
    return [{**one, "interval_start": one["interval_start"] + int(at * 1e6), "interval_end": one["interval_end"] + int(at * 1e6)}
            for one in logins(1, 22, 5000, 30000, client=client, **given)]


TERSE = {"up": 200, "down": 300}

#: kind -> rows just below the limit, rows that reach it; of more than 64 distinct values, which are an estimate, rather below and above.
CASES: dict[str, list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]] = {
    "port_scan": [(ports(39), ports(40)), (ports(39, server=SIX, client="2001:db8:9::1"), ports(40, server=SIX, client="2001:db8:9::1")),
                  (ports(39, **REFUSED), ports(40, **REFUSED)), (ports(39, **UDP), ports(40, **UDP)),
                  (ports(39, client_tcp_flags=FIN, midstream=1), ports(40, client_tcp_flags=FIN, midstream=1))],
    "horizontal_scan": [(hosts(49), hosts(50)), (hosts(49, 161, **UDP), hosts(50, 161, **UDP)), (hosts(49, **REFUSED), hosts(50, **REFUSED))],
    "slow_scan": [(hosts(100, gap=25), hosts(140, gap=25)),
                  ([row("203.0.113.5", VICTIM, 1 + k, at=50 * k) for k in range(59)], [row("203.0.113.5", VICTIM, 1 + k, at=50 * k) for k in range(60)])],
    "host_sweep": [(hosts(29, 0, **PING), hosts(30, 0, **PING)), ([one | {"server_port": k + 1} for k, one in enumerate(hosts(85))],
                                                                [one | {"server_port": k + 1} for k, one in enumerate(hosts(120))])],
    "syn_flood": [(flood(2999), flood(3000)), (flood(2999, SIX), flood(3000, SIX)), (flood(2999, server_tcp_flags=SYN | ACK, **ANSWERED),
                                                                                flood(3000, server_tcp_flags=SYN | ACK, **ANSWERED))],
    "ack_flood": [(flood(4900, **STRAY, **REFUSED), flood(5000, **STRAY, **REFUSED))],
    "rst_flood": [(flood(4900, client_tcp_flags=RST, midstream=1), flood(5000, client_tcp_flags=RST, midstream=1))],
    "udp_flood": [(flood(14900, **UDP), flood(15000, **UDP)), (flood(14900, SIX, **UDP), flood(15000, SIX, **UDP))],
    "icmp_flood": [(flood(2900, **{**PING, "server_packets": 9}), flood(3000, **{**PING, "server_packets": 9}))],
    "dns_flood": [(flood(9900, port=53, server_packets=9, **UDP), flood(10000, port=53, server_packets=9, **UDP))],
    "http_flood": [tuple([row(f"203.0.113.{k % 50}", VICTIM, 443, client_tcp_flags=SYN | ACK, server_tcp_flags=SYN | ACK, **ANSWERED) for k in range(n)]
                    for n in (1999, 2000))],       # type: ignore[list-item]
    "carpet_bombing": [(carpet(5000, 19), carpet(5000, 20)), (carpet(4900, 50), carpet(5000, 50)), (carpet(5000, 19, **UDP), carpet(5000, 20, **UDP)),
                       (carpet(5000, 19, "2001:db8:1:2::"), carpet(5000, 20, "2001:db8:1:2::"))],
    "icmp_tunnel": [(echoes(**one), echoes(**{**one, **over})) for one, over in (
        ({"packets": 29}, {"packets": 30}), ({"size": 326, "extra": 7}, {"size": 341}), ({"extra": 0, "back": 600}, {"back": 601}))],
    "amplification": [(amplified(990), amplified(1000)), (amplified(5000, 2), amplified(5000, 3)),
                      (amplified(990, client_packets=1, client_bytes=60), amplified(1000, client_packets=1, client_bytes=60))],
    "brute_force": [(logins(19), logins(20)), (logins(19, server="2001:db8:1::", client=SIX), logins(20, server="2001:db8:1::", client=SIX)),
                    (logins(19, 2222, protocol="SSH"), logins(20, 2222, protocol="SSH")), (logins(29, 143, **TERSE), logins(30, 143, **TERSE)),
                    (logins(89, 993, down=5000, gap=0.5), logins(90, 993, down=5000, gap=0.5)), (logins(29, 110, risks=1), logins(30, 110, risks=1)),
                    (logins(19, 5432, **TERSE), logins(20, 5432, **TERSE)), (logins(149, gap=20), logins(150, gap=20)),
                    (logins(57, hosts=19, gap=6), logins(60, hosts=20, gap=6))],
    "beacon": [(calls(11), calls(12)), (calls(20, 0.3), calls(20, 0.1)), (calls(11, client="fd00::7", server="2001:db8:1::"),
                                                                        calls(12, client="fd00::7", server="2001:db8:1::"))],
    "exfiltration": [(upload(29.9), upload(30.1)), (upload(1990, application="Dropbox"), upload(2010, application="Dropbox")),
                     (upload(500, server_payload_bytes=100_000_000), upload(500, server_payload_bytes=10_000_000))],
    "new_admin_pair": [(session(0) + session(3599, "203.0.113.6"), session(0, "203.0.113.6") + session(3601)),
                       (session(0) + session(5000), session(0, "203.0.113.6") + session(5000) + session(9000))],
    "mining": [(pools(7, application="Mining"), pools(8, application="Mining")), (pools(59, age=700), pools(60, age=700))],
    "anonymiser": [(pools(19, 443, application="Tor"), pools(20, 443, application="Tor")),
                   (pools(19, 1080, protocol="SOCKS"), pools(20, 1080, protocol="SOCKS"))],
    "cleartext_credentials": [(logins(3, 21), logins(3, 21, risks=1))],
    "slow_http": [(waiting(49), waiting(50)), (waiting(60, lasts=9), waiting(60, lasts=10))],
}
WHOM = {"port_scan": "203.0.113.5", "horizontal_scan": "203.0.113.5", "slow_scan": "203.0.113.5", "host_sweep": "203.0.113.5", "brute_force": "203.0.113.5",
        "beacon": INSIDE, "exfiltration": INSIDE, "new_admin_pair": "203.0.113.5", "mining": INSIDE, "anonymiser": INSIDE,
        "cleartext_credentials": "203.0.113.5", "icmp_tunnel": "203.0.113.5"}


def test_every_detector_has_a_case() -> None:
    assert sorted(CASES) == sorted(one.detector.kind for one in configured({}) if one.rules and one.rules[0].table == "flows")


@pytest.mark.parametrize(("kind", "case"), [(kind, k) for kind, cases in CASES.items() for k in range(len(cases))])
def test_the_limit_is_where_it_is(kind: str, case: int) -> None:
    below, over = CASES[kind][case]
    assert kinds(below, kind) == [] and kinds(over, kind) == [kind]


@pytest.mark.parametrize("kind", CASES)
def test_an_attack_is_one_alert_that_names_both_ends(kind: str) -> None:
    _, over = CASES[kind][0]
    watchman, sink, heard = watch([one for one in configured({}) if one.detector.kind == kind])
    watchman.write(batch(over))
    watchman.end()
    assert [one.state for one in heard] == ["raised"] and len({one["alert_id"] for one in sink.rows["alerts"]}) == 1
    alert = heard[0]
    assert alert.kind == kind and alert.probe == "test" and alert.capture_id == 7 and "{" not in alert.summary + alert.summary_zh
    whom = WHOM.get(kind)
    assert (alert.source if whom else alert.target) == (whom or ("192.0.2.0/24" if kind == "carpet_bombing" else VICTIM))
    assert (whom or VICTIM.rpartition(".")[0]) in alert.summary and (whom or VICTIM.rpartition(".")[0]) in alert.summary_zh
    assert "rows: " in alert.evidence and alert.first_time <= alert.last_time


def established(count: int, **given: Any) -> list[dict[str, Any]]:
    return ports(count, **{"client_tcp_flags": SYN | ACK | FIN, "server_tcp_flags": SYN | ACK | FIN, "client_payload_bytes": 100, **ANSWERED, **given})


@pytest.mark.parametrize("rows", [
    established(300), ports(300, midstream=1, client_tcp_flags=ACK, client_payload_bytes=100), ports(300, one_sided=1, client_tcp_flags=SYN | ACK),
    [row("203.0.113.5", VICTIM, 80, at=k * 0.05, client_port=1024 + k, client_retransmissions=5) for k in range(500)],      # one dead service, asked again
    hosts(300, 6881, ip_protocol=17, client_tcp_flags=0), [row("203.0.113.5", VICTIM, 33434 + k, **UDP) for k in range(90)],
    hosts(300, 0, **{**PING, **ANSWERED}), echoes(900, extra=0), ports(300, interval=3), [one | {"client_ip": (0, 0)} for one in ports(20)],
    [row("203.0.113.5", f"239.1.1.{k}", 5353, **UDP) for k in range(200)],
], ids=["established", "midstream", "one direction", "a dead service", "peers", "traceroute", "answered pings", "pings of one size",
        "later rows", "few", "multicast"])
def test_what_is_no_scan_makes_none(rows: list[dict[str, Any]]) -> None:
    assert kinds(rows) == []


def test_a_download_seen_one_way_is_no_ack_flood() -> None:
    assert kinds([row("203.0.113.5", VICTIM, 443, client_tcp_flags=ACK, midstream=1, one_sided=1, client_packets=200_000, lasts=50)] * 3) == []
    assert kinds([row("203.0.113.5", VICTIM, 443, client_tcp_flags=ACK, midstream=1, client_packets=200_000, lasts=50)] * 3) == []


def test_a_fast_scan_is_no_slow_one_as_well() -> None:
    assert kinds(ports(500)) == ["port_scan"] and kinds(hosts(400)) == ["horizontal_scan"]


def test_folded_rows_count_as_the_connections_they_stand_for() -> None:
    folds = [row("203.0.113.0", VICTIM, 80, fold=3, folded=1500, client_packets=1500), row("0.0.0.0", VICTIM, 0, fold=25, folded=1500, client_packets=1500)]
    assert kinds(folds) == ["syn_flood"]
    watchman, sink, _ = watch()
    watchman.write(batch(folds))
    watchman.end()
    assert [one["flows"] for one in sink.rows["detections"]] == [3000]
    assert kinds([row("0.0.0.0", "0.0.0.0", 0, fold=57, folded=100_000, client_packets=100_000)]) == []       # of which server nobody knows


def test_a_long_row_is_spread_over_its_slots() -> None:
    assert kinds([row("203.0.113.5", VICTIM, 80, client_packets=14_000, lasts=49.9)], "syn_flood") == []
    assert kinds([row("203.0.113.5", VICTIM, 80, client_packets=16_000, lasts=49.9)], "syn_flood") == ["syn_flood"]


def test_the_customer_who_is_hit_is_named() -> None:
    rows = flood(3000)
    count = len(rows)
    watchman, _, heard = watch()
    watchman.write(batch(rows, server_customer_id=Coded.same("c-1", count), server_service_id=Coded.same("s-1", count),
                         client_customer_id=Coded.same("", count), client_service_id=Coded.same("", count)))
    watchman.end()
    assert [(one.customer_id, one.service_id, one.shared_by) for one in heard] == [("c-1", "s-1", 1)]


def test_customers_who_share_a_network_are_counted() -> None:
    rows = carpet(5000, 25)
    watchman, _, heard = watch()
    customers = Coded(np.arange(len(rows), dtype=np.uint32) % 3, ["c-1", "c-2", "c-3"])
    watchman.write(batch(rows, server_customer_id=customers, server_service_id=customers))
    watchman.end()
    assert [(one.kind, one.customer_id, one.shared_by) for one in heard] == [("carpet_bombing", "", 3)]


def test_a_learned_limit_tells_what_is_unusual_below_the_fixed_one() -> None:
    def slots(counts: list[int]) -> list[dict[str, Any]]:
        return [one for k, count in enumerate(counts) for one in flood(count, port=53, server_packets=9, **UDP) for one in [one | {
            "interval_start": one["interval_start"] + 10_000_000 * k, "interval_end": one["interval_end"] + 10_000_000 * k}]]
    assert kinds(slots([1000] * 40 + [8000]), "dns_flood") == ["dns_flood"]       # of 10,000 of the fixed limit
    assert kinds(slots([7000] * 40 + [8000]), "dns_flood") == [] and kinds(slots([1000] * 10 + [8000]), "dns_flood") == []      # usual; not known yet
