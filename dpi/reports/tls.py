"""Which TLS: versions, ciphers, names, fingerprints?"""
from __future__ import annotations

from dpi.flow.figures import TOP, Figures
from dpi.reports.question import Question

_CLIENT = "role = 'client'"


def answer(ask: Question, out: Figures) -> None:
    """Fill the TLS figures."""
    hellos, unnamed, rows, names, prints = ask.rows(
        f"countIf({_CLIENT}), countIf({_CLIENT} AND server_name = ''), count(), uniqExactIf(server_name, {_CLIENT} AND server_name != ''), "
        f"uniqExactIf(ja4, {_CLIENT} AND ja4 != '')", "tls")[0]
    tls = out.tls
    tls.hellos, tls.unnamed = int(hellos), int(unnamed)
    out.distinct.update(tls_names=int(names), ja4=int(prints))
    if not int(rows):
        return
    tls.versions = ask.counts("version", "tls", TOP, f"NOT {_CLIENT}")
    tls.offered = ask.counts("version", "tls", TOP, _CLIENT)
    tls.ciphers = ask.counts("cipher", "tls", TOP, f"NOT {_CLIENT}")
    tls.names, tls.ja4, tls.alpn = (ask.counts(column, "tls", TOP, _CLIENT) for column in ("server_name", "ja4", "alpn"))
