"""Tables that sum up others as rows are stored: what dashboards and reports read, so that a month is not looked up flow by flow.

None has an address; services_* alone have customers; names are cut to the domain that can be registered. Delays are histograms: `bin` is the least delay of its
bin, two bins a doubling (dpi/reports/grafana/sql.py takes percentiles of them). Money never reads these: see usage_1m and usage_1h. Slots of eight hours
are what days of UTC and of China have in common.
"""
from __future__ import annotations

from dpi.columns import Column as C
from dpi.columns import Table

_TIME = C("time", "minute", "start of the slot")
_DAY = C("stored_day", "day", "day the rows were written; partitions follow it")
_PROBE = C("probe", "code", "name of the probe that saw it", "", "IPFIX 144 exportingProcessId")
_CAPTURE = C("capture_id", "id", "the capture's row in `captures`, 0 for live traffic")
_INTERFACE = C("interface", "code", "as in flows")
_LOCAL = (C("client_local", "flag", "as in flows"), C("server_local", "flag", "as in flows"))
_SUMMED = "SummingMergeTree"

_TCP = "{src}.ip_protocol = 6"
#: A connection's SYN was seen, and this is its first row.
_OPENED = "{src}.interval = 0 AND {src}.midstream = 0 AND bitTest({src}.client_tcp_flags, 1)"
_SUMS = (
    *(C(f"{side}_{what}", "u64", f"sum of {side}_{what}", unit)
      for what, unit in (("packets", "packets"), ("bytes", "bytes"), ("wire_bytes", "bytes")) for side in ("client", "server")),
    C("flows", "u64", "flows opened in the slot: countIf(interval = 0)", "flows", fold="countIf({src}.interval = 0)"),
    *(C(f"{side}_tcp_packets", "u64", f"{side}_packets of TCP", "packets", fold=f"sumIf({{src}}.{side}_packets, {_TCP})") for side in ("client", "server")),
    *(C(f"{side}_{what}", "u64", f"sum of {side}_{what}", "packets") for what in ("retransmissions", "out_of_order") for side in ("client", "server")),
    C("tcp_opened", "u64", "TCP connections whose SYN was seen", "flows", fold=f"countIf({_TCP} AND {_OPENED})"),
    C("tcp_unanswered", "u64", "of them, those without a SYN-ACK in the row in which they began: silent, refused, one direction or answered later", "flows",
      fold=f"countIf({_TCP} AND {_OPENED} AND NOT bitTest({{src}}.server_tcp_flags, 1))"),
)
_FLOWS = (_TIME, _DAY, _PROBE, _CAPTURE, *(C(name, "code", "as in flows") for name in ("protocol", "application", "category")), _INTERFACE, *_LOCAL, *_SUMS)
_FLOWS_KEY = ("time", "probe", "capture_id", "protocol", "application", "category", "interface", "client_local", "server_local", "stored_day")
_LINKS = (_TIME, _DAY, _PROBE, _CAPTURE, _INTERFACE, *_LOCAL, *_SUMS)


def _bin(delay: str) -> str:
    """SQL: the least delay of the bin, two bins a doubling."""
    return f"toUInt32({delay} - {delay} % greatest(bitShiftRight(roundToExp2({delay}), 1), 1))"


_UNKNOWN = 0xFFFFFFFF
_DELAYS = (
    _TIME, _DAY, _PROBE, _CAPTURE, _INTERFACE,
    C("application", "code", "as in flows"),
    C("side", "code", "client, server: round trips between the probe and that side; response: from question to answer (server_response_us)", fold="side"),
    C("bin", "u32", "least delay of the bin", "us", fold=_bin("delay")),
    C("measures", "u64", "delays in the bin", fold="count()"),
    C("sum_us", "u64", "their sum", "us", fold="sum(toUInt64(delay))"),
)
_DELAYS_BY_LINK = tuple(column for column in _DELAYS if column.name != "application")
_SIDES = {"client": "client_rtt_us", "server": "server_rtt_us", "response": "server_response_us"}
_EACH_DELAY = (f"ARRAY JOIN [{', '.join(repr(side) for side in _SIDES)}] AS side, "
               f"[{', '.join(f'ifNull({{src}}.{column}, {_UNKNOWN})' for column in _SIDES.values())}] AS delay WHERE delay != {_UNKNOWN}")


#: What is no name but an address, and names of networks at home and in offices, which nobody registers: they are of persons' devices. Of lower case.
ADDRESSED = "^[0-9.]*(:[0-9]+)?$|:.*:"
DEVICES = "[.](local|localdomain|lan|home|home[.]arpa|internal|intranet|corp|private|workgroup)[.]?(:[0-9]+)?$"


def _domain(name: str) -> str:
    """SQL: the domain that can be registered, in lower case; '' of an address; names of devices are one."""
    plain = f"lower({name})"
    return (f"multiIf(match({plain}, '{ADDRESSED}|^.?$'), '', match({plain}, '{DEVICES}'), 'local', "
            f"substring(cutToFirstSignificantSubdomain({plain}), 1, 120))")


_NAMES = (
    _TIME, _DAY, _PROBE, _CAPTURE,
    C("name", "text", "domain of server_name that can be registered (public suffix and one label); empty: an address, or not among the block's first 500",
      fold=_domain("{src}.server_name")),
    C("wire_bytes", "u64", "frames both ways, without FCS", "bytes", fold="sum({src}.client_wire_bytes + {src}.server_wire_bytes)"),
    C("packets", "u64", "packets both ways", "packets", fold="sum({src}.client_packets + {src}.server_packets)"),
    C("flows", "u64", "flows opened", "flows", fold="countIf({src}.interval = 0)"),
)
_MESSAGES = (
    _TIME, _DAY, _PROBE, _CAPTURE,
    C("query_type", "code", "as in dns"),
    C("is_response", "flag", "as in dns"),
    C("response_code", "code", "as in dns"),
    C("bin", "u32", "least delay of the bin of response_time_us, 0 where there is none", "us", fold=_bin("ifNull({src}.response_time_us, 0)")),
    C("messages", "u64", "rows of dns", fold="count()"),
    C("measures", "u64", "of them, those with a response time", fold="count({src}.response_time_us)"),
    C("sum_us", "u64", "sum of response_time_us", "us", fold="sum(toUInt64(ifNull({src}.response_time_us, 0)))"),
)
_DNS_NAMES = (
    _TIME, _DAY, _PROBE, _CAPTURE,
    C("name", "text", "domain of query_name that can be registered; empty: an address, or not among the block's first 500", fold=_domain("{src}.query_name")),
    C("messages", "u64", "questions and answers", fold="count()"),
    C("queries", "u64", "questions", fold="countIf({src}.is_response = 0)"),
    C("answers", "u64", "answers", fold="countIf({src}.is_response != 0)"),
    C("nxdomain", "u64", "answers that say there is no such name", fold="countIf({src}.is_response != 0 AND {src}.response_code = 'NXDOMAIN')"),
    C("failures", "u64", "answers that say anything but NOERROR and NXDOMAIN",
      fold="countIf({src}.is_response != 0 AND {src}.response_code != 'NXDOMAIN' AND {src}.response_code != 'NOERROR')"),
)
#: What is told of ALPN: the protocols of RFC 7301's registry that are met; anything may be offered.
_ALPN = ("", "h2", "h2c", "h3", "http/1.0", "http/1.1", "acme-tls/1", "ftp", "imap", "pop3", "managesieve", "dot", "doq", "smb", "mqtt", "xmpp-client",
         "xmpp-server", "webrtc", "c-webrtc", "stun.turn", "sip/2", "irc", "ntske/1", "tds/8.0", "postgresql", "radius/1.0", "nntp", "sunrpc")
#: Versions that nobody should choose any more (RFC 8996).
OBSOLETE = "('SSL 2.0', 'SSL 3.0', 'TLS 1.0', 'TLS 1.1')"
_HELLOS = (
    _TIME, _DAY, _PROBE, _CAPTURE,
    C("role", "code", "as in tls"),
    C("version", "code", "as in tls"),
    C("cipher", "code", "as in tls"),
    C("alpn", "code", "the protocol chosen, or the first one offered, where it is a registered one; other: it is not",
      fold=f"if(splitByChar(',', {{src}}.alpn)[1] IN ({', '.join(map(repr, _ALPN))}), splitByChar(',', {{src}}.alpn)[1], 'other')"),
    C("hellos", "u64", "rows of tls", fold="count()"),
)
_ANSWERED = "WHERE {src}.role = 'server'"


def _sessions(words: str, fold: str) -> tuple[C, ...]:
    """Columns of what servers answered, by one text of theirs."""
    return (_TIME, _DAY, _PROBE, _CAPTURE, C("name", "text", f"{words}; empty: none, or not among the block's first 500", fold=fold),
            C("hellos", "u64", "rows of tls in which a server answered", fold="count()"),
            C("obsolete", "u64", "of them, those with SSL, TLS 1.0 or TLS 1.1", fold=f"countIf({{src}}.version IN {OBSOLETE})"))


_PLACE = ("time", "probe", "capture_id")
_TAGS = C("tags", "codes", "as in flows")
_TAGGED = (_TIME, _DAY, _PROBE, _CAPTURE, _INTERFACE, _TAGS, *_SUMS)
_HISTOGRAM = tuple(column for column in _DELAYS_BY_LINK if column.name not in ("interface", "side"))
_SIDE = _DELAYS[6]
_TAG_DELAYS = (*_HISTOGRAM[:4], _TAGS, _SIDE, *_HISTOGRAM[4:])
_KIND_DELAYS = (*_HISTOGRAM[:4], C("protocol", "code", "as in flows"), C("category", "code", "as in flows"), _SIDE, *_HISTOGRAM[4:])
_SERVICE = (C("service_id", "code", "as in usage_1m"), C("customer_id", "code", "as in usage_1m"))
_VOLUMES = tuple(C(name, "u64", f"sum of {name}") for name in ("up_packets", "down_packets", "up_bytes", "down_bytes", "up_wire_bytes", "down_wire_bytes",
      "flows",
                                                               "duplicate_packets", "duplicate_bytes"))
_SERVICES = (
    _TIME, _DAY, _PROBE, _CAPTURE, *_SERVICE, *_VOLUMES,
    *(C(name, "u64", f"sum of {name}") for name in ("rtt_count", "rtt_sum_us", "syn_up", "syn_ack_down", "up_retransmissions", "down_retransmissions")),
    C("minutes", "u64", "minutes with traffic", fold="countIf({src}.up_packets + {src}.down_packets > 0)"),
)
_SERVICE_APPLICATIONS = (_TIME, _DAY, _PROBE, _CAPTURE, *_SERVICE, C("category", "code", "as in usage_1h"), C("application", "code", "as in usage_1h"),
                         *_VOLUMES)
#: Both ends of a row, those that are bound. What is metered elsewhere counts in duplicate_bytes alone.
_ENDS = ("ARRAY JOIN [toString({src}.client_service_id), toString({src}.server_service_id)] AS service, "
         "[toString({src}.client_customer_id), toString({src}.server_customer_id)] AS customer, [1, 0] AS opener, "
         "[{src}.client_duplicate, {src}.server_duplicate] AS elsewhere WHERE service != ''")
_WHOSE = (C("service_id", "code", "service of an end", fold="service"), C("customer_id", "code", "its customer", fold="customer"))


def _counted(name: str, what: str, unit: str, sql: str) -> C:
    return C(name, "u64", what, unit, fold=f"sumIf({sql}, NOT elsewhere)")


def _both(what: str) -> str:
    return f"{{src}}.client_{what} + {{src}}.server_{what}"


_BOUND = (
    _TIME, _DAY, _PROBE, _CAPTURE, _INTERFACE, *_WHOSE,
    _counted("packets", "packets both ways", "packets", _both("packets")), _counted("bytes", "octets of IP packets both ways", "bytes", _both("bytes")),
    _counted("wire_bytes", "frames both ways, without FCS", "bytes", _both("wire_bytes")),
    _counted("up_bytes", "octets of IP packets that this end sent", "bytes", "if(opener, {src}.client_bytes, {src}.server_bytes)"),
    _counted("down_bytes", "those it received", "bytes", "if(opener, {src}.server_bytes, {src}.client_bytes)"),
    _counted("flows", "flows opened in the slot", "flows", "{src}.interval = 0"),
    _counted("tcp_packets", "packets of TCP both ways", "packets", f"if({_TCP}, {_both('packets')}, 0)"),
    *(_counted(what, f"{what} both ways", "packets", _both(what)) for what in ("retransmissions", "out_of_order")),
    _counted("tcp_opened", "as in flows_1h", "flows", f"{_TCP} AND {_OPENED}"),
    _counted("tcp_unanswered", "as in flows_1h", "flows", f"{_TCP} AND {_OPENED} AND NOT bitTest({{src}}.server_tcp_flags, 1)"),
    C("duplicate_bytes", "u64", "octets both ways that are metered elsewhere", "bytes", fold=f"sumIf({_both('bytes')}, elsewhere)"),
)
#: Of an end: what its near, far and response delays are.
_NEAR_FAR = {"client": ("client_rtt_us", "server_rtt_us", "server_response_us"), "server": ("server_rtt_us", "client_rtt_us", "server_response_us")}


def _each_end(sql: str) -> str:
    """SQL: an array of the same for three delays of the client and for three of the server."""
    return f"[{', '.join(sql.format(src='{src}', end=end, delay=delay) for end, delays in _NEAR_FAR.items() for delay in delays)}]"


_EACH_END = (f"ARRAY JOIN ['near', 'far', 'response', 'near', 'far', 'response'] AS side, "
             f"{_each_end(f'if({{src}}.{{end}}_duplicate, {_UNKNOWN}, ifNull({{src}}.{{delay}}, {_UNKNOWN}))')} AS delay, "
             f"{_each_end('toString({src}.{end}_service_id)')} AS service, {_each_end('toString({src}.{end}_customer_id)')} AS customer "
             f"WHERE service != '' AND delay != {_UNKNOWN}")
_BOUND_SIDE = C("side", "code", "near: round trips between the probe and this end; far: and the other one; response: server_response_us", fold="side")
_BOUND_DELAYS = (*_HISTOGRAM[:4], *_WHOSE, _BOUND_SIDE, *_HISTOGRAM[4:])
#: Of a slot of usage that is computed again only the first computation is in a rollup, until that is filled anew: what a view has seen it can't take back.
_FIRST = "WHERE {src}.revision = 1"

ROLLUPS = (
    Table("flows_1m", "Flows by minute, protocol, application, category, interface and who is local.", _FLOWS, _FLOWS_KEY, _SUMMED, "flows", 60),
    Table("flows_5m", "The same by five minutes.", _FLOWS, _FLOWS_KEY, _SUMMED, "flows_1m", 300),
    Table("flows_1h", "The same by hour.", _FLOWS, _FLOWS_KEY, _SUMMED, "flows_5m", 3600),
    Table("flows_8h", "The same by eight hours.", _FLOWS, _FLOWS_KEY, _SUMMED, "flows_1h", 28800),
    Table("links_1m", "Flows by minute, interface and who is local.", _LINKS, (*_PLACE, "interface", "client_local", "server_local", "stored_day"), _SUMMED,
          "flows_1m", 60),
    Table("delays_1h", "Round trips and response times by hour, interface and application, as histograms.", _DELAYS,
          (*_PLACE, "interface", "side", "application", "bin", "stored_day"), _SUMMED, "flows", 3600, picked=_EACH_DELAY),
    Table("delays_8h", "The same by eight hours.", _DELAYS, (*_PLACE, "interface", "side", "application", "bin", "stored_day"), _SUMMED, "delays_1h",
          28800),
    Table("delays_1d", "The same by day.", _DELAYS, (*_PLACE, "interface", "side", "application", "bin", "stored_day"), _SUMMED, "delays_1h", 86400),
    Table("delays_5m", "The same by five minutes and interface.", _DELAYS_BY_LINK, (*_PLACE, "interface", "side", "bin", "stored_day"), _SUMMED, "flows", 300,
          picked=_EACH_DELAY),
    Table("names_1h", "Traffic by hour and registered domain of the server's name.", _NAMES, (*_PLACE, "name", "stored_day"), _SUMMED, "flows", 3600,
          picked="WHERE {src}.server_name != ''", named="server_name", most=500),
    Table("names_1d", "The same by day.", _NAMES, (*_PLACE, "name", "stored_day"), _SUMMED, "names_1h", 86400),
    Table("dns_5m", "DNS messages by five minutes, kind of question, answer and response time.", _MESSAGES,
          (*_PLACE, "query_type", "is_response", "response_code", "bin", "stored_day"), _SUMMED, "dns", 300),
    Table("dns_names_1h", "DNS messages by hour and registered domain.", _DNS_NAMES, (*_PLACE, "name", "stored_day"), _SUMMED, "dns", 3600,
          named="query_name", most=500),
    Table("dns_names_1d", "The same by day.", _DNS_NAMES, (*_PLACE, "name", "stored_day"), _SUMMED, "dns_names_1h", 86400),
    Table("tls_1h", "TLS hellos by hour, version, cipher suite and ALPN.", _HELLOS, (*_PLACE, "role", "version", "cipher", "alpn", "stored_day"), _SUMMED,
          "tls", 3600),
    Table("tls_names_1h", "What servers answered by hour and registered domain that was asked for.",
          _sessions("domain of server_name that can be registered", _domain("{src}.server_name")), (*_PLACE, "name", "stored_day"), _SUMMED, "tls", 3600,
          picked=_ANSWERED, named="server_name", most=500),
    Table("tls_ja4_1h", "The same by JA4 of the client.", _sessions("JA4 of the client hello", "{src}.ja4"), (*_PLACE, "name", "stored_day"), _SUMMED,
          "tls", 3600, picked=_ANSWERED, named="ja4", most=500),
    Table("tls_issuers_1h", "The same by issuer of the certificate.", _sessions("issuer of the certificate", "{src}.issuer"),
          (*_PLACE, "name", "stored_day"), _SUMMED, "tls", 3600, picked=_ANSWERED, named="issuer", most=500),
    Table("tags_1h", "Flows by hour, interface and tags.", _TAGGED, (*_PLACE, "interface", "tags", "stored_day"), _SUMMED, "flows", 3600),
    Table("tag_delays_1h", "Round trips and response times by hour and tags, as histograms.", _TAG_DELAYS, (*_PLACE, "tags", "side", "bin", "stored_day"),
          _SUMMED, "flows", 3600, picked=_EACH_DELAY),
    Table("kind_delays_1h", "The same by protocol and category.", _KIND_DELAYS, (*_PLACE, "protocol", "category", "side", "bin", "stored_day"), _SUMMED,
          "flows", 3600, picked=_EACH_DELAY),
    Table("bound_1h", "Flows by hour, interface and service of an end, for reports: never for bills.", _BOUND,
          (*_PLACE, "interface", "service_id", "customer_id", "stored_day"), _SUMMED, "flows", 3600, picked=_ENDS),
    Table("bound_delays_1h", "Round trips and response times by hour and service of an end, as histograms.", _BOUND_DELAYS,
          (*_PLACE, "service_id", "customer_id", "side", "bin", "stored_day"), _SUMMED, "flows", 3600, picked=_EACH_END),
    Table("bound_delays_8h", "The same by eight hours.", _BOUND_DELAYS, (*_PLACE, "service_id", "customer_id", "side", "bin", "stored_day"), _SUMMED,
          "bound_delays_1h", 28800),
    Table("services_5m", "Usage of services by five minutes, for dashboards and reports: never for bills.", (*_SERVICES[:6], *_VOLUMES),
          (*_PLACE, "service_id", "customer_id", "stored_day"), _SUMMED, "usage_1m", 300, picked=_FIRST),
    Table("services_1h", "Usage of services by hour, for dashboards: never for bills.", _SERVICES, (*_PLACE, "service_id", "customer_id", "stored_day"),
          _SUMMED,
          "usage_1m", 3600, picked=_FIRST),
    Table("services_8h", "Usage of services by eight hours and application, for reports: never for bills.", _SERVICE_APPLICATIONS,
          (*_PLACE, "service_id", "customer_id", "category", "application", "stored_day"), _SUMMED, "usage_1h", 28800, picked=_FIRST),
    Table("services_1d", "Usage of services by day and application, for dashboards: never for bills.", _SERVICE_APPLICATIONS,
          (*_PLACE, "service_id", "customer_id", "category", "application", "stored_day"), _SUMMED, "usage_1h", 86400, picked=_FIRST),
)
