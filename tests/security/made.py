"""Made-up rows of `flows` for detectors: ROW records with what a test says, the rest as of a short unanswered TCP connection."""
from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded
from dpi.flow.row import ROW
from dpi.jit import BUILD, records
from dpi.security.alert import Alert
from dpi.security.registry import Asked, configured
from dpi.security.watchman import Watchman

BEGIN = 1_699_999_200 * 1_000_000         # an hour's begin
SECOND = 1_000_000
SYN, RST, ACK, FIN = 2, 4, 16, 1
ANSWERED = {"server_packets": 1, "server_bytes": 40}


def words(address: str) -> tuple[int, int]:
    """An address as a row has it."""
    one = ipaddress.ip_address(address)
    raw = one.packed if one.version == 6 else b"\0" * 10 + b"\xff\xff" + one.packed
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")


def row(client: str, server: str, port: int = 80, at: float = 0, **given: Any) -> dict[str, Any]:
    """One row, `at` s behind BEGIN, over in the same moment unless `lasts` says for how many s; its flow is `age` s older."""
    start = BEGIN + int(at * SECOND)
    one = {"client_ip": words(client), "server_ip": words(server), "client_port": 40000, "server_port": port, "ip_protocol": 6, "client_packets": 1,
           "client_bytes": 40, "client_tcp_flags": SYN, "interval_start": start, "interval_end": start + int(given.pop("lasts", 0) * SECOND),
           "flow_start_time": start - int(given.pop("age", 0) * SECOND), "final": 1}
    return {**one, **given}


def batch(rows: Iterable[dict[str, Any]], **columns: Any) -> Batch:
    """They as a batch with records; flows are numbered from 1 in their order. Names of protocols, applications and categories may be words."""
    every = list(rows)
    for name in ("protocol", "application", "category"):
        if any(isinstance(one.get(name), str) for one in every):
            column = Coded.of(["", *(one.get(name, "") for one in every)])
            columns[name] = Coded(column.codes[1:], column.words)
            every = [{**one, name: int(code)} for one, code in zip(every, column.codes[1:])]
    made = records(len(every), ROW)
    plain = made.view(np.ndarray)
    for k, one in enumerate(every):
        plain["flow_id"][k] = k + 1
        for name, value in one.items():
            plain[name][k] = value
    count = len(every)
    return Batch("flows", count, {"probe": Coded.same("test", count), "capture_id": np.full(count, 7, np.uint64), **columns}, made)


class Sink:
    """Keeps rows of detections and alerts as dicts."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {"detections": [], "alerts": []}

    def write(self, batch: Batch) -> None:
        for k in range(batch.count) if batch.table in self.rows else ():
            self.rows[batch.table].append({name: column[k] for name, column in batch.columns.items() if name != "stored_time"})

    def close(self) -> None:
        """Nothing."""


def watch(asked: Iterable[Asked] | None = None, **options: Any) -> tuple[Watchman, Sink, list[Alert]]:
    """A watchman, what it writes, and the alerts that a listener hears."""
    sink, heard = Sink(), []
    if BUILD != "on":
        options.setdefault("keys", 1 << 13)         # places are looked through one by one
    made = Watchman(list(asked) if asked is not None else configured({}), [sink], **options)
    made.folding.listeners.append(heard.append)
    return made, sink, heard


def kinds(rows: Iterable[dict[str, Any]], only: str = "", **options: Any) -> list[str]:
    """The kinds that rows make fire, in order; only: with this detector alone."""
    asked = [one for one in configured({}) if not only or one.detector.kind == only]
    watchman, sink, _ = watch(asked, **options)
    watchman.write(batch(rows))
    watchman.end()
    return sorted({one["kind"] for one in sink.rows["detections"]})


def numbered(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by table with ids of alerts, which have a secret of their own in each replay without a store, as numbers in their order."""
    numbers = {number: f"alert {k}" for k, number in enumerate(dict.fromkeys(one["alert_id"] for one in rows["alerts"]))}
    return {table: [{**one, "alert_id": numbers[one["alert_id"]]} for one in some] for table, some in rows.items()}
