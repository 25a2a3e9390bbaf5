"""The figures of dns, tls and http rows, folded by `messages.py`."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Array, Batch
from dpi.flow.figures import BOUNDS, TOP, Delays, Figures, Share, ranked
from dpi.flow.messages import ARRAYS, DELAYS, NUMBERS, SUMS, TEXTS, WORLD, fold_messages
from dpi.flow.vocabulary import BEYOND, WORDS
from dpi.flow.words import LONGEST, Words
from dpi.flow.words import WORLD as WORDS_WORLD
from dpi.jit import records, world

_FEW = 4096             # texts of what has few
_CAPS = {"http_methods": _FEW, "http_types": _FEW}
_ALL: Array = np.zeros(0, np.int64)


class Transactions:
    """What was counted of dns, tls and http rows so far."""

    def __init__(self) -> None:
        self._sums: Array = np.zeros(1, SUMS)
        self._numbers: Array = np.zeros((len(NUMBERS), BEYOND + 1), np.int64)       # pages nobody counts in are never touched
        self._delays: Array = np.zeros((len(DELAYS), len(BOUNDS)), np.int64)
        self._texts = {name: Words(_CAPS.get(name, 1 << 16)) for name in TEXTS}
        texts = records(len(TEXTS), WORDS_WORLD)
        for k, words in enumerate(self._texts.values()):
            texts[k] = words.world[0]
        self._arrays: dict[str, Any] = {
            "sums": self._sums, "numbers": self._numbers.reshape(-1), "texts": texts, "delays": self._delays.reshape(-1),
            "bounds": np.array(BOUNDS, np.int64), "mended": np.zeros(LONGEST, np.uint8)}
        self._world = world(WORLD, {name: self._arrays[name] for name in ARRAYS})

    def write(self, batch: Batch) -> None:
        """Add a batch of dns, tls or http, which has to bring its records."""
        if batch.records is None:
            raise ValueError(f"{batch.table}: a batch of columns only cannot be folded")
        places, row = _ALL if batch.places is None else batch.places, 0
        while (row := fold_messages(batch.records, places, row, batch.count, self._world)) < batch.count:
            for words in self._texts.values():
                words.make_room()

    def into(self, out: Figures) -> None:
        """Fill the figures."""
        sums, dns, tls, http = self._sums[0], out.dns, out.tls, out.http
        dns.queries, dns.responses, tls.hellos, tls.unnamed, http.requests = (
            int(sums[name]) for name in ("queries", "responses", "hellos", "unnamed", "requests"))
        dns.codes, dns.types = self._worded("dns_codes", "response_code"), self._worded("dns_types", "query_type")
        tls.versions, tls.offered = self._worded("tls_versions", "version"), self._worded("tls_offered", "version")
        tls.ciphers = self._worded("tls_ciphers", "cipher")
        dns.names, dns.failing, tls.names, tls.ja4, tls.alpn, http.methods, http.hosts, http.agents, http.types = (
            [Share(word, count) for word, count in words.top(TOP)] for words in self._texts.values())
        dns.delays, http.delays = (Delays(histogram.tolist()) for histogram in self._delays)
        status = self._numbers[NUMBERS.index("http_status"), :1000].copy()
        status[0] = 0                       # not known
        http.codes = ranked((Share(str(k), int(status[k])) for k in np.flatnonzero(status).tolist()), by="flows")
        classes = status.reshape(10, 100).sum(axis=1)
        http.status = [Share(f"{k}xx", int(classes[k])) for k in range(10) if classes[k]]
        out.distinct.update(dns_names=self._texts["dns_names"].distinct(), tls_names=self._texts["tls_names"].distinct(),
                            ja4=self._texts["tls_ja4"].distinct(), http_hosts=self._texts["http_hosts"].distinct())

    def _worded(self, name: str, column: str) -> list[Share]:
        """What was counted by number, most first, under the words of a column; a number without one is left out."""
        counts, words = self._numbers[NUMBERS.index(name)], WORDS[name.partition("_")[0], column]
        return ranked((Share(word, int(counts[k])) for k in np.flatnonzero(counts).tolist() if (word := words(k))), by="flows")
