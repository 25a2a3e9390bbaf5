"""python -m benchmarks.scale [--rows N] [--store DIR]: a month of N flows (100 million), and what dashboards and reports of it cost.

Rows are made inside the engine: applications by Zipf's law, round trips log-normal, customers behind services, tags, four links of two probes, days and nights;
dns, tls, coverage and usage in proportion. Then the SQL of every Grafana panel over the month, twenty times each, as Grafana would ask it, and every report
of `fullspan report` over the month by each of its dimensions: 95 % of each must take less than a second. Printed: bytes of a flow on disk, rows of each
table, and the times of each panel and report.
"""
from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import percentile
from dpi.reports import grafana, named
from dpi.reports.grafana.panels import Board, Panel
from dpi.reports.grafana.sql import Place
from dpi.reports.request import Place as Link
from dpi.reports.request import Request
from dpi.schema import TABLES
from dpi.store import Store, open_store
from dpi.store.rollups import FOLDED, folded, view, view_name
from tests.reports.grafana.plugin import ALL, Look, expanded

BEGIN, DAYS, DAY = 1_790_640_000, 30, 86_400          # midnight, UTC
#: Two seconds later, but on the same day: what is computed for a day has all of its rows.
_STORED = "fromUnixTimestamp64Micro(least(at + 2000000, (intDiv(at, 86400000000) + 1) * 86400000000 - 1), 'UTC')"
_BLOCKS = " SETTINGS min_insert_block_size_rows = 131072, max_insert_block_size = 131072, max_block_size = 65536, deduplicate_insert = 'disable'"
_LARGE = _BLOCKS.replace("131072", "1048576")          # fewer parts, where no view counts on the size of blocks
LIMIT = 1.0                                           # s at the 95th percentile
PLACES = tuple(Place(f"link-{k}", f"eth{k}", f"p{1 + k // 3}", "east" if k < 3 else "west", 10**9) for k in range(1, 5))
LINKS = tuple(Link(one.name, one.capacity_bps, "uplink", one.site, one.interface, one.probe) for one in PLACES)
_CATEGORIES = ("video", "web", "messaging", "games", "cloud", "social", "mail", "network", "files", "shopping")
_APPLICATIONS, _SERVICES, _CUSTOMERS, _DOMAINS = 400, 500, 120, 60_000


def _u(salt: int) -> str:
    """SQL: evenly distributed in [0, 1), the same for the same row."""
    return f"(cityHash64(n, {salt}) % 4294967296 / 4294967296)"


def _zipf(count: int, salt: int) -> str:
    """SQL: 0 ... count - 1, k with a share of about 1 / k."""
    return f"toUInt32(pow({count}, {_u(salt)})) - 1"


def _normal(salt: int) -> str:
    """SQL: standard normal, by Box and Muller."""
    return f"(sqrt(-2 * log(1 - {_u(salt)})) * cos(6.283185307 * {_u(salt + 1)}))"


def _delay(median: int, spread: float, salt: int, share: float) -> str:
    """SQL: a log-normal delay in us of some rows, NULL of the others."""
    return f"if({_u(salt)} < {share}, toUInt32(least({median} * exp({spread} * {_normal(salt + 1)}), 60e6)), NULL)"


def _day(day: int, rows: int) -> str:
    """SQL: a day's flows as numbers, for `flows`, `dns` and `tls` alike: n, at (us), and what hangs together."""
    begin = (BEGIN + day * DAY) * 1_000_000
    # more in the evening: the share of the day that is over as a function of the time of day, turned round
    moment = f"(number + {_u(1)}) / {rows}"
    return (f"(SELECT number + {day * rows} AS n, toInt64({begin} + {DAY}e6 * ({moment} + 0.09 * sin(6.283185307 * {moment}))) AS at, "
            f"{_zipf(_APPLICATIONS, 2)} AS app, {_zipf(_SERVICES, 3)} AS service, {_zipf(_DOMAINS, 4)} AS domain, {_u(5)} AS kind, "
            f"toUInt8(1 + cityHash64(service) % 4) AS link FROM numbers({rows}))")


def flows(day: int, rows: int) -> str:
    """INSERT of a day's flows."""
    bytes_down, tcp = f"toUInt64(200 + 12000 * exp(1.6 * {_normal(10)}))", "kind < 0.7"
    columns = {
        "flow_id": "n + 1", "probe": "concat('p', toString(1 + intDiv(link, 3)))", "interface": "concat('eth', toString(link))",
        "interval": "toUInt32(kind > 0.85)",
        "interval_start": "fromUnixTimestamp64Micro(at, 'UTC')", "interval_end": "fromUnixTimestamp64Micro(at + 1000000, 'UTC')",
        "flow_start_time": "fromUnixTimestamp64Micro(at, 'UTC')", "final": "1", "end_reason": "if(kind < 0.6, 'fin', 'idle')",
        "client_ip": "toIPv6(IPv4NumToString(toUInt32(0x0a000000 + service * 4 + 1)))",
        "server_ip": "toIPv6(IPv4NumToString(toUInt32(0xcb000000 + domain * 7)))",
        "client_port": "toUInt16(1024 + n % 60000)", "server_port": "if(kind < 0.9, 443, 53)", "ip_protocol": f"if({tcp}, 6, 17)",
        "client_packets": "toUInt64(3 + size / 2000)", "server_packets": "toUInt64(2 + size / 1200)", "client_bytes": "toUInt64(400 + size / 12)",
        "server_bytes": "size", "client_wire_bytes": "toUInt64(500 + size / 12)", "server_wire_bytes": "size + 100", "client_tcp_flags": f"if({tcp}, 0x1b, 0)",
        "server_tcp_flags": f"if({tcp} AND {_u(20)} > 0.02, 0x1b, 0)", "client_rtt_us": _delay(9000, 0.8, 30, 0.5), "server_rtt_us": _delay(28000, 1.0, 40,
              0.5),
        "server_response_us": _delay(35000, 1.2, 50, 0.8), "client_retransmissions": f"toUInt32({_u(60)} < 0.02)",
        "server_retransmissions": f"toUInt32({_u(61)} < 0.04) * 2",
        "protocol": "if(kind < 0.7, 'TLS', if(kind < 0.9, 'QUIC', 'DNS'))", "application": "if(app = 0, '', concat('Application ', toString(app)))",
        "category": f"[{', '.join(map(repr, _CATEGORIES))}][1 + app % {len(_CATEGORIES)}]", "confidence": "'name'",
        "evidence": "concat('server name, rule ', toString(app))",
        "server_name": "if(kind < 0.75, concat('www', toString(n % 3), '.domain', toString(domain), '.com'), '')", "alpn": "'h2'",
        "tags": "arrayConcat(if(service % 10 = 0, ['gold'], []), if(at % 86400000000 < 21600000000, ['night'], []))",
        "client_local": "1", "client_service_id": f"if({_u(70)} < 0.85, concat('S', toString(service)), '')",
        "client_customer_id": f"if({_u(70)} < 0.85, concat('K', toString(service % {_CUSTOMERS})), '')", "rules_version": "'1'",
        "stored_time": _STORED,
    }
    return (f"INSERT INTO flows ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM (SELECT *, {bytes_down} AS size FROM {_day(day, rows)})")


def messages(day: int, rows: int) -> Iterator[str]:
    """INSERTs of a day's DNS messages and hellos: a fifth and a quarter as many as flows, each of two."""
    shared = {"flow_id": "n + 1", "time": "fromUnixTimestamp64Micro(at + part * 20000, 'UTC')", "probe": "concat('p', toString(1 + intDiv(link, 3)))",
              "direction": "if(part = 0, 'client', 'server')", "stored_time": _STORED}
    dns = {**shared, "query_name": "concat('www', toString(n % 3), '.domain', toString(domain), '.com')",
           "query_type": "['A', 'AAAA', 'HTTPS', 'PTR'][1 + n % 4]",
           "is_response": "part", "response_code": f"multiIf(part = 0, 'NOERROR', {_u(80)} < 0.06, 'NXDOMAIN', {_u(80)} < 0.07, 'SERVFAIL', 'NOERROR')",
           "response_time_us": f"if(part = 1, {_delay(14000, 1.0, 90, 1.1)}, NULL)"}
    tls = {**shared, "role": "if(part = 0, 'client', 'server')", "version": "if(kind < 0.02, 'TLS 1.0', if(kind < 0.25, 'TLS 1.2', 'TLS 1.3'))",
           "cipher": "if(part = 0, '', ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384'][1 + n % 2])",
           "server_name": "concat('domain', toString(domain), '.com')",
           "ja4": "concat('t13d1516h2_8daaf6152771_', lower(hex(toUInt32(1 + domain % 300))))",
           "issuer": "if(part = 1 AND kind < 0.25, concat('CA ', toString(domain % 40)), '')",
           "alpn": "if(part = 0, 'h2,http/1.1', 'h2')"}
    for table, columns, share in (("dns", dns, 10), ("tls", tls, 8)):
        yield (f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {_day(day, max(rows // share, 1))} "
               "ARRAY JOIN [toUInt8(0), toUInt8(1)] AS part")


def usage(day: int) -> Iterator[str]:
    """INSERTs of a day's usage out of its flows."""
    at = f"interval_start >= toDateTime({BEGIN + day * DAY}, 'UTC') AND interval_start < toDateTime({BEGIN + (day + 1) * DAY}, 'UTC')"
    volumes = ("sum(client_packets) AS up_packets, sum(server_packets) AS down_packets, sum(client_bytes) AS up_bytes, sum(server_bytes) AS down_bytes, "
               "sum(client_wire_bytes) AS up_wire_bytes, sum(server_wire_bytes) AS down_wire_bytes, countIf(interval = 0) AS flows, 1 AS revision, "
               "max(stored_time) AS stored_time")
    names = [part.rpartition(" AS ")[2] for part in volumes.split(", ")]
    minute = ("count(client_rtt_us) AS rtt_count, sum(client_rtt_us) AS rtt_sum_us, countIf(ip_protocol = 6) AS syn_up, countIf(ip_protocol = 6 AND "
              "server_tcp_flags > 0) "
              "AS syn_ack_down, toUInt32(least(uniqExact(server_ip), 1000)) AS servers, sum(client_retransmissions) AS up_retransmissions, "
              "sum(server_retransmissions) AS down_retransmissions, 3 AS directions")
    more = [part.rpartition(" AS ")[2] for part in minute.split(", ") if " AS " in part]
    whose = "probe, client_service_id AS service_id, client_customer_id AS customer_id"
    keys = "time, probe, service_id, customer_id"
    yield (f"INSERT INTO usage_1m ({keys}, {', '.join(names + more)}) SELECT toStartOfMinute(interval_start) AS time, {whose}, {volumes}, {minute} FROM flows "
           f"WHERE {at} AND client_service_id != '' GROUP BY {keys}")
    yield (f"INSERT INTO usage_1h ({keys}, category, application, rules_version, {', '.join(names)}) SELECT toStartOfHour(interval_start) AS time, {whose}, "
           f"category, "
           f"application, rules_version, {volumes} FROM flows WHERE {at} AND client_service_id != '' GROUP BY {keys}, category, application, rules_version")
    yield (f"INSERT INTO usage_unbound_1h (time, probe, prefix, {', '.join(names)}) SELECT toStartOfHour(interval_start) AS time, probe, "
           f"concat('10.0.', toString(toUInt8(client_port % 8)), '.0/24') AS prefix, {volumes} FROM flows WHERE {at} AND client_service_id = '' GROUP BY "
           f"time, probe, prefix")
    of_day = f"time >= toDateTime64({BEGIN + day * DAY}, 0, 'UTC') AND time < toDateTime64({BEGIN + (day + 1) * DAY}, 0, 'UTC')"
    for table in ("usage_1m", "usage_1h", "usage_unbound_1h"):
        yield (f"INSERT INTO usage_slots (table_name, time, probe, capture_id, rows, bytes, revision, stored_time) SELECT '{table}', time, probe, capture_id, "
               f"count(), sum(up_bytes + down_bytes), 1, max(stored_time) FROM {table} WHERE {of_day} GROUP BY time, probe, capture_id")
    yield ("INSERT INTO coverage (time, probe, source, frames, wire_bytes, busiest_second, busiest_bytes, dropped_kernel, refused, refused_reasons, "
           "refused_counts, tcp_packets, "
           f"one_sided_packets, store_lag_us, stored_time) SELECT toDateTime({BEGIN + day * DAY}, 'UTC') + 60 * intDiv(number, 4) AS time, concat('p', "
           f"toString(1 + intDiv(1 + number % 4, 3))), concat('eth', toString(1 + number % 4)), "
           "100000, 60000000, time, 1500000, if(number % 977 = 0, 12, 0), 3, ['ARP', 'IPv4 header cut'], [2, 1], 70000, 900, 1200000, time + 61 "
           f"FROM numbers({4 * DAY // 60})")


_KINDS = ("syn_flood", "port_scan", "amplification", "host_sweep")


def alerts(day: int) -> list[str]:
    """INSERTs of a day's alerts, each in two states but the last ones, and of ten detections of each."""
    begin = (BEGIN + day * DAY) * 1_000_000
    of = "(SELECT intDiv(number, {parts}) AS n, number % {parts} AS part FROM numbers({count}))"
    kind = f"[{', '.join(map(repr, _KINDS))}][1 + n % {len(_KINDS)}]"
    first = f"{begin} + n * {DAY // 50 * 1_000_000}"
    shared = {"kind": kind, "severity": f"['high', 'medium', 'critical', 'low'][1 + n % {len(_KINDS)}]", "technique": "'T1046'",
              "probe": "concat('p', toString(1 + n % 2))", "alert_id": f"lower(hex({day} * 1000 + n))",
              "source": "concat('198.51.100.', toString(n))",
              "target": "if(n % 3 = 0, concat('2001:db8:', toString(n), '::7'), concat('203.0.113.', toString(n)))",
              "customer_id": "if(n % 5 = 0, '', concat('c-', toString(n % 7)))", "service_id": "if(n % 5 = 0, '', concat('s-', toString(n % 7)))"}
    state = shared | {"dedup_key": "concat('key ', toString(n))", "state": "if(part = 1, 'cleared', 'raised')", "revision": "toUInt32(part + 1)",
                      "first_time": f"fromUnixTimestamp64Micro({first}, 'UTC')", "last_time": f"fromUnixTimestamp64Micro({first} + 600000000, 'UTC')",
                      "count": "10", "shared_by": "toUInt32(n % 5 = 0) * 3", "stored_time": f"fromUnixTimestamp64Micro({first} + part * 1000000, 'UTC')"}
    fired = shared | {"time": f"fromUnixTimestamp64Micro({first} + part * 60000000, 'UTC')", "packets": "10000",
                      "stored_time": f"fromUnixTimestamp64Micro({first}, 'UTC')"}
    return [f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {of.format(parts=parts, count=50 * parts)} WHERE {more}"
            for table, columns, parts, more in (("alerts", state, 2, "n < 45 OR part = 0"), ("detections", fired, 10, "1"))]


def fill(store: Store, rows: int, told: Callable[[str], None], days: int = DAYS) -> tuple[float, float]:
    """`days` days of rows, `rows` flows in all. Of the last day every row goes through the views, as a probe's do; of the others rollups are computed by the
    views' SQL a day at a time, which is quicker, and without the bound of names in a block, which blocks of seconds would not meet. s that storing flows
    took: without views, and the last day with them."""
    took = [0.0, 0.0]
    for day in range(days):
        last = day == days - 1
        for table in FOLDED:
            store.query(view(table) if last else f"DROP VIEW IF EXISTS {view_name(table)}")
        began = time.perf_counter()
        store.query(flows(day, rows // days) + (_BLOCKS if last else _LARGE))
        took[last] += time.perf_counter() - began
        for statement in messages(day, rows // days):
            store.query(statement + _BLOCKS)
        for statement in (*usage(day), *alerts(day)):
            store.query(statement + _BLOCKS)
        date = time.strftime("%Y-%m-%d", time.gmtime(BEGIN + day * DAY))
        for table in () if last else FOLDED:
            stored = "src.stored_day" if TABLES[table.folds].folds else "toDate(src.stored_time)"
            rows_of = folded(dataclasses.replace(table, most=table.most and 1 << 40), f"{stored} = '{date}'")
            store.query(f"INSERT INTO {table.name} ({', '.join(table.names)}) SELECT {', '.join(table.names)} FROM ({rows_of}) {_LARGE}")
        told(f"day {day + 1} of {days}")
    return took[0], took[1]


LOOK = Look(BEGIN, BEGIN + DAYS * DAY - 1, {"link": ALL, "probe": ALL, "application": ALL, "customer": ALL, "service": ALL, "capacity": "1000",
                                               "severity": ALL, "kind": ALL})


def interval(panel: Panel | None, look: Look) -> int:
    """Width of slots that Grafana asks a panel for."""
    kind = panel.kind if panel else "table"
    return look.interval(720, 60) if kind == "series" else look.interval(240, 300) if kind == "heatmap" else look.interval(1000)


def statements(board: Board, look: Look) -> Iterator[tuple[str, str]]:
    """Title and SQL of everything that a dashboard asks."""
    for panel in board.panels:
        yield panel.title, expanded(panel.sql, look, interval(panel, look))
    for variable in board.variables:
        if variable.sql:
            yield f"variable {variable.name}", expanded(variable.sql, look, interval(None, look))
    for mark in board.marks:
        yield f"annotation {mark.name}", expanded(mark.sql, look, interval(None, look))


def main() -> int:
    """Make the month, ask everything, print; 1 where a panel is too slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000_000, help="flows of the month")
    parser.add_argument("--store", metavar="DIR", help="keep the store there; one that is there is asked as it is")
    parser.add_argument("--times", type=int, default=20, help="times that each panel is asked, and each report made")
    asked = parser.parse_args()
    place = Path(asked.store or tempfile.mkdtemp(prefix="fullspan-scale-"))
    fresh = not place.joinpath("store").exists()
    store = open_store(f"chdb://{place.resolve()}/store", merging=True)
    try:
        if fresh:
            began = time.perf_counter()
            plain, viewed = fill(store, asked.rows, lambda text: print(f"{text}, {time.perf_counter() - began:.0f} s", file=sys.stderr))
            took = time.perf_counter() - began
            each = asked.rows / DAYS
            print(f"{asked.rows:,} flows and what goes with them made in {took:.0f} s; flows a second made and stored: {each * (DAYS - 1) / plain:,.0f} "
                  f"without views, "
                  f"{each / viewed:,.0f} with all of them (every flow of another application and name, which is the worst for them)")
            store.query("SYSTEM START MERGES")
            for name in TABLES:
                if name not in ("flows", "dns", "tls"):
                    store.query(f"OPTIMIZE TABLE {name} FINAL")
            print(f"rollups and usage merged, as a probe's are after a while, in {time.perf_counter() - began - took:.0f} s more\n")
        sizes(store)
        return asking(store, asked.times, grafana.boards("en", PLACES)) | reporting(store, asked.times)
    finally:
        store.close()
        if not asked.store:
            shutil.rmtree(place, ignore_errors=True)


def sizes(store: Store) -> None:
    """Rows and bytes of each table."""
    found = store.query("SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts WHERE active AND database = currentDatabase() AND rows > 0 "
                        "GROUP BY table ORDER BY 3 DESC").rows
    count = int(store.query("SELECT count() FROM flows").value())
    total = sum(int(row[2]) for row in found)
    print(f"{'table':24s} {'rows':>14s} {'bytes':>16s} {'a row':>8s} parts")
    for table, rows, size, parts in found:
        print(f"{table:24s} {int(rows):14,} {int(size):16,} {int(size) / int(rows):8.1f} {parts}")
    of_flows = next((int(size) for table, _, size, _ in found if table == "flows"), 0)
    print(f"\nbytes of a flow on disk: {of_flows / count:.1f} in flows, {total / count:.1f} in all tables together\n")


def asking(store: Any, times: int, boards: Sequence[Board], limit: float = LIMIT) -> int:
    """Ask everything `times` times; 1 where the 95th percentile is not under the limit."""
    every: list[float] = []
    slow = []
    for board in boards:
        print(board.title)
        for title, sql in statements(board, LOOK):
            took = []
            for _ in range(times):
                began = time.perf_counter()
                answer = store.query(sql)
                took.append(time.perf_counter() - began)
            every += took
            high = percentile(took, 0.95)
            if high >= limit:
                slow.append((board.title, title, high))
            print(f"  {title:36s} {len(answer.rows):7,} rows  median {sorted(took)[len(took) // 2]:6.3f} s  95 % {high:6.3f} "
                  f"s{'   TOO SLOW' if high >= limit else ''}")
    print(f"\n{len(every)} questions, 95 % of them under {percentile(every, 0.95):.3f} s, the slowest {max(every):.3f} s")
    for title, panel, high in slow:
        print(f"over {limit:g} s: {title}, {panel}: {high:.3f} s")
    return 1 if slow else 0


def reporting(store: Any, times: int, limit: float = LIMIT) -> int:
    """Make every report over the month by each of its dimensions `times` times; 1 where the 95th percentile of one is not under the limit."""
    every: list[float] = []
    slow = []
    for name, report in named.registry().items():
        for by in report.dimensions:
            ask = Request(store, BEGIN * 1_000_000, (BEGIN + DAYS * DAY) * 1_000_000, by, places=LINKS, now=(BEGIN + DAYS * DAY) * 1_000_000)
            took = []
            for _ in range(times):
                began = time.perf_counter()
                made = named.make(name, ask)
                took.append(time.perf_counter() - began)
            every += took
            high = percentile(took, 0.95)
            if high >= limit:
                slow.append((name, by, high))
            print(f"  report {name:13s} by {by:13s} {sum(len(table.rows) for table in made.tables):7,} lines  median {sorted(took)[len(took) // 2]:6.3f} s  "
                  f"95 % {high:6.3f} s{'   TOO SLOW' if high >= limit else ''}")
    print(f"\n{len(every)} reports, 95 % of them under {percentile(every, 0.95):.3f} s, the slowest {max(every):.3f} s")
    for name, by, high in slow:
        print(f"over {limit:g} s: report {name} by {by}: {high:.3f} s")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
