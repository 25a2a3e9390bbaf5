"""What a message of DNS says, as a row that the gauge can count: whose it is, of which domain, and bits of what its name looks like.

A row stands for one message: the client's address, the registered domain as a 128-bit hash in the place of the server's address, the whole name as a hash
in `first_packet`. A question counts as a packet of as many bytes as its name has below the domain. An answer counts as a packet where it failed, as a byte
where it did not: a rule with `outweigh` asks for more of the first.

The registered domain is two labels, or three below a country's second level of a general kind (co.uk): of public suffixes with one label more, such as those of
hosters, it is the hoster's.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from dpi.batch import Batch
from dpi.capture.key import fold
from dpi.flow.facts import TRANSACTION, text_begin, text_length
from dpi.flow.messages import DNS, DNS_CODE, DNS_NAME, DNS_RESPONSE, DNS_TYPE
from dpi.flow.row import ROW
from dpi.grouping import groups
from dpi.jit import I64, entry, kernel, records
from dpi.security.conversation import many
from dpi.security.gauge import OF_DNS

ROOM = 4096                 # rows that are made at once
DOMAINS = 1 << 12           # whose names are remembered
LONG = 52                   # octets below the domain from which on a name is long: of hosts and services they have fewer
LABEL = 8                   # letters of a domain's own label that are judged at least
NATURAL = 45                # % of its pairs that are common ones in a label that people made up, at least
NX, REFUSING = 3, 2         # response codes: NXDOMAIN, SERVFAIL

_NAMES = ("asked", "answered", "missing", "failed", "long_name", "carrier", "generated", "reverse", "spelled")
ASKED, ANSWERED, MISSING, FAILED, LONG_NAME, CARRIER, GENERATED, REVERSE, SPELLED = (1 << place for place in range(len(_NAMES)))

#: Pairs of letters that words and names of English, its neighbours and Pinyin are made of; letters drawn at random are in a third of cases one of these.
COMMON = ["th", "he", "in", "er", "an", "re", "on", "at", "en", "nd", "ti", "es", "or", "te", "of", "ed", "is", "it", "al", "ar", "st", "to", "nt", "ng",
"se", "ha", "as", "ou", "io", "le", "ve", "co", "me", "de", "hi", "ri", "ro", "ic", "ne", "ea", "ra", "ce", "li", "ch", "ll", "be", "ma", "si", "om", "ur",
"ca", "el", "ta", "la", "ns", "di", "fo", "ho", "pe", "ec", "pr", "no", "ct", "us", "ac", "ot", "il", "tr", "ly", "nc", "et", "ut", "ss", "so", "rs", "un",
"lo", "wa", "ge", "ie", "wh", "ee", "wi", "em", "ad", "ol", "rt", "po", "we", "na", "ul", "ni", "ts", "mo", "ow", "pa", "im", "mi", "ai", "sh", "ir", "su",
"id", "os", "iv", "ia", "am", "fi", "ci", "vi", "pl", "ig", "tu", "ev", "ld", "ry", "mp", "fe", "bl", "ab", "gh", "op", "wo", "sa", "ay", "ke", "fr", "oo",
"av", "ag", "if", "ap", "gr", "od", "bo", "sp", "rd", "do", "bu", "ei", "by", "ep", "tt", "fa", "da", "yo", "ck", "ew", "zh", "ao", "uo", "xi", "ji", "hu",
"iu", "ua", "ui", "ga", "go", "ba", "ya", "lu", "du", "ko", "ka", "ki", "mu", "nu", "ru", "ty"]
#: Second levels below which a country registers domains.
SECOND = ("ac", "co", "com", "edu", "gob", "gov", "govt", "go", "mil", "ne", "net", "nom", "or", "org", "sch")
#: Types that carry what a tunnel brings back: NULL, CNAME, MX, TXT, KEY, SRV, PRIVATE (65399: iodine).
CARRIERS = (5, 10, 15, 16, 25, 33, 65399)
_FIRST, _SECOND, _THIRD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)


def words(bits: int) -> list[str]:
    """Names of the bits, for people and tests."""
    return [name for place, name in enumerate(_NAMES) if bits >> place & 1]


def pairs() -> Any:
    """uint8[1024]: 1 for a common pair of letters, at 32 times the first's place in the alphabet and the second's."""
    table: Any = np.zeros(1 << 10, np.uint8)
    table[[32 * (ord(pair[0]) - 97) + ord(pair[1]) - 97 for pair in COMMON]] = 1
    return table


def second_levels() -> Any:
    """uint64[]: SECOND as `label_word` has them."""
    return np.array([int.from_bytes(word.encode(), "big") for word in SECOND], np.uint64)


def domain(name: str) -> str:
    """The registered domain of a name, as people are told it: of letters that a hostile name may not use to say something else."""
    labels = name.split(".")
    three = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in SECOND
    return re.sub(r"[^a-z0-9._-]", "?", ".".join(labels[-3 if three else -2:]))[:253]


class Names:
    """Messages of `dns` as rows. Used again and again: rows are good until the next are read."""

    def __init__(self) -> None:
        self._rows, self._pairs, self._seconds = records(ROOM, ROW), pairs(), second_levels()
        self._rows.view(np.ndarray)["named"] = 2 * OF_DNS
        self._all: Any = np.zeros(0, np.int64)
        self.domains: dict[tuple[int, int], str] = {}           # by their hash, of what fires or nearly does

    def read(self, batch: Batch) -> Iterator[tuple[Any, int]]:
        """ROW[n] of some messages of a batch that has records, and which of the batch's rows the first is."""
        places = self._all if batch.places is None else batch.places
        first = int(places[0]) if len(places) else 0
        boot = int(np.asarray(batch.columns["flow_id"])[0]) - int(batch.records.view(np.ndarray)["flow"][first])
        for begin in range(0, batch.count, ROOM):
            count = read_names(batch.records, places, begin, min(begin + ROOM, batch.count), self._rows, self._pairs, self._seconds)
            rows = self._rows[:count]
            rows.view(np.ndarray)["flow_id"] += np.uint64(boot)
            yield rows, begin

    def learn(self, batch: Batch, rows: Any, at: Any, first: int) -> None:
        """Remember what the domains of rows `at` are called."""
        ends = rows.view(np.ndarray)["server_ip"][at]
        firsts, _ = groups(ends[:, 0])
        for (high, low), row in zip(ends[firsts].tolist(), at[firsts].tolist()):
            if (high, low) not in self.domains and len(self.domains) < DOMAINS:
                self.domains[high, low] = self.domain(batch, first + row)

    @staticmethod
    def domain(batch: Batch, row: int) -> str:
        """The registered domain of the name in a row."""
        one = batch.records.view(np.ndarray)[row if batch.places is None else int(batch.places[row])]
        begin = int(one["ends"][DNS_NAME - 1]) if DNS_NAME else 0
        return domain(bytes(one["text"][begin:int(one["ends"][DNS_NAME])]).decode("latin-1")) if one["texts"] > DNS_NAME else ""


@entry(TRANSACTION, np.dtype("i8"), I64, I64, ROW, np.dtype("u1"), np.dtype("u8"))
def read_names(messages: Any, places: Any, begin: Any, end: Any, rows: Any, pairs: Any, seconds: Any) -> Any:
    """Fill `rows` from messages [begin, end); message k is record places[k], or record k where `places` is empty. Returns how many."""
    for k in range(begin, end):
        read_name(messages[places[k] if places.size > 0 else np.int64(k)], rows[k - begin], pairs, seconds)
    return end - begin


@kernel
def read_name(one: Any, row: Any, pairs: Any, seconds: Any) -> Any:
    """One message."""
    begin = text_begin(one, DNS_NAME)
    stop = begin + text_length(one, DNS_NAME, begin)
    start = domain_of(one.text, begin, stop, seconds)
    row.flow_id = one.flow
    row.client_ip[0] = one.client[0]
    row.client_ip[1] = one.client[1]
    row.server_ip[0] = hash_text(one.text, start, stop, _FIRST)
    row.server_ip[1] = hash_text(one.text, start, stop, _SECOND)
    row.first_packet = hash_text(one.text, begin, stop, _FIRST)
    row.interval_start = one.time
    row.interval_end = one.time
    row.interval = 0
    row.folded = 0
    row.client_packets = 0
    row.client_bytes = 0
    row.server_packets = 0
    row.server_bytes = 0
    row.client_port = 0
    row.server_port = 0
    row.risks = 0
    if one.table != DNS or stop == begin or many(one.server[0], one.server[1]):      # mDNS and LLMNR ask everybody
        return 0
    below = max(start - begin - 1, 0)
    bits = REVERSE if reverse(one.text, begin, start, stop) else 0
    bits |= GENERATED if not natural(one.text, start, label_end(one.text, start, stop), pairs) else 0
    if below >= LONG:
        bits |= LONG_NAME
        bits |= SPELLED if not natural(one.text, begin, start - 1, pairs) else 0
    kind = one.numbers[DNS_TYPE]
    for known in CARRIERS:
        bits |= CARRIER if kind == known else 0
    if one.numbers[DNS_RESPONSE] > 0:
        code = one.numbers[DNS_CODE]
        failed = code == NX or code == REFUSING
        bits |= ANSWERED | (MISSING if code == NX else 0) | (FAILED if failed else 0)
        row.client_packets = 1 if failed else 0
        row.client_bytes = 0 if failed else 1
    else:
        bits |= ASKED
        row.client_packets = 1
        row.client_bytes = np.uint64(below)
    row.risks = np.uint64(bits)
    return 0


@kernel
def label_end(text: Any, at: Any, stop: Any) -> Any:
    """Where the label at `at` ends."""
    while at < stop and text[at] != 46:
        at += 1
    return np.int64(at)


@kernel
def domain_of(text: Any, begin: Any, stop: Any, seconds: Any) -> Any:
    """Where the registered domain of the name text[begin:stop] begins."""
    at = np.int64(stop)
    wanted = np.int64(2)
    start = np.int64(stop)
    top = np.int64(0)
    for label in range(3):
        end = at
        while at > begin and text[at - 1] != 46:
            at -= 1
        if label == 0:
            top = end - at
        if label == 1 and top == 2:
            packed = label_word(text, at, end)
            for k in range(seconds.size):
                if seconds[k] == packed:
                    wanted = np.int64(3)
        if label < wanted:
            start = at
        if at <= begin:
            break
        at -= 1
    return start


@kernel
def label_word(text: Any, at: Any, end: Any) -> Any:
    """A label of at most eight letters as a number, 0 for a longer one."""
    value = np.uint64(0)
    if end - at > 8:
        return value
    for k in range(at, end):
        value = value << np.uint64(8) | np.uint64(text[k])
    return value


@kernel
def hash_text(text: Any, at: Any, end: Any, first: Any) -> Any:
    """64 bits of text[at:end], the same in every run."""
    value = first ^ np.uint64(end - at)
    while at < end:
        packed = np.uint64(0)
        for k in range(at, min(at + 8, end)):
            packed = packed << np.uint64(8) | np.uint64(text[k])
        value = fold(value ^ packed ^ _SECOND, first ^ _THIRD)
        at += 8
    return fold(value ^ _THIRD, first)


@kernel
def natural(text: Any, at: Any, end: Any, pairs: Any) -> Any:
    """Whether text[at:end] could be words: it is too short to say, an IDN (RFC 5890), or has enough of the common pairs. A pair with a digit is none."""
    if end - at >= 4 and text[at] == 120 and text[at + 1] == 110 and text[at + 2] == 45 and text[at + 3] == 45:
        return True
    counted = np.int64(0)
    common = np.int64(0)
    before = np.int64(-1)
    for k in range(at, end):
        octet = np.int64(text[k])
        here = octet - 97 if 97 <= octet <= 122 else np.int64(26) if 48 <= octet <= 57 or octet > 126 or octet == 92 else np.int64(-1)
        if here >= 0 and before >= 0:
            counted += 1
            if here < 26 and before < 26:
                common += np.int64(pairs[32 * before + here])
        before = here
    return counted < LABEL - 1 or 100 * common >= NATURAL * counted


@kernel
def reverse(text: Any, begin: Any, start: Any, stop: Any) -> Any:
    """Whether a name asks for an address rather than a name: below arpa (RFC 1035 section 3.5), or an address before the domain of a list (RFC 5782)."""
    if stop - begin >= 5 and text[stop - 5] == 46 and text[stop - 4] == 97 and text[stop - 3] == 114 and text[stop - 2] == 112 and text[stop - 1] == 97:
        return True
    labels = np.int64(0)
    size = np.int64(0)
    for k in range(begin, start):
        octet = np.int64(text[k])
        if octet == 46:
            if size == 0:
                return False
            labels += 1
            size = np.int64(0)
            if labels == 4:
                return True
        elif 48 <= octet <= 57 or (97 <= octet <= 102 and size == 0 and k + 1 < start and text[k + 1] == 46):
            size += 1
            if size > 3:
                return False
        else:
            return False
    return False
