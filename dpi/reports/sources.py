"""Where the figures of a report can be read, the cheapest first: rollups, usage, and rows of flows where nothing else has them."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.reports.request import SLOTS, Place, Request, quoted
from dpi.rollups import ADDRESSED, DEVICES, OBSOLETE

_STARTS = {"hour": "toStartOfHour({at})", "day": "toStartOfDay({at})", "week": "toStartOfWeek({at}, 1)", "month": "toStartOfMonth({at})"}
HOUR = 3600
_NAMED = {"application": "application", "protocol": "protocol", "category": "category", "probe": "probe"}
_BOUND = {"customer": "customer_id", "service": "service_id"}


@dataclass(frozen=True)
class Source:
    """relation: a table, or a subquery in which {period} stands for the condition of time. fields: what measures sum up, by name. dimensions: what
    lines can be made by, and filtered by. step: s of its slots; the period must lie on them."""
    name: str
    relation: str
    time: str
    step: int
    fields: Mapping[str, str]
    dimensions: Mapping[str, str]
    micro: bool = False
    closes: str = ""            # the table of usage whose slots are computed some time after their end
    sums: bool = False          # sums up that table as it was first computed: true to it where no slot was computed again
    shown: Mapping[str, str] = field(default_factory=dict)      # dimensions whose lines are named otherwise than filters are
    bare: Mapping[str, str] = field(default_factory=dict)       # dimensions whose lines are named otherwise where addresses need not be masked
    late: bool = False          # came with a later Fullspan than usage and flows did: a store may have nothing in it yet
    cut: bool = False           # names are cut to their domains: of no use where they are wanted whole

    def where(self, ask: Request) -> str:
        """Conditions of time and of the filters."""
        parts = [ask.of(self.time, self.micro)]
        for name, value in ask.filters.items():
            parts.append(f"has(tags, {quoted(value)})" if name == "tag" else f"{self.filtered(name, value)} = {quoted(value)}")
        return " AND ".join(parts)

    def filtered(self, name: str, value: str) -> str:
        """What a filter is compared with: lines that are called by a protocol in brackets can be asked for as they are called."""
        return self.shown.get(name, self.dimensions[name]) if value.startswith("(") else self.dimensions[name]

    def rows(self, ask: Request) -> str:
        """What to select from."""
        return self.relation.format(period=ask.of("interval_start" if self.time == "interval_start" else "time", True))

    def key(self, by: str, ask: Request) -> str:
        """A dimension in SQL: text, or microseconds of a slot's start."""
        if by in SLOTS:
            at = f"toDateTime({self.time}, {quoted(ask.zone.key)})"
            return f"toInt64(toUnixTimestamp(toDateTime({_STARTS[by].format(at=at)}, {quoted(ask.zone.key)}))) * 1000000"
        if by in ("link", "site", "role"):
            return placed(ask.places, by, ask.interface(bool(self.step)))
        if by == "interface":
            return ask.interface(bool(self.step))
        if not ask.masked and by in self.bare:
            return self.bare[by]
        return self.shown.get(by, self.dimensions[by])


def placed(places: Sequence[Place], by: str, interface: str) -> str:
    """The link, or its site, that a row was seen on; an interface that no link names is shown as it is, its site is ''."""
    parts = []
    for one in places:
        word = {"link": one.name, "site": one.site, "role": one.role}[by]
        matches = [f"probe = {quoted(one.probe)}"] if one.probe else []
        matches += [f"{interface} = {quoted(one.interface)}"] if one.interface else []
        parts.append(f"{' AND '.join(matches) or '1'}, {quoted(word)}")
    other = f"if({interface} = '', probe, concat(probe, ' ', {interface}))" if by == "link" else "''"
    return f"multiIf({', '.join(parts)}, {other})" if parts else other


def _both(what: str) -> str:
    return f"(client_{what} + server_{what})"


_ROLLUP = {"flows": "flows", "packets": _both("packets"), "bytes": _both("bytes"), "wire": _both("wire_bytes"), "up": "client_bytes", "down": "server_bytes"}
_OPENED = "ip_protocol = 6 AND interval = 0 AND NOT midstream AND bitTest(client_tcp_flags, 1)"
_FLOWS = {
    **_ROLLUP, "flows": "(interval = 0)", "rtt": "client_rtt_us", "server_rtt": "server_rtt_us", "response": "server_response_us",
    "tcp": "if(ip_protocol = 6, client_packets + server_packets, 0)", "again": _both("retransmissions"), "late": _both("out_of_order"),
    "opened": f"({_OPENED})", "unanswered": f"({_OPENED} AND NOT bitTest(server_tcp_flags, 1))",
}
_USAGE = {"flows": "flows", "packets": "(up_packets + down_packets)", "bytes": "(up_bytes + down_bytes)", "wire": "(up_wire_bytes + down_wire_bytes)",
          "up": "up_bytes", "down": "down_bytes", "elsewhere": "duplicate_bytes"}
_PLACES = {"interface": "", "link": "", "site": ""}
_TAGGED = {**_PLACES, "tag": "arrayJoin(tags)"}
#: An application that is not known is called by its protocol, in brackets.
_CALLED = {"application": "if(application != '', application, if(protocol != '', concat('(', protocol, ')'), ''))"}
_LOSSES = {"tcp": _both("tcp_packets"), "again": _both("retransmissions"), "late": _both("out_of_order"), "opened": "tcp_opened",
           "unanswered": "tcp_unanswered"}


def _side(side: str, other: str) -> str:
    """Rows of flows as a bound side sees them. What is metered elsewhere is only in `elsewhere`."""
    here = f"NOT {side}_duplicate"
    volumes = {"packets": _both("packets"), "bytes": _both("bytes"), "wire": _both("wire_bytes"), "up": f"{side}_bytes", "down": f"{other}_bytes",
               "flows": "toUInt64(interval = 0)", **{name: _FLOWS[name] for name in ("tcp", "again", "late", "opened", "unanswered")}}
    near, far = ("client_rtt_us", "server_rtt_us") if side == "client" else ("server_rtt_us", "client_rtt_us")
    parts = [f"if({here}, {sql}, 0) AS {name}" for name, sql in volumes.items()]
    parts += [f"if({here}, {near}, NULL) AS rtt", f"if({here}, {far}, NULL) AS server_rtt", f"if({here}, server_response_us, NULL) AS response",
              f"if({here}, 0, {_both('bytes')}) AS elsewhere"]
    return (f"SELECT interval_start, {side}_service_id AS service_id, {side}_customer_id AS customer_id, application, category, protocol, probe, interface, "
            f"source, capture_id, tags, {', '.join(parts)} FROM flows WHERE {{period}} AND {side}_service_id != ''")


_SIDES = ("flows", "packets", "bytes", "wire", "up", "down", "elsewhere", "rtt", "server_rtt", "response", "tcp", "again", "late", "opened", "unanswered")
SOURCES: tuple[Source, ...] = (
    *(Source(table, table, "time", step, {**_ROLLUP, **_LOSSES}, {**_NAMED, **_PLACES}, shown=_CALLED, late=step == 8 * HOUR)
      for table, step in (("flows_8h", 8 * HOUR), ("flows_1h", 3600), ("flows_5m", 300), ("flows_1m", 60))),
    Source("tags_1h", "tags_1h", "time", 3600, {**_ROLLUP, **_LOSSES}, {"probe": "probe", **_TAGGED}, late=True),
    Source("services_1h", "services_1h", "time", 3600, _USAGE, {**_BOUND, "probe": "probe"}, closes="usage_1m", sums=True),
    *(Source(table, table, "time", step, _USAGE, {**_BOUND, **{name: name for name in ("application", "category", "probe")}}, closes="usage_1h", sums=True)
      for table, step in (("services_1d", 24 * HOUR), ("services_8h", 8 * HOUR))),
    Source("services_5m", "services_5m", "time", 300, _USAGE, {**_BOUND, "probe": "probe"}, closes="usage_1m", sums=True),
    Source("usage_1h", "usage_1h FINAL", "time", 3600, _USAGE, {**_BOUND, **{name: name for name in ("application", "category", "probe")}}, closes="usage_1h"),
    Source("usage_1m", "usage_1m FINAL", "time", 60, _USAGE, {**_BOUND, "probe": "probe"}, closes="usage_1m"),
    Source("bound_1h", "bound_1h", "time", 3600, {
        "flows": "flows", "packets": "packets", "bytes": "bytes", "wire": "wire_bytes", "up": "up_bytes", "down": "down_bytes", "elsewhere": "duplicate_bytes",
        "tcp": "tcp_packets", "again": "retransmissions", "late": "out_of_order", "opened": "tcp_opened", "unanswered": "tcp_unanswered"},
        {**_BOUND, "probe": "probe", **_PLACES}, late=True),
    Source("flows", "flows", "interval_start", 0, _FLOWS, {**_NAMED, **_TAGGED}, micro=True, shown=_CALLED),
    Source("flows", f"({_side('client', 'server')} UNION ALL {_side('server', 'client')})", "interval_start", 0, {name: name for name in _SIDES},
           {**_BOUND, **_NAMED, **_TAGGED}, micro=True, shown=_CALLED),
)


def choose(ask: Request, by: Sequence[str], fields: Sequence[str], sources: Sequence[Source] = SOURCES) -> Source:
    """The first source that has the dimensions, the filters and the fields, and whose slots fit the period. Usage, and rollups that
    are `late`, are read where they have rows of the period. UserError where none can tell."""
    wanted = {one for one in by if one not in SLOTS} | set(ask.filters)
    for source in sources:
        known = set(source.dimensions) | ({"tag"} if "tag" in source.dimensions else set())
        if not wanted <= known or not set(fields) <= set(source.fields):
            continue
        if (source.step and not ask.aligned(source.step)) or (source.step > HOUR and "hour" in by) or source.cut and not ask.masked:
            continue
        if ask.filters.get("application", "").startswith("(") and "application" not in source.shown:
            continue
        if (source.closes or source.late) and not ask.store.query(f"SELECT 1 FROM {source.name} WHERE {ask.of('time')} LIMIT 1").rows:
            continue
        if source.sums and not _true(ask, source):
            continue
        return source
    raise UserError(f"no table has {' and '.join(sorted(wanted))} together", "--by and filters", "ask for one of them at a time")


def _true(ask: Request, source: Source) -> bool:
    """Whether a rollup of usage has of this period what usage has: no slot was computed again, and all of it was summed up."""
    period = source.name, ask.begin, ask.end
    if period not in ask.true:
        revision, octets = ask.store.query(f"SELECT max(revision), sum(bytes) FROM usage_slots FINAL WHERE table_name = {quoted(source.closes)} "
                                           f"AND {ask.of('time')}").rows[0]
        held = ask.store.query(f"SELECT sum(up_bytes + down_bytes) FROM {source.name} WHERE {ask.of('time')}").value()
        ask.true[period] = int(revision) <= 1 and int(octets) == int(held)
    return ask.true[period]


def _exact(column: str, name: str) -> dict[str, str]:
    """Percentiles of a nullable delay; NULL where nothing was measured."""
    return {f"n_{name}": f"count({column})",
            **{f"p{level}_{name}": f"if(count({column}) = 0, NULL, toFloat64(quantileExact(0.{level})({column})))" for level in (50, 95)}}


def _binned(side: str, name: str) -> dict[str, str]:
    """The same of a histogram."""
    n = f"sumIf(measures, side = '{side}')"
    return {f"n_{name}": n, **{f"p{level}_{name}": f"if({n} = 0, NULL, toFloat64(quantileExactWeightedIf(0.{level})(bin, measures, side = '{side}')))"
                               for level in (50, 95)}}


_LOG = {f"p{level}_near": f"if(sum(rtt_count) = 0, NULL, exp2(arrayFirstIndex(x -> x >= 0.{level} * sum(rtt_count), arrayCumSum(sumForEach(rtt_histogram)))))"
        for level in (50, 95)}
_BY_SIDE = {**_binned("client", "near"), **_binned("server", "far"), **_binned("response", "response")}
#: Fields that are whole aggregates: percentiles can't be summed up.
DELAYS: tuple[Source, ...] = (
    Source("delays_5m", "delays_5m", "time", 300, _BY_SIDE, {"probe": "probe", **_PLACES}),
    *(Source(table, table, "time", step, _BY_SIDE, {"application": "application", "probe": "probe"}, late=late)
      for table, step, late in (("delays_8h", 8 * HOUR, True), ("delays_1h", 3600, False))),
    Source("kind_delays_1h", "kind_delays_1h", "time", 3600, _BY_SIDE, {"protocol": "protocol", "category": "category", "probe": "probe"}, late=True),
    Source("tag_delays_1h", "tag_delays_1h", "time", 3600, _BY_SIDE, {"tag": "arrayJoin(tags)", "probe": "probe"}, late=True),
    *(Source(table, table, "time", step, {**_binned("near", "near"), **_binned("far", "far"), **_binned("response", "response")},
             {**_BOUND, "probe": "probe"}, late=True) for table, step in (("bound_delays_8h", 8 * HOUR), ("bound_delays_1h", 3600))),
    Source("usage_1m", "usage_1m FINAL", "time", 60, {"n_near": "sum(rtt_count)", **_LOG, **{f"{what}_{of}": "NULL" for what in ("n", "p50", "p95")
                                                                                         for of in ("far", "response")}},
           {**_BOUND, "probe": "probe"}, closes="usage_1m"),
    Source("flows", "flows", "interval_start", 0, {**_exact("client_rtt_us", "near"), **_exact("server_rtt_us", "far"),
                                                   **_exact("server_response_us", "response")}, {**_NAMED, **_TAGGED}, micro=True, shown=_CALLED),
    Source("flows", SOURCES[-1].relation, "interval_start", 0, {**_exact("rtt", "near"), **_exact("server_rtt", "far"), **_exact("response", "response")},
           {**_BOUND, **_NAMED, **_TAGGED}, micro=True, shown=_CALLED),
)


def domain(name: str) -> str:
    """SQL: the domain that can be registered, in lower case; '' of an address, names of reverse look-ups and of .local, .lan ... are one each: they are
    addresses and devices of persons."""
    plain = f"lower({name})"
    return (f"multiIf(match({plain}, '{ADDRESSED}|^.?$'), '', match({plain}, '[.](in-addr|ip6)[.]arpa[.]?$'), 'arpa', "
            f"match({plain}, '{DEVICES}'), 'local', substring(cutToFirstSignificantSubdomain({plain}), 1, 120))")


_ANSWERS = {"queries": "countIf(NOT is_response)", "answers": "countIf(is_response)", "nxdomain": "countIf(is_response AND response_code = 'NXDOMAIN')",
            "failures": "countIf(is_response AND response_code NOT IN ('NOERROR', 'NXDOMAIN'))", **_exact("response_time_us", "answered")}
_FEW = {f"{what}_answered": "NULL" for what in ("n", "p50", "p95")}
_BINS = {"n_answered": "sum(measures)",
         **{f"p{level}_answered": f"if(sum(measures) = 0, NULL, toFloat64(quantileExactWeightedIf(0.{level})(bin, measures, measures > 0)))"
            for level in (50, 95)}}
DNS: tuple[Source, ...] = (
    Source("dns_5m", "dns_5m", "time", 300, {
        "queries": "sumIf(messages, NOT is_response)", "answers": "sumIf(messages, is_response)",
        "nxdomain": "sumIf(messages, is_response AND response_code = 'NXDOMAIN')",
        "failures": "sumIf(messages, is_response AND response_code NOT IN ('NOERROR', 'NXDOMAIN'))", **_BINS},
        {"probe": "probe", "type": "query_type", "code": "if(is_response, response_code, '')"}),
    *(Source(table, table, "time", step, {**{name: f"sum({name})" for name in ("queries", "answers", "nxdomain", "failures")}, **_FEW},
             {"probe": "probe", "name": "if(match(name, '(in-addr|ip6)[.]arpa$'), 'arpa', name)"}, cut=True)
      for table, step in (("dns_names_1d", 24 * HOUR), ("dns_names_1h", HOUR))),
    Source("dns", "dns", "time", 0, _ANSWERS,
           {"probe": "probe", "type": "query_type", "code": "if(is_response, response_code, '')", "name": domain("query_name")}, micro=True,
           bare={"name": "lower(query_name)"}),
)
#: A line for each flow: the client's hello and the server's answer to it together.
_SESSIONS = ("(SELECT min(time) AS at, any(probe) AS probe, anyIf(server_name, role = 'client') AS asked, anyIf(version, role = 'server') AS version, "
             "anyIf(cipher, role = 'server') AS cipher, anyIf(ja4, role = 'client') AS ja4, anyIf(issuer, role = 'server') AS issuer, "
             "countIf(role = 'client') AS hellos, countIf(role = 'server') AS answers FROM tls WHERE {period} GROUP BY capture_id, flow_id)")
HELLOS: tuple[Source, ...] = (
    Source("tls_1h", "(SELECT * FROM tls_1h WHERE role = 'server')", "time", 3600, {
        "sessions": "sum(hellos)", "obsolete": f"sumIf(hellos, version IN {OBSOLETE})", "unnamed": "NULL", "unanswered": "NULL"},
        {"probe": "probe", "version": "version", "cipher": "cipher"}),
    *(Source(table, table, "time", 3600, {"sessions": "sum(hellos)", "obsolete": "sum(obsolete)", "unnamed": "NULL", "unanswered": "NULL"},
             {"probe": "probe", by: "name"}, late=True, cut=by == "name")
      for table, by in (("tls_names_1h", "name"), ("tls_ja4_1h", "ja4"), ("tls_issuers_1h", "issuer"))),
    Source("tls", _SESSIONS, "at", 0, {"sessions": "countIf(answers > 0)",
                                       "obsolete": f"countIf(version IN {OBSOLETE})", "unnamed": "countIf(hellos > 0 AND answers > 0 AND asked = '')",
                                         "unanswered": "countIf(hellos > 0 AND answers = 0)"},
           {"probe": "probe", "version": "version", "cipher": "cipher", "name": domain("asked"), "ja4": "ja4", "issuer": "issuer"}, micro=True,
           bare={"name": "lower(asked)"}),
)
