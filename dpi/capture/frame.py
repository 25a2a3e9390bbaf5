"""The two records that travel between the stages: a frame as a source hands it over, a packet as the decoder understood it."""
from __future__ import annotations

import numpy as np

#: One captured frame inside a data buffer. 32 bytes. `time` is microseconds since the epoch.
FRAME = np.dtype((np.record, [
    ("offset", "u8"),       # of the first captured byte in the block's data
    ("time", "i8"),         # us, as written in the capture
    ("captured", "u4"),     # bytes there are
    ("wire", "u4"),         # bytes there were on the link (without FCS)
    ("link", "u2"),         # LINKTYPE_* number
    ("interface", "u2"),    # number inside the capture
    ("number", "u4"),       # low 32 bits of the packet's number in its capture, from 1
]))

# Tunnel bits of PACKET.tunnel (an outer layer each; several may be set)
TUNNELS = ("vlan", "mpls", "pppoe", "gre", "ipip", "6in4", "vxlan", "gtp-u", "teredo", "eoip")
MAX_LAYERS = 16             # headers of any kind looked through before a frame is refused as too deep
MAX_TUNNELS = 4             # IP-in-something layers

#: One decoded packet: the innermost conversation. 128 bytes, what is read of every packet in the first line. Offsets count from the start of the frame.
PACKET = np.dtype((np.record, [
    ("time", "i8"),             # us
    ("key0", "u8"),             # canonical flow key, see dpi/flow/key.py
    ("key1", "u8"),
    ("hash", "u8"),             # seeded hash of the key
    ("wire", "u4"),
    ("ip_bytes", "u4"),         # octets of the innermost IP packet (its header included, padding excluded)
    ("payload_bytes", "u4"),    # layer-4 payload octets on the wire, by the IP length
    ("seq", "u4"),
    ("flow", "u4"),             # the flow table's: the record that was found for it, 0 none
    ("window", "u2"),
    ("status", "u1"),           # 0 decoded, else the number of a reason in REFUSALS
    ("ip_protocol", "u1"),
    ("tcp_flags", "u1"),
    ("low", "u1"),              # 1: the sender is the low side of the canonical key
    ("fragment", "u1"),         # 0 whole, 1 first fragment, 2 later fragment
    ("mangled", "u1"),          # 1: of the transport header only the ports could be used; TCP fields are 0 and say nothing
    ("ttl", "u1"),
    ("dscp", "u1"),
    ("version", "u1"),          # 4, 6; 0 where there is no IP
    ("has_mac", "u1"),          # 1: bytes 0-11 of the frame are MAC addresses
    # the second line: of packets that open a flow or are inspected
    ("offset", "u8"),           # of the frame in the block's data
    ("captured", "u4"),
    ("number", "u4"),
    ("payload_captured", "u4"), # of the payload's octets captured
    ("payload_at", "u4"),       # offset of the layer-4 payload
    ("ip_at", "u4"),            # offset of the innermost IP header
    ("outer_at", "u4"),         # offset of the outermost IP header, where tunnel != 0 and there is one, else 0
    ("l4_at", "u4"),
    ("ack", "u4"),
    ("tunnel_id", "u4"),        # TEID, VNI, GRE key, PPPoE session or MPLS label, of the innermost tunnel
    ("fragment_id", "u4"),
    ("source_port", "u2"), ("target_port", "u2"),
    ("vlan", "u2"), ("inner_vlan", "u2"),
    ("tunnel", "u2"),           # bit i set: TUNNELS[i]
    ("mss", "u2"),              # from the SYN's options, 0 where absent
    ("interface", "u2"),
    ("icmp_type", "u1"), ("icmp_code", "u1"),
]))
assert FRAME.itemsize == 32 and PACKET.itemsize == 128, (FRAME.itemsize, PACKET.itemsize)

#: Why a frame is no packet of any flow. The index is PACKET.status; order is a contract with the counters.
REFUSALS = (
    "decoded",
    "truncated_link",       # fewer bytes than the link header
    "truncated_ip",         # fewer bytes than the IP header says
    "bad_ip",               # version, header length or total length impossible
    "truncated_transport",  # TCP, UDP, ... header cut
    "bad_transport",        # data offset or length impossible
    "not_ip",               # ARP, LLDP, STP, ... : frames without IP
    "unknown_link",         # link type that is not read
    "too_deep",             # more layers than MAX_LAYERS or MAX_TUNNELS
    "not_data",             # 802.11 management, control, encrypted or null frames
)
