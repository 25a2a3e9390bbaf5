"""Folds dns, tls and http rows into their figures."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Array, Batch, Coded
from dpi.flow.figures import BOUNDS, TOP, Delays, Figures, Share, ranked
from dpi.flow.tally import coded
from dpi.flow.words import Words

_BOUNDS = np.array(BOUNDS, np.int64)
_FEW = 4096             # strings of what has few: codes, versions, methods


def _flag(column: Any, count: int) -> Array:
    return np.zeros(count, bool) if column is None else np.asarray(column) != 0


def _is(column: Any, count: int, words: tuple[str, ...]) -> Array:
    """Which rows of a column of few words hold one of these; none where there is no column."""
    few = coded(column)
    return np.zeros(count, bool) if few is None else np.array([word in words for word in few.words], bool)[few.codes]


def _empty(column: Any, count: int) -> Array:
    """Which rows are ''; all where there is no column."""
    if column is None:
        return np.ones(count, bool)
    return _is(column, count, ("",)) if isinstance(column, Coded) else np.diff(column.offsets) == 0


def _shares(words: Words, top: int = TOP) -> list[Share]:
    return [Share(word, count) for word, count in words.top(top)]


def delays(histogram: Array, column: Any) -> None:
    """Add the measured values of a nullable uint32 column [n] to a histogram int64[len(BOUNDS)]."""
    if column is not None:
        values = np.asarray(column)
        values = values[values != 0xFFFFFFFF].astype(np.int64)
        if len(values):
            histogram += np.bincount(np.searchsorted(_BOUNDS, values, "right") - 1, minlength=len(BOUNDS))


class DnsFold:
    """Questions, answers, codes, names, response times."""

    def __init__(self) -> None:
        self.queries = self.responses = 0
        self.codes, self.types = Words(_FEW), Words(_FEW)
        self.names, self.failing = Words(), Words()
        self.delays = np.zeros(len(BOUNDS), np.int64)

    def write(self, batch: Batch) -> None:
        n, columns = batch.count, batch.columns
        response = _flag(columns.get("is_response"), n)
        self.responses += int(response.sum())
        self.queries += n - int(response.sum())
        code, names = columns.get("response_code"), columns.get("query_name")
        self.codes.add(code, response)
        self.types.add(columns.get("query_type"), ~response)
        self.names.add(names, ~response)
        if code is not None:
            self.failing.add(names, response & ~_is(code, n, ("NOERROR", "")))
        delays(self.delays, columns.get("response_time_us"))

    def into(self, out: Figures) -> None:
        out.dns.queries, out.dns.responses = self.queries, self.responses
        out.dns.codes, out.dns.types = _shares(self.codes), _shares(self.types)
        out.dns.names, out.dns.failing = _shares(self.names), _shares(self.failing)
        out.dns.delays = Delays(self.delays.tolist())
        out.distinct["dns_names"] = self.names.distinct()


class TlsFold:
    """Hellos, versions, ciphers, names, fingerprints."""

    def __init__(self) -> None:
        self.hellos = self.unnamed = 0
        self.versions, self.offered, self.ciphers = Words(_FEW), Words(_FEW), Words(_FEW)
        self.names, self.ja4, self.alpn = Words(), Words(), Words()

    def write(self, batch: Batch) -> None:
        n, columns = batch.count, batch.columns
        client = _is(columns.get("role"), n, ("client",))
        self.hellos += int(client.sum())
        self.unnamed += int((client & _empty(columns.get("server_name"), n)).sum())
        self.versions.add(columns.get("version"), ~client)
        self.offered.add(columns.get("version"), client)
        self.ciphers.add(columns.get("cipher"), ~client)
        for words, name in ((self.names, "server_name"), (self.ja4, "ja4"), (self.alpn, "alpn")):
            words.add(columns.get(name), client)

    def into(self, out: Figures) -> None:
        tls = out.tls
        tls.hellos, tls.unnamed = self.hellos, self.unnamed
        tls.versions, tls.offered, tls.ciphers = _shares(self.versions), _shares(self.offered), _shares(self.ciphers)
        tls.names, tls.ja4, tls.alpn = _shares(self.names), _shares(self.ja4), _shares(self.alpn)
        out.distinct.update(tls_names=self.names.distinct(), ja4=self.ja4.distinct())


class HttpFold:
    """Requests, status, hosts, agents."""

    def __init__(self) -> None:
        self.requests = 0
        self.status = np.zeros(1000, np.int64)
        self.methods, self.types = Words(_FEW), Words(_FEW)
        self.hosts, self.agents = Words(), Words()
        self.delays = np.zeros(len(BOUNDS), np.int64)

    def write(self, batch: Batch) -> None:
        n, columns = batch.count, batch.columns
        self.requests += n
        ones = np.ones(n, np.int64)
        status = columns.get("status")
        if status is not None:
            values = np.asarray(status).astype(np.int64)
            self.status += np.bincount(values[(values > 0) & (values < 1000)], minlength=1000)
        for words, name in ((self.methods, "method"), (self.types, "content_type"), (self.hosts, "host"), (self.agents, "user_agent")):
            words.add(columns.get(name), ones)
        delays(self.delays, columns.get("response_time_us"))

    def into(self, out: Figures) -> None:
        http = out.http
        http.requests = self.requests
        http.codes = ranked((Share(str(k), int(self.status[k])) for k in np.flatnonzero(self.status).tolist()), by="flows")
        classes = self.status.reshape(10, 100).sum(axis=1)
        http.status = [Share(f"{k}xx", int(classes[k])) for k in range(10) if classes[k]]
        http.methods, http.types = _shares(self.methods), _shares(self.types)
        http.hosts, http.agents = _shares(self.hosts), _shares(self.agents)
        http.delays = Delays(self.delays.tolist())
        out.distinct["http_hosts"] = self.hosts.distinct()
