"""Whose the rows of a batch are: the columns that the stamp (stamp.py) and the geography of a batch give, made where the batch is made, for every sink."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dpi.batch import AnyColumn, Batch, Made, Named
from dpi.dataclass import dataclass
from dpi.flow.row import ROW
from dpi.identity.bindings import Bindings, read
from dpi.identity.geography import Geography
from dpi.identity.holders import HELD, Holders
from dpi.identity.index import bounds, build
from dpi.identity.networks import local
from dpi.identity.stamp import STAMP, WORLD, stamp
from dpi.jit import records, world

_NOWHERE = 0xFFFFFFFF       # number of a probe or interface that no line names


@dataclass(frozen=True)
class Options:
    """What an operator says of identity: [identity] of the settings. probe: whose capture a replay reads; empty: the rows' own probe."""
    bindings: str = ""
    local_networks: str = ""
    probe: str = ""
    country_database: str = ""
    asn_database: str = ""

    @property
    def given(self) -> bool:
        """Whether there is anything to stamp."""
        return bool(self.bindings or self.local_networks.strip() or self.country_database or self.asn_database)


class Identity:
    """What is in force: read by all shards, never changed but for `geography`. Pickled without that, which holds files."""

    def __init__(self, options: Options, bindings: Bindings, arrays: dict[str, Any], bounds: Any, loaded: float) -> None:
        """arrays, bounds: see index.py; loaded: when it was read, s since the epoch."""
        self.options, self.bindings, self.arrays, self.bounds, self.loaded = options, bindings, arrays, bounds, loaded
        self.world = world(WORLD, arrays)
        self.stamps = bool(len(bindings) or len(arrays["locals"]))          # there is anything but geography
        lines = arrays["lines"].view(np.ndarray)
        self.services, self.customers = (np.ascontiguousarray(lines[name]) for name in ("service", "customer"))     # uint32[lines]: places in the words
        self._probes = {word: k for k, word in enumerate(bindings.probes)}
        self._interfaces = {word: k for k, word in enumerate(bindings.interfaces)}
        self.geography: Geography | None = None
        self.kernels = (stamp,)

    def __reduce__(self) -> Any:
        return Identity, (self.options, self.bindings, self.arrays, self.bounds, self.loaded)

    def probe(self, name: str) -> int:
        """The number of the probe whose rows these are."""
        return self._probes.get(self.options.probe or name, _NOWHERE)

    def interfaces(self, names: list[str]) -> Any:
        """uint32[]: numbers of interfaces; 0 for one without a name, which is not compared."""
        return np.array([self._interfaces.get(name, _NOWHERE) for name in names or [""]], np.uint32)


def load(options: Options, where: str = "[identity] local_networks") -> Identity:
    """Read what the options name. UserError: a file with an error; `where`: what is told of local networks that are none."""
    spans = local(options.local_networks, where)
    found = read(options.bindings) if options.bindings else Bindings()
    return Identity(options, found, build(found, spans), bounds(found), time.time())


def geography(options: Options) -> Geography | None:
    """The databases that the options name. UserError for a file that is none."""
    return Geography(options.country_database, options.asn_database) if options.country_database or options.asn_database else None


class Stamper:
    """Stamps the batches of one shard, one after the other: a batch is good until the next one is made."""

    def __init__(self, holders: Holders | None = None) -> None:
        """holders: of addresses, as learned on the wire."""
        self._stamps, self._holders, self._nobody = records(0, STAMP), holders, records(0, HELD)

    def stamped(self, batch: Batch, identity: Identity, probe: str, interfaces: list[str]) -> Batch:
        """The batch of `flows` with the columns of identity."""
        rows, count = batch.records, batch.count
        makers: dict[str, Callable[[], AnyColumn]] = {}
        if identity.stamps:
            if len(self._stamps) < count:
                self._stamps = records(count, STAMP)
            numbers, place = identity.interfaces(interfaces), identity.probe(probe)
            if self._holders is None:
                stamp(rows, self._stamps, numbers, identity.world, self._nobody, count, place)
            else:
                held = self._holders.held(identity.bindings)
                with self._holders.sessions.lock:
                    stamp(rows, self._stamps, numbers, identity.world, held, count, place)
            plain = self._stamps[:count].view(np.ndarray)
            for side in ("client", "server"):
                makers[f"{side}_local"] = _flag(plain, f"{side}_local")
                if len(identity.bindings):
                    makers[f"{side}_service_id"] = _words(identity.services, plain[side], identity.bindings.services)
                    makers[f"{side}_customer_id"] = _words(identity.customers, plain[side], identity.bindings.customers)
                    makers[f"{side}_duplicate"] = _flag(plain, f"{side}_duplicate")
        if identity.geography is not None:
            columns = identity.geography.columns(*(batch.columns[f"{side}_ip"] for side in ("client", "server")))
            makers |= {name: _made(column) for name, column in columns.items()}
        assert isinstance(batch.columns, Made)
        return Batch(batch.table, count, batch.columns.and_these(makers), rows)

    def whose(self, messages: Any, identity: Identity, probe: str, interfaces: list[str]) -> Mapping[str, AnyColumn]:
        """Columns `client_service_id` and `client_customer_id` of TRANSACTION[n], which have none."""
        rows = records(len(messages), ROW)
        plain = rows.view(np.ndarray)
        plain["client_ip"], plain["server_ip"] = messages["client"], messages["server"]
        plain["interval_start"] = plain["interval_end"] = plain["flow_start_time"] = messages["time"]
        plain["vlan"], plain["inner_vlan"] = messages["vlan"], messages["inner_vlan"]
        stamped = Stamper(self._holders).stamped(Batch("flows", len(rows), Made({}), rows), identity, probe, interfaces).columns
        return {name: stamped[name] for name in ("client_service_id", "client_customer_id") if name in stamped}


def _flag(plain: Any, name: str) -> Callable[[], AnyColumn]:
    return lambda: plain[name]


def _words(numbers: Any, lines: Any, words: list[str]) -> Callable[[], AnyColumn]:
    return lambda: Named(numbers[lines], words)


def _made(column: AnyColumn) -> Callable[[], AnyColumn]:
    return lambda: column
