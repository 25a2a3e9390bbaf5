"""Calls: SIP with RTP from sipp, STUN and TURN from coturn."""

from __future__ import annotations

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network, address

CALLER = """<?xml version="1.0" encoding="ISO-8859-1"?>
<scenario name="a call with sound">
<send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: alice <sip:alice@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: sip:alice@[local_ip]:[local_port]
Max-Forwards: 70
User-Agent: sipp
Content-Type: application/sdp
Content-Length: [len]

v=0
o=alice 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[local_ip_type] [local_ip]
t=0 0
m=audio [auto_media_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-11,16
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200" rtd="true"/>
<send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: alice <sip:alice@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Contact: sip:alice@[local_ip]:[local_port]
Max-Forwards: 70
Content-Length: 0
]]></send>
<nop><action><exec play_pcap_audio="/usr/share/sip-tester/g711a.pcap"/></action></nop>
<pause milliseconds="LENGTH"/>
<nop><action><exec play_pcap_audio="/usr/share/sip-tester/dtmf_2833_1.pcap"/></action></nop>
<pause milliseconds="1000"/>
<send retrans="500"><![CDATA[
BYE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: alice <sip:alice@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0
]]></send>
<recv response="200" crlf="true"/>
</scenario>
"""


def answerer(net: Network) -> None:
    """Start a sipp that takes calls and echoes their sound."""
    net.start("server", ["sipp", "-sn", "uas", "-i", SERVER, "-mi", SERVER, "-p", "5060", "-rtp_echo", "-nostdin"], udp=5060)


def call(net: Network, host: str, user: int, milliseconds: int, port: int = 5060) -> list[str]:
    """The command line of one call from `host`; `milliseconds` of sound."""
    scenario = net.folder / f"call{milliseconds}.xml"
    scenario.write_text(CALLER.replace("LENGTH", str(milliseconds)))
    return [
        "sipp",
        "-sf",
        str(scenario),
        "-i",
        address(user),
        "-mi",
        address(user),
        "-p",
        str(port),
        "-s",
        "bob",
        "-m",
        "1",
        "-nostdin",
        "-timeout",
        "40",
        f"{SERVER}:5060",
    ]


@capture("sip-rtp", "sip-tester", "SIP over UDP: a call with two seconds of G.711 in both directions (the answerer echoes) and a DTMF event")
def sip(net: Network) -> None:
    """A short call."""
    answerer(net)
    net.capture()
    net.run("client", call(net, "client", 0, 2000), seconds=40)


@capture("sip-tcp", "sip-tester", "SIP over TCP: three calls set up and ended, no sound")
def over_tcp(net: Network) -> None:
    """Calls over TCP."""
    net.start("server", ["sipp", "-sn", "uas", "-i", SERVER, "-p", "5060", "-t", "t1", "-nostdin"], tcp=5060)
    net.capture()
    net.run(
        "client",
        [
            "sipp",
            "-sn",
            "uac",
            "-i",
            address(0),
            "-p",
            "5060",
            "-t",
            "t1",
            "-d",
            "200",
            "-m",
            "3",
            "-r",
            "2",
            "-nostdin",
            "-timeout",
            "30",
            f"{SERVER}:5060",
        ],
        seconds=40,
    )


@capture("stun-turn", "coturn", "STUN binding, then TURN: allocation with a long-term password, permission, channel data, echoed by a peer")
def turn(net: Network) -> None:
    """A relay."""
    net.start(
        "server",
        [
            "turnserver",
            "-n",
            "-L",
            SERVER,
            "-E",
            SERVER,
            "-p",
            "3478",
            "-a",
            "-u",
            "alice:secret",
            "-r",
            "example.com",
            "--no-tls",
            "--no-dtls",
            "--no-cli",
            "--allow-loopback-peers",
            "-l",
            "stdout",
            "--pidfile",
            net.folder / "turn.pid",
            "-b",
            net.folder / "turn.db",
            "-m",
            "1",
        ],
        udp=3478,
    )
    net.start("server", ["turnutils_peer", "-L", SERVER, "-p", "3480"], udp=3480)
    net.capture()
    net.run("client", ["turnutils_stunclient", "-L", address(0), "-p", "3478", SERVER])
    net.run(
        "client",
        [
            "turnutils_uclient",
            "-L",
            address(0),
            "-u",
            "alice",
            "-w",
            "secret",
            "-e",
            SERVER,
            "-r",
            "3480",
            "-n",
            "5",
            "-m",
            "1",
            "-l",
            "120",
            "-c",
            SERVER,
        ],
        seconds=40,
        check=False,
    )
