"""Every exported table, one row per column. The numpy and Arrow types, the ClickHouse DDL, the JSON names and the documentation derive from here.

To add a column: add its row. An existing store gains it at the next opening (see dpi/store/tables.py).

Conventions of all tables: times are UTC microseconds; addresses are 16 bytes, IPv4 mapped (::ffff:a.b.c.d), shown as plain IPv4; the client is
the side that opened the flow; "wire" bytes are the frame without FCS, "bytes" the octets of the innermost IP packet, "payload" those of layer 4.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dpi.alerting import ALERTING
from dpi.columns import KINDS, Column, Kind, Table
from dpi.custody import CUSTODY
from dpi.rollups import ROLLUPS

if TYPE_CHECKING:
    from dpi.batch import NULLS, Batch, Coded, Lists, Texts

__all__ = ["IDS", "NULLS", "PERSONAL", "TABLES", "TRANSACTION_TABLES", "Batch", "Coded", "Column", "Lists", "Table", "Texts", "Kind", "KINDS", "table"]


def __getattr__(name: str) -> Any:
    """The column types of dpi.batch, from here as well; they need numpy, which a page of help must not wait for."""
    if name in ("NULLS", "Batch", "Coded", "Lists", "Texts"):
        from dpi import batch
        return getattr(batch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


C = Column
_STORED = C("stored_time", "time", "when the row was written; partitions and retention follow it")
_PROBE = C("probe", "code", "name of the probe that saw it", "", "IPFIX 144 exportingProcessId")
_SOURCE = C("source", "code", "name of the capture file, empty for live traffic")
_CAPTURE = C("capture_id", "id", "the capture's row in `captures`, 0 for live traffic")
_FLOW = C("flow_id", "id", "number of the flow: probe or capture, and the number of its first packet there", "", "IPFIX 148 flowId")

FLOWS = (
    _FLOW,
    C("community_id", "text", "Community ID 1, seed 0: the same in other tools", "", "github.com/corelight/community-id-spec"),
    _PROBE,
    C("interface", "code", "interface of the probe or of the capture", "", "IPFIX 82 interfaceName"),
    _SOURCE, _CAPTURE,
    C("first_packet", "u64", "number of the flow's first packet in its capture, from 1"),
    C("interval", "u32", "number of this row within its flow, from 0; flows opened = countIf(interval = 0)"),
    C("interval_start", "time", "first packet of this row", "us", "IPFIX 154 flowStartMicroseconds"),
    C("interval_end", "time", "last packet of this row; never in another minute than interval_start", "us", "IPFIX 155 flowEndMicroseconds"),
    C("flow_start_time", "time", "first packet of the flow", "us"),
    C("final", "flag", "the flow's last row"),
    C("end_reason", "code", "why the row ended: active (its minute or half minute ended), idle, fin, reset, evicted, end (of the capture)", "",
      "IPFIX 136 flowEndReason"),
    C("midstream", "flag", "picked up after its beginning"),
    C("sampling_rate", "u32", "one packet in so many was seen; 0 and 1: all", "", "IPFIX 34 samplingInterval"),
    C("vlan", "u16", "outer VLAN id, 0 none", "", "IPFIX 243 dot1qVlanId"),
    C("inner_vlan", "u16", "inner VLAN id (QinQ), 0 none", "", "IPFIX 245 dot1qCustomerVlanId"),
    C("tunnel", "code", "layers around the conversation, joined by +: gre, vxlan, gtp-u ..."),
    C("tunnel_id", "u32", "VNI, TEID, GRE key, PPPoE session or MPLS label of the innermost tunnel", "", "IPFIX 351 layer2SegmentId"),
    C("outer_client_ip", "ip", "outermost address on the client's side, :: where there is no tunnel"),
    C("outer_server_ip", "ip", "outermost address on the server's side"),
    C("client_mac", "mac", "source MAC of the client's frames; target MAC of the server's where those were seen first", "", "IPFIX 56 sourceMacAddress"),
    C("server_mac", "mac", "target MAC of the client's frames; their source MAC where the server's were seen first", "", "IPFIX 80 destinationMacAddress"),
    C("client_ip", "ip", "address of the side that opened the flow", "", "IPFIX 27 sourceIPv6Address, 8 sourceIPv4Address"),
    C("server_ip", "ip", "address of the other side", "", "IPFIX 28 destinationIPv6Address, 12 destinationIPv4Address"),
    C("client_port", "u16", "TCP, UDP or SCTP port", "", "IPFIX 7 sourceTransportPort"),
    C("server_port", "u16", "TCP, UDP or SCTP port", "", "IPFIX 11 destinationTransportPort"),
    C("ip_protocol", "u8", "IANA number: 6 TCP, 17 UDP", "", "IPFIX 4 protocolIdentifier"),
    C("icmp_type", "u8", "of the first packet, ICMP and ICMPv6 only", "", "IPFIX 176 icmpTypeIPv4, 178 icmpTypeIPv6"),
    C("icmp_code", "u8", "of the first packet, ICMP and ICMPv6 only", "", "IPFIX 177 icmpCodeIPv4, 179 icmpCodeIPv6"),
    C("client_ttl", "u8", "TTL or hop limit of the client's first packet", "", "IPFIX 192 ipTTL"),
    C("server_ttl", "u8", "TTL or hop limit of the server's first packet", "", "IPFIX 192 ipTTL"),
    C("client_dscp", "u8", "DSCP of the client's first packet", "", "IPFIX 195 ipDiffServCodePoint"),
    C("server_dscp", "u8", "DSCP of the server's first packet", "", "IPFIX 195 ipDiffServCodePoint"),
    C("client_packets", "u64", "packets the client sent", "packets", "IPFIX 298 initiatorPackets"),
    C("server_packets", "u64", "packets the server sent", "packets", "IPFIX 299 responderPackets"),
    C("client_bytes", "u64", "octets of the innermost IP packets the client sent", "bytes", "IPFIX 1 octetDeltaCount"),
    C("server_bytes", "u64", "octets of the innermost IP packets the server sent", "bytes", "IPFIX 1 octetDeltaCount, RFC 5103 reverse"),
    C("client_wire_bytes", "u64", "frames as sent by the client, without FCS", "bytes", "IPFIX 352 layer2OctetDeltaCount"),
    C("server_wire_bytes", "u64", "frames as sent by the server, without FCS", "bytes", "IPFIX 352 layer2OctetDeltaCount, reverse"),
    C("client_payload_bytes", "u64", "layer-4 payload the client sent", "bytes", "IPFIX 231 initiatorOctets"),
    C("server_payload_bytes", "u64", "layer-4 payload the server sent", "bytes", "IPFIX 232 responderOctets"),
    C("client_tcp_flags", "u8", "TCP flags of the client's packets in this row, ORed", "", "IPFIX 6 tcpControlBits"),
    C("server_tcp_flags", "u8", "TCP flags of the server's packets in this row, ORed", "", "IPFIX 6 tcpControlBits, reverse"),
    C("client_mss", "u32?", "maximum segment size in the client's SYN", "bytes", "RFC 9293 3.7.1"),
    C("client_rtt_us", "u32?", "SYN-ACK to ACK: the round trip between probe and client", "us"),
    C("server_rtt_us", "u32?", "SYN to SYN-ACK: the round trip between probe and server", "us"),
    C("server_response_us", "u32?", "from the client's last payload before it to the server's first payload", "us"),
    C("client_retransmissions", "u32", "segments the client sent again", "packets"),
    C("server_retransmissions", "u32", "segments the server sent again", "packets"),
    C("client_out_of_order", "u32", "segments of the client seen late", "packets"),
    C("server_out_of_order", "u32", "segments of the server seen late", "packets"),
    C("client_zero_windows", "u32", "the client announced a full receive buffer", "packets"),
    C("server_zero_windows", "u32", "the server announced a full receive buffer", "packets"),
    C("protocol", "code", "wire protocol: TLS, QUIC, DNS ...; empty: unknown"),
    C("application", "code", "the thing people know: YouTube, WeChat ...; empty: unknown", "", "IPFIX 96 applicationName"),
    C("category", "code", "category of the application, else of the protocol", "", "IPFIX 372 applicationCategoryName"),
    C("confidence", "code", "how it was reached: payload, name, dns, fingerprint, network, port, guess; empty: not"),
    C("evidence", "code", "why, in words a person can check"),
    C("server_name", "text", "TLS or QUIC SNI, HTTP host, else the DNS name the client asked for", "", "RFC 6066 3"),
    C("alpn", "code", "application protocol, chosen or first offered", "", "RFC 7301"),
    C("ja3", "text", "JA3 of the first client hello", "", "github.com/salesforce/ja3"),
    C("ja3s", "text", "JA3S of the server hello", "", "github.com/salesforce/ja3"),
    C("ja4", "code", "JA4 of the first client hello", "", "github.com/FoxIO-LLC/ja4"),
    C("ja4_all", "codes", "JA4 of every distinct client hello of the flow"),
    C("user_agent", "code", "HTTP or QUIC user agent", "", "RFC 9110 10.1.5"),
    C("risks", "codes", "what an operator should look at: clear_text_credentials, obsolete_tls ..."),
    C("tags", "codes", "labels: one_sided (TCP of which one direction was never seen), those of rules; of a row that stands for many connections of a flood: "
      "folded, and client_prefix_24 or client_prefix_48 (client_ip is the network's address), any_client (client_ip is 0.0.0.0 or ::), any_port "
      "(server_port is 0), any_server (server_ip likewise)"),
    C("folded", "u32", "half-open TCP connections that this row stands for, evicted under a flood and folded (see `tags`); 0: a flow of its own", "flows"),
    C("client_asn", "u32", "autonomous system of the client, 0 unknown", "", "IPFIX 16 bgpSourceAsNumber"),
    C("server_asn", "u32", "autonomous system of the server, 0 unknown", "", "IPFIX 17 bgpDestinationAsNumber"),
    C("client_country", "code", "ISO 3166 code of the client's network, empty unknown"),
    C("server_country", "code", "ISO 3166 code of the server's network, empty unknown"),
    C("client_local", "flag", "the client is inside local_networks"),
    C("server_local", "flag", "the server is inside local_networks"),
    C("client_service_id", "code", "service bound to the client's address at that time"),
    C("client_customer_id", "code", "customer of that service"),
    C("server_service_id", "code", "service bound to the server's address at that time"),
    C("server_customer_id", "code", "customer of that service"),
    C("client_duplicate", "flag", "seen at another point than the one at which the client's service is metered: never billed"),
    C("server_duplicate", "flag", "seen at another point than the one at which the server's service is metered: never billed"),
    C("rules_version", "code", "version of the rules that named it"),
    _STORED,
)

CAPTURES = (
    C("capture_id", "id", "number of the capture in this store"),
    C("path", "text", "where the file was"),
    C("source", "code", "its name, as in the other tables"),
    C("size", "u64", "size of the file", "bytes"),
    C("modified_time", "time", "when the file was last changed; 1970 for standard input"),
    C("sha256", "text", "SHA-256 of the file; empty for a large file where size, path and time told it from all others"),
    C("link_types", "codes", "link types read"),
    C("first_time", "time", "first packet"),
    C("last_time", "time", "last packet"),
    C("packets", "u64", "packets read", "packets"),
    C("wire_bytes", "u64", "their bytes on the link, without FCS", "bytes"),
    C("refused", "u64", "packets in no flow", "packets"),
    C("refused_reasons", "codes", "why packets were refused"),
    C("refused_counts", "u64s", "how many for each of refused_reasons", "packets"),
    C("damage", "text", "where and how the file is cut or corrupt; empty: whole"),
    C("rules_version", "code", "version of the rules used"),
    _STORED,
)

COVERAGE = (
    C("time", "time", "start of the minute"),
    _PROBE, _SOURCE, _CAPTURE,
    C("frames", "u64", "frames handed to the decoder", "packets"),
    C("wire_bytes", "u64", "their bytes on the link, without FCS", "bytes"),
    C("busiest_second", "time", "the second with most bytes"),
    C("busiest_bytes", "u64", "bytes on the link in that second", "bytes"),
    C("busiest_frames", "u64", "most frames of a second", "packets"),
    C("dropped_nic", "u64", "lost in the network card", "packets"),
    C("dropped_kernel", "u64", "lost in the kernel", "packets"),
    C("dropped_ring", "u64", "lost between the kernel's ring and the decoder", "packets"),
    C("dropped_store", "u64", "rows of any table that the spool had no room for or the store refused", "rows"),
    C("evicted", "u64", "flows that ended early because the flow table was full; what they counted is in their rows or in folds", "flows"),
    C("folded", "u64", "of them, half-open connections that have no row of their own (`folded` of flows)", "flows"),
    C("folded_coarser", "u64", "of them, folded more coarsely than by server, port and client prefix", "flows"),
    C("arena_refused", "u64", "flows whose first bytes or names were not kept for want of room", "flows"),
    C("rows_given_up", "u64", "rows of dns, tls, http and files that were not made, under pressure or for want of room", "rows"),
    C("pressure", "u8", "the most that was given up: 0 nothing, 1 those rows, 2 naming by first bytes as well"),
    C("refused", "u64", "frames in no flow", "packets"),
    C("refused_reasons", "codes", "why frames were refused"),
    C("refused_counts", "u64s", "how many for each of refused_reasons", "packets"),
    C("duplicates", "u64", "frames dropped as copies by a mirror (--dedup), not among `frames`; a capture's are told with its last minute", "packets"),
    C("tcp_packets", "u64", "TCP packets of the rows that left in this minute; a capture's are told with its last minute", "packets"),
    C("one_sided_packets", "u64", "those of them whose flow was seen in one direction only, though the other must have been there", "packets"),
    C("worker", "u16", "which of the interface's workers tells this"),
    C("workers", "u16", "workers of all interfaces of the probe, each of which tells of this minute; 0: told by another than those that read it"),
    C("unread_us", "u64", "time of the minute before a start in which the probe was not reading; rows of a minute add up; told by worker 0", "us"),
    C("store_lag_us", "u64", "age of the oldest row that waited for the store when the minute was told; the first worker tells it", "us"),
    _STORED,
)

_SENDER = C("direction", "code", "who sent it: client or server")
_TRANSACTION = (_FLOW, C("time", "time", "packet that carried it"), _PROBE, _SOURCE, _CAPTURE, _SENDER)

DNS = (
    *_TRANSACTION,
    C("transaction_id", "u16", "message id", "", "RFC 1035 4.1.1", "number 0"),
    C("query_name", "text", "name asked for", "", "RFC 1035 4.1.2", "text 0"),
    C("query_type", "code", "A, AAAA, HTTPS ...; TYPEn where it has no name", "", "RFC 1035 3.2.2, RFC 3597", "number 1"),
    C("is_response", "flag", "an answer, not a question", "", "RFC 1035 4.1.1", "number 3"),
    C("response_code", "code", "NOERROR, NXDOMAIN ...", "", "RFC 1035 4.1.1, RFC 6895 2.3", "number 2"),
    C("opcode", "u8", "0 query, 4 notify, 5 update", "", "RFC 1035 4.1.1", "number 6"),
    C("flags", "u16", "the flag word as sent", "", "RFC 1035 4.1.1", "number 8"),
    C("answer_count", "u16", "records in the answer section", "", "RFC 1035 4.1.1", "number 4"),
    C("answers", "text", "addresses and names of the answer", "", "RFC 1035 4.1.3", "text 1"),
    C("ttl", "u32", "smallest TTL of the answers", "s", "RFC 1035 4.1.3", "number 5"),
    C("response_time_us", "u32?", "question to answer", "us", "", "number 7"),
    _STORED,
)

TLS = (
    *_TRANSACTION,
    C("role", "code", "client: a client hello; server: the server's hello and certificate", "", "RFC 8446 4.1", "number 0"),
    C("version", "code", "version offered (client) or chosen (server)", "", "RFC 8446 4.2.1", "number 1"),
    C("cipher", "code", "cipher suite chosen", "", "RFC 8446 B.4", "number 2"),
    C("hello_number", "u32", "number of the hello within its flow, from 0", "", "", "number 5"),
    C("server_name", "text", "name asked for in the hello (SNI); of a server the name its client asked for", "", "RFC 6066 3", "text 0"),
    C("alpn", "text", "protocols offered or chosen", "", "RFC 7301", "text 1"),
    C("ja3", "text", "JA3 of the client hello", "", "github.com/salesforce/ja3", "text 2"),
    C("ja3s", "text", "JA3S of the server hello", "", "github.com/salesforce/ja3", "text 3"),
    C("ja4", "text", "JA4 of the client hello; of a server that of the flow's first one", "", "github.com/FoxIO-LLC/ja4", "text 4"),
    C("subject", "text", "subject of the certificate", "", "RFC 5280 4.1.2.6", "text 5"),
    C("certificate_names", "text", "names the certificate is valid for", "", "RFC 5280 4.2.1.6", "text 6"),
    C("issuer", "text", "issuer of the certificate", "", "RFC 5280 4.1.2.4", "text 7"),
    C("certificate_sha256", "text", "SHA-256 of the certificate", "", "", "text 8"),
    C("not_before", "time?", "certificate valid from", "", "RFC 5280 4.1.2.5", "number 3"),
    C("not_after", "time?", "certificate valid until", "", "RFC 5280 4.1.2.5", "number 4"),
    _STORED,
)

HTTP = (
    *_TRANSACTION,
    C("method", "code", "GET, POST ...", "", "RFC 9110 9", "text 0"),
    C("host", "text", "host asked for, with its port where given", "", "RFC 9110 7.2", "text 1"),
    C("path", "text", "path without its query", "", "RFC 9110 4.2", "text 2"),
    C("version", "code", "1.0, 1.1, 2", "", "RFC 9112 2.3", "number 4"),
    C("status", "u16?", "status code of the response", "", "RFC 9110 15", "number 0"),
    C("user_agent", "code", "user agent", "", "RFC 9110 10.1.5", "text 3"),
    C("content_type", "code", "content type of the response", "", "RFC 9110 8.3", "text 4"),
    C("server", "code", "server software", "", "RFC 9110 10.2.4", "text 5"),
    C("referer", "text", "referring page without its query", "", "RFC 9110 10.1.3", "text 6"),
    C("request_bytes", "u64?", "content length of the request", "bytes", "RFC 9110 8.6", "number 1"),
    C("response_bytes", "u64?", "content length of the response", "bytes", "RFC 9110 8.6", "number 2"),
    C("request_time", "time?", "when the request was seen", "us", "", "number 5"),
    C("response_time_us", "u32?", "request to response", "us", "", "number 3"),
    _STORED,
)

FILES = (
    *_TRANSACTION,
    C("protocol", "code", "protocol that carried the file", "", "", "text 0"),
    C("command", "code", "command that moved it", "", "", "text 1"),
    C("user", "text", "user name, masked", "", "", "text 2"),
    C("path", "text", "name of the file", "", "", "text 3"),
    C("sha256", "text", "SHA-256 of the content, empty where it was not seen whole", "", "", "text 4"),
    C("size", "u64", "octets moved", "bytes", "", "number 0"),
    _STORED,
)

_VOLUMES = tuple(C(f"{way}_{what}", "u64", f"{words} {sent} that side", unit)
                 for what, words, unit in (("packets", "packets", "packets"), ("bytes", "octets of the innermost IP packets", "bytes"),
                                           ("wire_bytes", "frames without FCS", "bytes")) for way, sent in (("up", "sent by"), ("down", "received by")))
_DUPLICATES = (
    C("duplicate_packets", "u64", "packets both ways seen where the service is not metered, in none of the columns before", "packets"),
    C("duplicate_bytes", "u64", "their IP octets", "bytes"),
)
_REVISION = C("revision", "u32", "number of this computation of the slot, from 1; of rows with the same key the highest holds")
_SERVICE = (C("service_id", "code", "service that the side is bound to"), C("customer_id", "code", "customer of that service"))

USAGE_1M = (
    C("time", "minute", "start of the minute"),
    _PROBE, _CAPTURE, *_SERVICE, *_VOLUMES,
    C("flows", "u64", "flows opened, by either side", "flows"),
    C("rtt_count", "u64", "round trips measured between the probe and that side"),
    C("rtt_sum_us", "u64", "their sum", "us"),
    C("rtt_histogram", "u64s", "how many in each of 26 bins; bin k, from 0, holds those from 2^k to below 2^(k+1) us, bin 0 also less, the last also more; "
      "empty where none was measured"),
    C("syn_up", "u64", "TCP connections that the side opened with a SYN; each of those in a fold (`folded` of flows) counts", "flows"),
    C("syn_ack_down", "u64", "TCP connections of the side, as client, in which a SYN-ACK came in this minute", "flows"),
    C("servers", "u32", "distinct addresses to which the side opened flows, at most 1000"),
    C("up_tcp_packets", "u64", "of up_packets, those of TCP", "packets"),
    C("down_tcp_packets", "u64", "of down_packets, those of TCP", "packets"),
    C("up_retransmissions", "u64", "segments that the side sent again", "packets"),
    C("down_retransmissions", "u64", "segments that were sent to it again", "packets"),
    C("directions", "u8", "1: packets sent by that side were seen, 2: packets sent to it, 3: both"),
    *_DUPLICATES, _REVISION, _STORED,
)
USAGE_1H = (
    C("time", "minute", "start of the hour"),
    _PROBE, _CAPTURE, *_SERVICE,
    C("category", "code", "as in flows"),
    C("application", "code", "as in flows; empty: unknown"),
    C("rules_version", "code", "version of the rules that named it"),
    *_VOLUMES,
    C("flows", "u64", "flows opened, by either side", "flows"),
    *_DUPLICATES, _REVISION, _STORED,
)
USAGE_UNBOUND_1H = (
    C("time", "minute", "start of the hour"),
    _PROBE, _CAPTURE,
    C("prefix", "code", "network inside local_networks, /24 of IPv4 and /48 of IPv6: never a person's address"),
    *_VOLUMES,
    C("flows", "u64", "flows opened, by either side", "flows"),
    _REVISION, _STORED,
)
USAGE_SLOTS = (
    C("table_name", "code", "usage_1m, usage_1h or usage_unbound_1h"),
    C("time", "minute", "start of the slot"),
    _PROBE, _CAPTURE,
    C("flow_rows", "u64", "rows of flows that it was computed from", "rows"),
    C("rows", "u64", "rows of the slot in which anything was counted", "rows"),
    C("bytes", "u64", "their IP octets, up and down, without duplicates", "bytes"),
    C("digest", "text", "SHA-256 of these rows, without `revision` and `stored_time`: docs/usage.md says how it is made"),
    _REVISION, _STORED,
)
_USAGE_KEY = ("time", "probe", "capture_id", "service_id", "customer_id")
_DIGEST = "keyed digest: the same of the same name as long as the key is, and nothing more can be told from it; 0: not said"
SESSIONS = (
    C("time", "time", "packet that told it"),
    _PROBE, _SOURCE, _CAPTURE,
    C("action", "code", "start, update (more is known of whose it is), stop, or restart (of a NAS: all its sessions end)"),
    C("reason", "code", "of a stop: stop, replaced (by another session), expired (not heard of again), evicted (no room); of a restart: restart"),
    C("learned_from", "code", "radius, dhcp or pppoe"),
    C("since", "time", "when the session began to have the address"),
    C("address", "ip", "the address, or the first one of the prefix"),
    C("prefix_length", "u8", "of the prefix; 32 of an IPv4 address, 128 of an IPv6 one; 0 of a restart"),
    C("vlan", "u16", "outer VLAN in which it holds"),
    C("inner_vlan", "u16", "inner VLAN"),
    C("any_vlan", "flag", "it holds in every VLAN"),
    C("user", "id", f"user, {_DIGEST}"),
    C("circuit", "id", f"line (circuit id or NAS port), {_DIGEST}"),
    C("mac", "id", f"MAC address of the client, {_DIGEST}"),
    C("session", "id", f"session, {_DIGEST}"),
    C("nas", "id", f"NAS, {_DIGEST}"),
    *_SERVICE, _STORED,
)
LINK_STATE = (
    C("time", "time", "when it was told"), _PROBE, C("target", "code", "name of what was asked"),
    C("service_id", "code", "service whose test address it is, empty: none's"), C("source", "code", "how it is known: ping"),
    C("state", "code", "up or down; a change is told at once, each state once a minute"), C("changed", "flag", "the state before was another"),
    C("rtt_us", "u32?", "median round trip since the row before", "us", "RFC 792, RFC 4443"), C("sent", "u32", "requests since the row before", "packets"),
    C("loss_permille", "u16", "of them, those without an answer, in thousandths"), _STORED)
_BY_FLOW = ("time", "flow_id")

TABLES = {t.name: t for t in (
    Table("flows", "A row for each flow and minute of the packet clock, or half minute in a probe ([probe] row_seconds).", FLOWS, (), span="interval_start"),
    Table("captures", "A row for each capture read; a later row of the same capture_id replaces the former.", CAPTURES, ("capture_id",),
          "ReplacingMergeTree(stored_time)"),
    Table("coverage", "A row a minute for each source: what was seen, what was lost and where.", COVERAGE, ("time", "probe", "capture_id")),
    Table("link_state", "Whether test addresses answer pings: a row for each change, and each minute.", LINK_STATE, ("time", "probe", "target")),
    Table("dns", "A row for each DNS, mDNS or LLMNR message.", DNS, _BY_FLOW),
    Table("tls", "A row for each TLS or QUIC hello and certificate.", TLS, _BY_FLOW),
    Table("http", "A row for each HTTP request and its response.", HTTP, _BY_FLOW),
    Table("files", "A row for each file moved.", FILES, _BY_FLOW),
    Table("sessions", "A row for each address that somebody got or gave back, as learned on the wire.", SESSIONS, ("address", "time")),
    Table("usage_1m", "A row for each bound service and minute that is closed.", USAGE_1M, _USAGE_KEY, "ReplacingMergeTree(revision)"),
    Table("usage_1h", "A row for each bound service, application and hour that is closed.", USAGE_1H,
          (*_USAGE_KEY, "category", "application", "rules_version"), "ReplacingMergeTree(revision)"),
    Table("usage_unbound_1h", "What no binding covers, by network and hour.", USAGE_UNBOUND_1H, ("time", "probe", "capture_id", "prefix"),
          "ReplacingMergeTree(revision)"),
    Table("usage_slots", "The minutes and hours of usage that are closed; its row is written after the slot's.", USAGE_SLOTS,
          ("table_name", "time", "probe", "capture_id"), "ReplacingMergeTree(revision)"),
    *ALERTING,
    *CUSTODY,
    *ROLLUPS,
)}

#: Names of the columns that are numbers by nature and strings in JSON.
IDS = frozenset(column.name for t in TABLES.values() for column in t.columns if column.kind == "id")

#: Tables whose rows name one person's service, addresses or flows: reading them takes a reason where services are bound (docs/privacy.md).
PERSONAL = frozenset(["flows", "sessions", "dns", "tls", "http", "files", "alert_actions",
                      *(name for name, table in TABLES.items() if "service_id" in table.names and name != "holds")])

#: TRANSACTION.table is an index here; 0 is no row.
TRANSACTION_TABLES = ("", "dns", "tls", "http", "files")


def table(name: str) -> Table:
    """The table of that name; KeyError if there is none."""
    return TABLES[name]
