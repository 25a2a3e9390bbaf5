"""The seam: what traffic says. The one file of the business that knows the probe, and of it the store alone. It asks whoever owns the store; where the owner is
away it says so (Refusal `away`), and nothing is guessed: not measured is not nothing.

All of it is read from closed minutes and hours (`usage_1m`, `usage_1h`) and `coverage`, by ids that say nothing of a person; a corrected binding alone looks at
flows. Bytes are IP octets. Where a live probe has told of a minute, captures that were replayed of the same minute do not count beside it. What names a
service is noted in the store's own audit table, with the reason given here.
"""
from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bss.question import (
    EPOCH,
    ESCAPED,
    GOOD,
    HOUR,
    IDS,
    MINUTE,
    SESSIONS,
    SLOT,
    Ends,
    at_second,
    between,
    closed,
    minutes_of,
    moment_of,
    of_side,
    parameters,
    second,
    some_of,
)
from bss.refusal import Refusal

KNOWN = timedelta(days=35)          # before a time in which a service's probes are looked for
LINGER = 3.0                        # s after which an embedded store that nobody else owned is let go again, so that a probe can start
PATIENCE = 3600                     # s that the probe's program may compute


class Minute(NamedTuple):
    """A minute of a service. covered: coverage of its probe is stored and says that at most 1 % was lost."""
    begin: datetime
    down_bytes: int
    up_bytes: int
    covered: bool


class Used(NamedTuple):
    """What a service or customer used in a time. measured: closed minutes (or hours) of it that are covered, of `minutes`."""
    down_bytes: int
    up_bytes: int
    flows: int
    measured: int
    minutes: int


class Busy(NamedTuple):
    """A link's use: 95th percentile of its covered 5-minute slots and the busiest of them, bit/s, by the busier direction; None where nothing was measured."""
    p95_bps: float | None
    peak_bps: float | None
    slots: int


class Unbound(NamedTuple):
    """Traffic inside of the local networks that no service is bound to, by prefix."""
    prefix: str
    bytes: int
    flows: int


class Peak(NamedTuple):
    """The busiest 5 minutes of a service in each direction, bit/s, and when the busier of them began."""
    down_bps: float
    up_bps: float
    begin: datetime


class Moved(NamedTuple):
    """Flows of an hour that a corrected binding gives to another service: from (`service_id`, '' nobody's), how many rows and bytes both ways."""
    begin: datetime
    service_id: str
    customer_id: str
    flows: int
    bytes: int


class Holder(NamedTuple):
    """Who had an address: a session's service, how it was learned, since when."""
    service_id: str
    customer_id: str
    learned_from: str
    since: datetime


class Evidence:
    """url: of the probe's store, `none` for no store. Several threads may ask; they take turns."""

    def __init__(self, url: str, aside: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """aside: what is around each question, for the answer may take long."""
        self.url, self._aside = url, aside
        self._store: Any = None
        self._turn = threading.RLock()
        self._leaving: threading.Timer | None = None

    # ---- services

    def first_traffic(self, service_id: str, since: datetime) -> Minute | None:
        """The first minute since then in which the service carried anything; None: none is known yet. A minute that began before is not looked at."""
        return self.first_of({service_id: since}).get(service_id)

    def first_of(self, since: Mapping[str, datetime]) -> dict[str, Minute]:
        """The same of many services at once: those that have carried something since their time."""
        if not since:
            return {}
        ids, times = list(since), [second(one, up=True) for one in since.values()]
        span = f"time >= {at_second(min(times))}"
        own = f"transform(toString(service_id), splitByChar(',', {{ids:String}}), [{', '.join(map(str, times))}], {min(times)})"
        rows = self._ask("SELECT service_id, toInt64(toUnixTimestamp64Second(time)) AS at, sum(down_bytes), sum(up_bytes) FROM usage_1m FINAL WHERE "
                         f"service_id IN {IDS} AND {span} AND toUnixTimestamp64Second(time) >= {own} AND {closed('usage_1m', span)} "
                         "GROUP BY service_id, at HAVING sum(up_packets + down_packets) > 0 ORDER BY service_id, at LIMIT 1 BY service_id",
                         {"ids": ",".join(ids)}, "first traffic", ids)
        found: dict[str, Minute] = {}
        for service, at, down, up in rows:
            begin = moment_of(int(at))
            covered = self._covered_by(self._sources([str(service)], begin, begin + timedelta(minutes=1)), begin, begin + timedelta(minutes=1))
            found[str(service)] = Minute(begin, int(down), int(up), int(at) in covered[str(service)])
        return found

    def minutes(self, service_id: str, since: datetime, until: datetime) -> list[Minute]:
        """The minutes that begin in a time, those without a row among them: 0 bytes, `covered` or not. One that is not closed yet is not covered."""
        first, last = minutes_of(since, until)
        span = between(first, last)
        rows = self._ask("SELECT toInt64(toUnixTimestamp64Second(time)) AS at, sum(down_bytes), sum(up_bytes) FROM usage_1m FINAL "
                         f"WHERE service_id = {{id:String}} AND {span} AND {closed('usage_1m', span)} GROUP BY at", {"id": service_id},
                         "minutes", [service_id])
        carried = {int(at): (int(down), int(up)) for at, down, up in rows}
        covered = self._covered_by(self._sources([service_id], since, until), since, until)[service_id]
        return [Minute(moment_of(at), *carried.get(at, (0, 0)), at in covered) for at in range(first, last, MINUTE)]

    def used(self, service_ids: Sequence[str], since: datetime, until: datetime) -> Used:
        """The sum over services. measured: minutes that are covered for all of them."""
        ids = list(dict.fromkeys(service_ids))
        first, last = minutes_of(since, until)
        if not ids:
            return Used(0, 0, 0, 0, (last - first) // MINUTE)
        found = self._sums(first, last, ids)
        covered = self._covered_by(self._sources(ids, since, until), since, until)
        measured = set.intersection(*(covered[one] for one in ids))
        down, up, flows = (sum(one[k] for one in found.values()) for k in range(3))
        return Used(down, up, flows, len(measured), (last - first) // MINUTE)

    def services(self, since: datetime, until: datetime) -> dict[str, Used]:
        """Every service id that the store knows traffic of in a time."""
        first, last = minutes_of(since, until)
        found = self._sums(first, last, None)
        covered = self._covered_by(self._sources(list(found), since, until), since, until)
        return {service: Used(*sums, len(covered[service]), (last - first) // MINUTE) for service, sums in found.items()}

    def measured(self, service_ids: Sequence[str], since: datetime, until: datetime) -> dict[str, int]:
        """Of services, also of those without a row: how many minutes of a time are covered."""
        covered = self._covered_by(self._sources(list(service_ids), since, until), since, until)
        return {service: len(covered[service]) for service in service_ids}

    def peaks(self, since: datetime, until: datetime) -> dict[str, Peak]:
        """The busiest slot of 5 minutes of every service, by its whole minutes that are closed."""
        first, last = minutes_of(since, until)
        span = between(first, last)
        slots = (f"SELECT service_id, intDiv(toInt64(toUnixTimestamp64Second(time)), {SLOT}) * {SLOT} AS at, sum(down_bytes) AS down, sum(up_bytes) AS up "
                 f"FROM usage_1m FINAL WHERE {span} AND {closed('usage_1m', span)} GROUP BY service_id, at")
        rows = self._ask(f"SELECT service_id, max(down), max(up), argMax(at, greatest(down, up)) FROM ({slots}) GROUP BY service_id", {}, "peaks")
        return {str(service): Peak(int(down) * 8 / SLOT, int(up) * 8 / SLOT, moment_of(int(at))) for service, down, up, at in rows}

    # ---- links and networks

    def busy(self, probe: str, interface: str, since: datetime, until: datetime) -> Busy:
        """How busy a link is, measured (not nameplate): octets of frames towards the local side and away from it (by who opened
        flows, where neither end is local or both are)."""
        first, last = minutes_of(since, until)
        first, last = first + -first % SLOT, last - last % SLOT
        if first >= last:
            return Busy(None, None, 0)
        params = {"probe": probe, "interface": interface}
        good = GOOD.format(span=between(first, last, "us"), more="AND probe = {probe:String} AND source = {interface:String} AND capture_id = 0")
        whole = [int(at) for at, in self._ask(
            f"SELECT intDiv(at, {SLOT}) * {SLOT} AS slot FROM ({good}) "
            f"GROUP BY slot HAVING uniqExact(at) = {SLOT // MINUTE}", params, "coverage", personal=False)]
        away = "sum(if(server_local AND NOT client_local, server_wire_bytes, client_wire_bytes))"
        towards = "sum(if(server_local AND NOT client_local, client_wire_bytes, server_wire_bytes))"
        carried = {int(at): max(int(one), int(other)) for at, one, other in self._ask(
            f"SELECT intDiv(toInt64(toUnixTimestamp64Second(time)), {SLOT}) * {SLOT} AS at, {away}, {towards} FROM links_1m "
            f"WHERE probe = {{probe:String}} AND interface = {{interface:String}} AND capture_id = 0 AND {between(first, last)} GROUP BY at",
            params, "links", personal=False)}
        rates = sorted(carried.get(at, 0) * 8 / SLOT for at in whole)
        if not rates:
            return Busy(None, None, 0)
        return Busy(rates[(95 * len(rates) + 99) // 100 - 1], rates[-1], len(rates))

    def unbound(self, since: datetime, until: datetime) -> list[Unbound]:
        """Traffic without a service, the most first, of the closed hours that begin in a time."""
        first, last = minutes_of(since, until)
        span = between(first + -first % HOUR, last)
        rows = self._ask("SELECT prefix, sum(up_bytes + down_bytes) AS octets, sum(flows) FROM usage_unbound_1h FINAL "
                         f"WHERE {span} AND {closed('usage_unbound_1h', span)} GROUP BY prefix HAVING octets > 0 ORDER BY octets DESC, prefix",
                         {}, "unbound", personal=False)
        return [Unbound(str(prefix), int(octets), int(flows)) for prefix, octets, flows in rows]

    # ---- a binding that is corrected

    def moved(self, ends: Ends) -> list[Moved]:
        """What would be another service's, by hour: the flows that are stored now."""
        found: dict[tuple[int, str, str], tuple[int, int]] = {}
        for side in ("client", "server"):
            rows = self._ask(
                f"SELECT intDiv(toUnixTimestamp64Micro(interval_start), {HOUR * 1_000_000}) * {HOUR} AS at, {side}_service_id, any({side}_customer_id), "
                f"count(), sum(client_bytes + server_bytes) FROM flows WHERE {of_side(ends, side)} GROUP BY at, {side}_service_id",
                parameters(ends), "correction",
                [ends.stamped] if ends.stamped else ())
            for at, service, customer, count, octets in rows:
                before = found.get((int(at), str(service), str(customer)), (0, 0))
                found[int(at), str(service), str(customer)] = before[0] + int(count), before[1] + int(octets)
        return [Moved(moment_of(at), service, customer, *sums) for (at, service, customer), sums in sorted(found.items())]

    def restamp(self, ends: Ends, service_id: str, customer_id: str, probe: str = "", interface: str = "") -> None:
        """Give these flows to a service, '' nobody. Refusal `away` where another process owns the store: its owner writes it, nobody else."""
        with self._turn:
            self.close()
            store = self._opened(writing=True)
            try:
                elsewhere = "0"
                if service_id and probe:
                    elsewhere = f"probe != {{at_probe:String}}{' OR interface != {at_interface:String}' if interface else ''}"
                for side in ("client", "server"):
                    store.query(f"ALTER TABLE flows UPDATE {side}_service_id = {{to_service:String}}, {side}_customer_id = {{to_customer:String}}, "
                                f"{side}_duplicate = {elsewhere} WHERE {of_side(ends, side)} SETTINGS mutations_sync = 2",
                                {**parameters(ends), "to_service": service_id, "to_customer": customer_id, "at_probe": probe, "at_interface": interface})
            except Exception as error:
                raise _away(self.url, error) from None
            finally:
                store.close()

    def recompute(self, since: datetime, until: datetime) -> dict[str, Any]:
        """Have the probe's own program compute usage of a time anew, from flows; what changed, as it says. What differs gets the next revision."""
        first, last = minutes_of(since, until)
        with self._turn:
            self.close()
            begin, end = (moment_of(at).isoformat().replace("+00:00", "Z") for at in (first, last))
            command = [sys.executable, "-m", "dpi.cli.main", "usage", "recompute", begin, end, "--store", self.url, "--json"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise _away(self.url, error) from None
        if done.returncode not in (0, 1) or not done.stdout.strip():
            raise Refusal("away", done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "usage can't be computed", self.url,
                          f"stop the probe and run: fullspan usage recompute {begin} {end} --store {self.url}")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def holder(self, address: str, at: datetime, vlan: int = 0, inner_vlan: int = 0) -> Holder | None:
        """Who had an address by what was learned on the wire (RADIUS, DHCP, PPPoE), if his line was bound then; None: nobody that is known."""
        us = (at - EPOCH) // timedelta(microseconds=1)
        rows = self._ask(SESSIONS, {"at": us, "address": address, "vlan": vlan, "inner": inner_vlan}, "whois", ())
        return Holder(str(rows[0][0]), str(rows[0][1]), str(rows[0][2]), moment_of(int(rows[0][3]) // 1_000_000)) if rows and rows[0][0] else None

    # ---- asking

    def rows(self, sql: str, parameters: Mapping[str, Any], what: str, ids: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Rows of a question that a domain words itself (with bss/question.py), by ids alone. what: noted in the store with the ids. Refusal `away`."""
        return self._ask(sql, parameters, what, ids)

    def close(self) -> None:
        """Let go of the store; the next question opens it again."""
        with self._turn:
            if self._leaving is not None:
                self._leaving.cancel()
                self._leaving = None
            if self._store is not None:
                with suppress(Exception):
                    self._store.close()
                self._store = None

    def _sums(self, first: int, last: int, ids: list[str] | None) -> dict[str, tuple[int, int, int]]:
        span = between(first, last)
        mine, params = some_of(ids)
        rows = self._ask("SELECT service_id, sum(down_bytes), sum(up_bytes), sum(flows) FROM usage_1m FINAL "
                         f"WHERE {mine}{span} AND {closed('usage_1m', span)} GROUP BY service_id HAVING sum(up_packets + down_packets) > 0",
                         params, "usage", ids or ())
        return {str(service): (int(down), int(up), int(flows)) for service, down, up, flows in rows if ids is None or service in ids}

    def _sources(self, ids: Collection[str], since: datetime, until: datetime) -> dict[str, set[str]]:
        """The live probes that have seen each service before or in a time."""
        found: dict[str, set[str]] = {one: set() for one in ids}
        if ids:
            span = between(second(since - KNOWN), second(until, up=True))
            mine, params = some_of(ids)
            rows = self._ask(f"SELECT DISTINCT service_id, probe FROM usage_1m WHERE {mine}capture_id = 0 AND {span}", params, "probes", tuple(ids))
            for service, probe in rows:
                if service in found:
                    found[str(service)].add(str(probe))
        return found

    def _covered_by(self, sources: Mapping[str, set[str]], since: datetime, until: datetime) -> dict[str, set[int]]:
        """Of each service the minutes that are closed and in which its probes lost at most 1 %. A service that no probe has seen: all probes must have."""
        first, last = minutes_of(since, until)
        span = between(first, last)
        rows = self._ask(f"SELECT probe, capture_id = 0, at FROM ({GOOD.format(span=between(first, last, 'us'), more='')}) WHERE (probe, capture_id, at) IN "
                         "(SELECT probe, capture_id, toInt64(toUnixTimestamp64Second(time)) FROM usage_slots WHERE table_name = 'usage_1m' "
                         f"AND {span})", {}, "coverage", personal=False)
        told = self._ask(f"SELECT DISTINCT probe FROM coverage WHERE capture_id = 0 AND {between(first, last, 'us')}", {}, "coverage", personal=False)
        live: dict[str, set[int]] = {str(probe): set() for probe, in told}
        replayed: set[int] = set()
        for probe, is_live, at in rows:
            (live.setdefault(str(probe), set()) if int(is_live) else replayed).add(int(at))
        if replayed:        # a capture counts nothing where a probe has told of the minute, and so it covers nothing there
            replayed -= {int(at) for at, in self._ask("SELECT DISTINCT toInt64(toUnixTimestamp64Second(time)) FROM usage_slots WHERE table_name = 'usage_1m' "
                                                      f"AND capture_id = 0 AND {span}", {}, "coverage", personal=False)}
        found: dict[str, set[int]] = {}
        for service, probes in sources.items():
            mine = [live.get(one, set()) for one in (probes or live)]
            found[service] = (set.intersection(*mine) if mine else set()) | replayed
        return found

    def _ask(self, sql: str, params: Mapping[str, Any], what: str, ids: Sequence[str] = (), personal: bool = True) -> list[tuple[Any, ...]]:
        """Rows. personal: it names services, and that is noted in the store."""
        with self._aside(), self._turn:
            for attempt in range(2):
                try:
                    store = self._opened()
                    given = {name: value.translate(ESCAPED) if isinstance(value, str) else value for name, value in params.items()}
                    if not personal:
                        rows: list[tuple[Any, ...]] = store.query(sql, given).rows
                        return rows
                    return self._noted(store, sql, given, what, ids)
                except Refusal:
                    raise
                except Exception as error:          # of the store's own kinds, which are none of ours
                    self.close()
                    if attempt:
                        raise _away(self.url, error) from None
                finally:
                    self._linger()
        raise AssertionError

    @staticmethod
    def _noted(store: Any, sql: str, params: Mapping[str, Any], what: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        from dpi.store.access import Access, permit

        reading = permit(store, Access("business", f"business layer: {what}", "", "service" if ids else "tables", ", ".join(ids)[:900]))
        rows: list[tuple[Any, ...]] = store.query(sql, dict(params)).rows
        reading.told(len(rows))
        return rows

    def _opened(self, writing: bool = False) -> Any:
        """The store. Refusal `away`: there is none, or nobody answers for it."""
        if self.url == "none":
            raise Refusal("away", "no store is named, so nothing is measured", "store", "name the probe's store in the settings")
        if self._store is not None and not writing:
            return self._store
        try:
            from dpi.store import open_store

            opened: Any = open_store(self.url, create=False, readonly=not writing)
        except Exception as error:
            raise _away(self.url, error) from None
        if writing:
            if hasattr(opened, "post"):
                raise Refusal("away", "another process owns the store, and it is only read here", self.url, "stop the probe for it")
            return opened
        self._store = opened
        return opened

    def _linger(self) -> None:
        """An embedded store has one owner: where that is us we let go soon, for a probe that wants to start."""
        if self._store is None or getattr(self._store, "reader", None) is None:
            return
        if self._leaving is not None:
            self._leaving.cancel()
        self._leaving = threading.Timer(LINGER, self.close)
        self._leaving.daemon = True
        self._leaving.start()


def _away(url: str, error: BaseException) -> Refusal:
    """What the store's own errors say (what, where, mend)."""
    what = str(getattr(error, "what", "") or error).splitlines() or [type(error).__name__]
    return Refusal("away", f"the store does not answer: {what[0]}", url.split("@")[-1], str(getattr(error, "mend", "")))
