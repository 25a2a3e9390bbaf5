"""Start lines of HTTP/1 and the protocols built like it (RFC 9112, sections 2 to 4)."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.header_lines import decimal, line_end, name_hash, until, word_hash
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

GET, POST, HEAD, PUT, DELETE = (name_hash(word) for word in (b"GET", b"POST", b"HEAD", b"PUT", b"DELETE"))
OPTIONS, TRACE, CONNECT, PATCH = (name_hash(word) for word in (b"OPTIONS", b"TRACE", b"CONNECT", b"PATCH"))
NOTIFY, SUBSCRIBE, UNSUBSCRIBE = (name_hash(word) for word in (b"NOTIFY", b"SUBSCRIBE", b"UNSUBSCRIBE"))
PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK = (
    name_hash(word) for word in (b"PROPFIND", b"PROPPATCH", b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK"))
REPORT, SEARCH, ACL, MERGE, CHECKOUT, MKACTIVITY, BITS_POST, CCM_POST = (
    name_hash(word) for word in (b"REPORT", b"SEARCH", b"ACL", b"MERGE", b"CHECKOUT", b"MKACTIVITY", b"BITS_POST", b"CCM_POST"))
RPC_IN, RPC_OUT, RPC_CONNECT = (name_hash(word) for word in (b"RPC_IN_DATA", b"RPC_OUT_DATA", b"RPC_CONNECT"))
VERSION = name_hash(b" http/1.")
STATUS = name_hash(b"http/1.")

OTHER, PLAIN, TUNNEL, DAV, RPC = 0, 1, 2, 3, 4      # answers of method_kind


@kernel
def method_kind(word: int) -> int:
    """What a method's hash stands for: OTHER (unknown), PLAIN, TUNNEL (CONNECT), DAV (RFC 4918), RPC (RPC over HTTP)."""
    if word == GET or word == POST or word == HEAD or word == PUT or word == DELETE or word == OPTIONS or word == TRACE or word == PATCH:
        return 1
    if word == CONNECT:
        return 2
    if word == PROPFIND or word == PROPPATCH or word == MKCOL or word == COPY or word == MOVE or word == LOCK or word == UNLOCK:
        return 3
    if word == REPORT or word == SEARCH or word == ACL or word == MERGE or word == CHECKOUT or word == MKACTIVITY:
        return 3
    if word == NOTIFY or word == SUBSCRIBE or word == UNSUBSCRIBE or word == BITS_POST or word == CCM_POST:
        return 1
    if word == RPC_IN or word == RPC_OUT or word == RPC_CONNECT:
        return 4
    return 0


@kernel
def request_line(data: Array, n: int) -> tuple[int, int, int, int]:
    """(version, end of the method, end of the target, offset of the first field line) of the request at data[0:n].

    The target begins one after the method. Version is 10 or 11; 0: no request; -1: may be one, its line is not all here.
    """
    limit = min(n, 17)
    method = until(data, 0, limit, 32)
    for i in range(method):
        c = np.int64(data[i])
        if not (65 <= c <= 90 or c == 95 or c == 45):
            return 0, 0, 0, 0
    if method == limit:
        return (-1 if n < 17 else 0), 0, 0, 0
    if method_kind(word_hash(data, 0, method)) == 0:
        return 0, 0, 0, 0
    end = line_end(data, method, n)
    stop = n if end < 0 else end
    odd = False
    for i in range(method + 1, min(stop, method + 64)):
        odd |= (data[i] < 32) & (data[i] != 13)
    if odd:
        return 0, 0, 0, 0
    if end < 0:
        return -1, method, stop, stop
    if stop > 0 and data[stop - 1] == 13:
        stop -= 1
    if stop < method + 11 or word_hash(data, stop - 9, stop - 1) != VERSION:
        return 0, 0, 0, 0
    digit = np.int64(data[stop - 1]) - 48
    if digit != 0 and digit != 1:
        return 0, 0, 0, 0
    return 10 + digit, method, stop - 9, end + 1


@kernel
def status_line(data: Array, at: int, n: int) -> tuple[int, int, int]:
    """(status, version, offset of the first field line) of the response at `at`. Status 0: none; -1: may be one, not all here."""
    if n - at < 13:
        have = min(n - at, 7)
        for i in range(have):
            if np.int64(data[at + i]) != (72, 84, 84, 80, 47, 49, 46)[i]:
                return 0, 0, 0
        return -1, 0, 0
    if word_hash(data, at, at + 7) != STATUS or data[at + 8] != 32 or (data[at + 7] != 48 and data[at + 7] != 49):
        return 0, 0, 0
    status = decimal(data, at + 9, at + 12)
    if status < 100 or status > 999 or (data[at + 12] != 32 and data[at + 12] != 13 and data[at + 12] != 10):
        return 0, 0, 0
    end = line_end(data, at + 12, n)
    return status, np.int64(data[at + 7]) - 38, end + 1 if end >= 0 else n


@kernel
def target_parts(data: Array, at: int, stop: int) -> tuple[int, int, int, int]:
    """(start and stop of the authority, start and stop of the path) of a request target; user names in front of an authority and the query are left out."""
    query = until(data, at, stop, 63)
    query = until(data, at, query, 35)
    if at >= stop or data[at] == 47 or data[at] == 42:
        return at, at, at, query
    scheme = at
    while scheme < query and scheme < at + 10 and data[scheme] != 58:
        scheme += 1
    if scheme + 3 > query or scheme == at + 10 or data[scheme] != 58 or data[scheme + 1] != 47 or data[scheme + 2] != 47:
        return at, at, at, query
    begin = scheme + 3
    slash = until(data, begin, query, 47)
    for i in range(begin, slash):
        if data[i] == 64:
            begin = i + 1
    return begin, slash, slash, query
