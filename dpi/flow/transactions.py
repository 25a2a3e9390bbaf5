"""Folds dns, tls and http rows into their figures."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Array, Batch, Coded, Texts
from dpi.flow.figures import BOUNDS, TOP, Delays, Figures, Share, ranked
from dpi.flow.tally import Registry, TextTally, keyed

_BOUNDS = np.array(BOUNDS, np.int64)
_NO_STATUS = 0xFFFF


def _flag(column: Any, count: int) -> Array:
    return np.zeros(count, bool) if column is None else np.asarray(column) != 0


def _shares(tally: TextTally, top: int = TOP) -> list[Share]:
    return [Share(word, sums[0]) for word, sums in tally.top(top)]


class _Codes:
    """Rows by a word of a small set."""

    def __init__(self, size: int = 512) -> None:
        self.registry, self.counts = Registry(size), np.zeros(size, np.int64)

    def add(self, column: Any, count: int, only: Array | None = None) -> None:
        if column is not None:
            codes = self.registry.codes(column, count)
            self.counts += np.bincount(codes if only is None else codes[only], minlength=len(self.counts))

    def shares(self) -> list[Share]:
        return ranked((Share(self.registry.words[k], int(self.counts[k])) for k in np.flatnonzero(self.counts).tolist() if k), by="flows")


def delays(histogram: Array, column: Any) -> None:
    """Add the measured values of a nullable uint32 column [n] to a histogram int64[len(BOUNDS)]."""
    if column is not None:
        values = np.asarray(column)
        values = values[values != 0xFFFFFFFF].astype(np.int64)
        if len(values):
            histogram += np.bincount(np.searchsorted(_BOUNDS, values, "right") - 1, minlength=len(BOUNDS))


class DnsFold:
    """Questions, answers, codes, names, response times."""

    USED = ("query_name", "query_type", "is_response", "response_code", "response_time_us")

    def __init__(self) -> None:
        self.queries = self.responses = 0
        self.codes, self.types = _Codes(), _Codes()
        self.names, self.failing = TextTally(), TextTally()
        self.delays = np.zeros(len(BOUNDS), np.int64)

    def write(self, batch: Batch) -> None:
        n, columns = batch.count, batch.columns
        response = _flag(columns.get("is_response"), n)
        self.responses += int(response.sum())
        self.queries += n - int(response.sum())
        ones = np.ones(n, np.int64)
        self.codes.add(columns.get("response_code"), n, response)
        self.types.add(columns.get("query_type"), n, ~response)
        names = keyed(columns.get("query_name"))
        self.names.add(names, ones, only=~response)
        code = columns.get("response_code")
        if code is not None:
            coded = code if isinstance(code, Coded) else Coded.of(code)     # type: ignore[arg-type]
            good = np.array([word in ("NOERROR", "") for word in coded.words])
            self.failing.add(names, ones, only=response & ~good[coded.codes])
        delays(self.delays, columns.get("response_time_us"))

    def into(self, out: Figures) -> None:
        out.dns.queries, out.dns.responses = self.queries, self.responses
        out.dns.codes, out.dns.types = self.codes.shares(), self.types.shares()
        out.dns.names, out.dns.failing = _shares(self.names), _shares(self.failing)
        out.dns.delays = Delays(self.delays.tolist())
        out.distinct["dns_names"] = self.names.distinct()


class TlsFold:
    """Hellos, versions, ciphers, names, fingerprints."""

    USED = ("role", "version", "cipher", "server_name", "alpn", "ja4")

    def __init__(self) -> None:
        self.hellos = self.unnamed = 0
        self.versions, self.offered, self.ciphers = _Codes(), _Codes(), _Codes(1024)
        self.names, self.ja4, self.alpn = TextTally(), TextTally(), TextTally()

    def write(self, batch: Batch) -> None:
        n, columns = batch.count, batch.columns
        role = columns.get("role")
        client = np.array([word == "client" for word in role], bool) if isinstance(role, Texts) else np.zeros(n, bool)
        if isinstance(role, Coded):
            client = np.array([word == "client" for word in role.words])[role.codes]
        self.hellos += int(client.sum())
        ones = np.ones(n, np.int64)
        names = columns.get("server_name")
        if isinstance(names, Texts):
            self.unnamed += int((client & (np.diff(names.offsets) == 0)).sum())
        elif isinstance(names, Coded):
            self.unnamed += int((client & np.array([word == "" for word in names.words])[names.codes]).sum())
        else:
            self.unnamed += int(client.sum())
        self.versions.add(columns.get("version"), n, ~client)
        self.offered.add(columns.get("version"), n, client)
        self.ciphers.add(columns.get("cipher"), n, ~client)
        self.names.add(names, ones, only=client)
        self.ja4.add(columns.get("ja4"), ones, only=client)
        self.alpn.add(columns.get("alpn"), ones, only=client)

    def into(self, out: Figures) -> None:
        tls = out.tls
        tls.hellos, tls.unnamed = self.hellos, self.unnamed
        tls.versions, tls.offered, tls.ciphers = self.versions.shares(), self.offered.shares(), self.ciphers.shares()
        tls.names, tls.ja4, tls.alpn = _shares(self.names), _shares(self.ja4), _shares(self.alpn)
        out.distinct.update(tls_names=self.names.distinct(), ja4=self.ja4.distinct())


class HttpFold:
    """Requests, status, hosts, agents."""

    USED = ("method", "host", "status", "user_agent", "content_type", "response_time_us")

    def __init__(self) -> None:
        self.requests = 0
        self.status = np.zeros(1000, np.int64)
        self.methods, self.types = _Codes(), _Codes(4096)
        self.hosts, self.agents = TextTally(), TextTally()
        self.delays = np.zeros(len(BOUNDS), np.int64)

    def write(self, batch: Batch) -> None:
        n, columns = batch.count, batch.columns
        self.requests += n
        ones = np.ones(n, np.int64)
        status = columns.get("status")
        if status is not None:
            values = np.asarray(status).astype(np.int64)
            self.status += np.bincount(values[(values > 0) & (values < 1000)], minlength=1000)
        self.methods.add(columns.get("method"), n)
        self.types.add(columns.get("content_type"), n)
        self.hosts.add(columns.get("host"), ones)
        self.agents.add(columns.get("user_agent"), ones)
        delays(self.delays, columns.get("response_time_us"))

    def into(self, out: Figures) -> None:
        http = out.http
        http.requests = self.requests
        http.codes = ranked((Share(str(k), int(self.status[k])) for k in np.flatnonzero(self.status).tolist()), by="flows")
        classes = self.status.reshape(10, 100).sum(axis=1)
        http.status = [Share(f"{k}xx", int(classes[k])) for k in range(10) if classes[k]]
        http.methods, http.types = self.methods.shares(), self.types.shares()
        http.hosts, http.agents = _shares(self.hosts), _shares(self.agents)
        http.delays = Delays(self.delays.tolist())
        out.distinct["http_hosts"] = self.hosts.distinct()
