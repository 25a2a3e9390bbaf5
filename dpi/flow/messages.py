"""The kernel behind the figures of dns, tls and http: one pass over TRANSACTION records adds each to all that it counts in."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.prefetch import prefetch, prefetch_second
from dpi.flow.facts import TRANSACTION, text_begin, text_length
from dpi.flow.figures import BOUNDS
from dpi.flow.fold import bin_of
from dpi.flow.vocabulary import BEYOND
from dpi.flow.words import WORLD as WORDS_WORLD
from dpi.flow.words import count_word, room_in
from dpi.jit import I64, entry, kernel, pointed, world_dtype
from dpi.schema import TABLES, TRANSACTION_TABLES
from dpi.texts import mended, plain

AHEAD = 8               # records asked for before they are read: whoever wrote them did so in another thread, or too long ago for a near cache

DNS, TLS, HTTP = (TRANSACTION_TABLES.index(name) for name in ("dns", "tls", "http"))


def _slot(table: str, column: str) -> int:
    """Which number or text of the record a column is."""
    return int(TABLES[table].column(column).slot.split()[1])


DNS_NAME, DNS_TYPE, DNS_CODE, DNS_RESPONSE, DNS_DELAY = (
    _slot("dns", name) for name in ("query_name", "query_type", "response_code", "is_response", "response_time_us"))
TLS_ROLE, TLS_VERSION, TLS_CIPHER, TLS_NAME, TLS_ALPN, TLS_JA4 = (
    _slot("tls", name) for name in ("role", "version", "cipher", "server_name", "alpn", "ja4"))
HTTP_STATUS, HTTP_DELAY, HTTP_METHOD, HTTP_HOST, HTTP_AGENT, HTTP_TYPE = (
    _slot("http", name) for name in ("status", "response_time_us", "method", "host", "user_agent", "content_type"))

#: What is counted by number: rows of BEYOND + 1 in `numbers`.
NUMBERS = ("dns_codes", "dns_types", "tls_versions", "tls_offered", "tls_ciphers", "http_status")
CODES, TYPES, VERSIONS, OFFERED, CIPHERS, STATUS = range(len(NUMBERS))
#: What is counted by text: one Words each, in `texts`.
TEXTS = ("dns_names", "dns_failing", "tls_names", "tls_ja4", "tls_alpn", "http_methods", "http_hosts", "http_agents", "http_types")
NAMES, FAILING, SERVERS, JA4, ALPN, METHODS, HOSTS, AGENTS, KINDS = range(len(TEXTS))
#: Delays: rows of len(BOUNDS) in `delays`.
DELAYS = ("dns", "http")
OF_DNS, OF_HTTP = range(len(DELAYS))

SUMS = np.dtype((np.record, [("queries", "i8"), ("responses", "i8"), ("hellos", "i8"), ("unnamed", "i8"), ("requests", "i8")]))
#: `mended` uint8[TEXT_BYTES]: where a text is made valid UTF-8.
ARRAYS = {"sums": SUMS, "numbers": np.dtype("i8"), "texts": WORDS_WORLD, "delays": np.dtype("i8"), "bounds": np.dtype("i8"), "mended": np.dtype("u1")}
WORLD = world_dtype(tuple(ARRAYS))
sums_of, numbers_of, texts_of, delays_of, bounds_of, mended_of = (pointed(name, kind) for name, kind in ARRAYS.items())


@entry(TRANSACTION, np.dtype("i8"), I64, I64, WORLD)
def fold_messages(messages: Any, places: Any, begin: Any, end: Any, worlds: Any) -> Any:
    """Add rows [begin, end); row k is record places[k], or record k where `places` is empty. Records of other tables are passed over.

    Returns `end`, or the row before which Python has to make room for texts.
    """
    w = worlds[0]
    k = np.int64(begin)
    while k < end:
        stop = min(end, k + room(w))
        if stop == k:
            return k
        while k < stop:
            ask_for(messages, place_of(places, min(k + AHEAD, end - 1)))
            fold_message(w, messages[place_of(places, k)])
            k += 1
    return end


@kernel
def place_of(places: Any, k: Any) -> Any:
    """Which record row k is."""
    return places[k] if places.size > 0 else np.int64(k)


@kernel
def ask_for(messages: Any, place: Any) -> Any:
    """Prefetch a record's first four lines: header, addresses, numbers, ends and the first 80 bytes of text."""
    prefetch(messages, place)
    prefetch_second(messages, place)
    prefetch(messages[place].text, 0)
    prefetch(messages[place].text, 64)
    return 0


@kernel
def room(w: Any) -> Any:
    """How many rows find room for their texts, whatever they hold: none has two for one Words."""
    texts = texts_of(w)
    least = room_in(texts[0])
    for which in range(1, texts.size):
        least = min(least, room_in(texts[which]))
    return least


@kernel
def fold_message(w: Any, one: Any) -> Any:
    """Add one record."""
    if one.table == DNS:
        fold_dns(w, one)
    elif one.table == TLS:
        fold_tls(w, one)
    elif one.table == HTTP:
        fold_http(w, one)
    return 0


@kernel
def fold_dns(w: Any, one: Any) -> Any:
    """A question or an answer."""
    s = sums_of(w)[0]
    if one.numbers[DNS_RESPONSE] > 0:
        s.responses += 1
        count_number(w, CODES, one.numbers[DNS_CODE])
        if one.numbers[DNS_CODE] != 0:
            count_text(w, FAILING, one, DNS_NAME)
    else:
        s.queries += 1
        count_number(w, TYPES, one.numbers[DNS_TYPE])
        count_text(w, NAMES, one, DNS_NAME)
    count_delay(w, OF_DNS, one.numbers[DNS_DELAY])
    return 0


@kernel
def fold_tls(w: Any, one: Any) -> Any:
    """A client's hello, or what a server answered."""
    s = sums_of(w)[0]
    if one.numbers[TLS_ROLE] == 0:
        s.hellos += 1
        count_number(w, OFFERED, one.numbers[TLS_VERSION])
        if count_text(w, SERVERS, one, TLS_NAME) == 0:
            s.unnamed += 1
        count_text(w, JA4, one, TLS_JA4)
        count_text(w, ALPN, one, TLS_ALPN)
    else:
        count_number(w, VERSIONS, one.numbers[TLS_VERSION])
        count_number(w, CIPHERS, one.numbers[TLS_CIPHER])
    return 0


@kernel
def fold_http(w: Any, one: Any) -> Any:
    """A request and its response."""
    sums_of(w)[0].requests += 1
    count_number(w, STATUS, one.numbers[HTTP_STATUS])
    count_text(w, METHODS, one, HTTP_METHOD)
    count_text(w, HOSTS, one, HTTP_HOST)
    count_text(w, AGENTS, one, HTTP_AGENT)
    count_text(w, KINDS, one, HTTP_TYPE)
    count_delay(w, OF_HTTP, one.numbers[HTTP_DELAY])
    return 0


@kernel
def count_number(w: Any, which: Any, value: Any) -> Any:
    """Count a number of at most 16 bits; one that has more as BEYOND, as columns have it."""
    numbers_of(w)[which * (BEYOND + 1) + (value if 0 <= value <= BEYOND else BEYOND)] += 1
    return 0


@kernel
def count_delay(w: Any, which: Any, value: Any) -> Any:
    """Count a delay into its bin; a negative one was not measured."""
    if value >= 0:
        delays_of(w)[which * len(BOUNDS) + bin_of(bounds_of(w), value)] += 1
    return 0


@kernel
def count_text(w: Any, which: Any, one: Any, place: Any) -> Any:
    """Count text field `place` of a record unless it is empty: where it lies if it is plain, else made valid UTF-8 as in its column. Returns its bytes."""
    begin = text_begin(one, place)
    length = text_length(one, place, begin)
    if length == 0:
        return length
    words = texts_of(w)[which]
    if plain(one.text, begin, length):
        count_word(words, one.text, begin, length)
    else:
        count_word(words, mended_of(w), np.int64(0), mended(one.text, begin, length, mended_of(w), np.int64(0)))
    return length
