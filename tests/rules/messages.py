"""First messages of wire protocols, put together by hand from their specifications: what rules/apps/*.toml must know, and by which name."""
from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """One first message. `name` is the protocol's, or the application's where the rule names one."""
    name: str
    transport: str              # tcp, udp
    side: str                   # client, server
    port: int                   # the server's port
    data: bytes


def _hex(text: str) -> bytes:
    return bytes.fromhex(text.replace("_", ""))


def _sized(size: int, body: bytes, order: str = "big", add: int = 0) -> bytes:
    return (len(body) + add).to_bytes(size, "little" if order == "little" else "big") + body


def _modbus(body: str) -> bytes:
    return _hex("0001 0000") + _sized(2, _hex(body))


def _tpkt(body: bytes) -> bytes:
    return _hex("0300") + _sized(2, body, add=4)


def _kafka(body: str) -> bytes:
    return _sized(4, _hex(body))


def _mongo(code: int, body: bytes) -> bytes:
    rest = _hex("01000000 00000000") + code.to_bytes(4, "little") + body
    return _sized(4, rest, "little", 4)


def _enip(command: int, body: bytes) -> bytes:
    return command.to_bytes(2, "little") + len(body).to_bytes(2, "little") + bytes(20) + body


def _gtp(first: int, kind: int, body: bytes) -> bytes:
    return bytes((first, kind)) + _sized(2, body)


def _rpc(program: int) -> bytes:
    return _hex("12345678 00000000 00000002") + program.to_bytes(4, "big") + _hex("00000003 00000000") + bytes(16)


_DISCOVERY = bytes(97)      # Ethereum: hash and signature come first
_RAKNET = _hex("00ffff00fefefefefdfdfdfd12345678")
_MYSQL = b"\x0a8.0.36\0" + bytes(4) + b"saltsalt\0" + bytes(40)

MESSAGES = (
    # routing
    Message("BGP", "tcp", "client", 179, b"\xff" * 16 + _hex("001d 01 04 fde8 00b4 0a000001 00")),
    Message("BFD", "udp", "client", 3784, _hex("20 40 03 18 00000001 00000000 000f4240 000f4240 00000000")),
    Message("LDP", "udp", "client", 646, _hex("0001 001e 0a000001 0000 0100 0014 00000001 0400 0004 000f 0000 0401 0004 0a000001")),
    Message("HSRP", "udp", "client", 1985, _hex("00 00 10 03 0a 64 01 00 636973636f000000 0a000001")),
    Message("RIP", "udp", "client", 520, _hex("02 02 0000 0002 0000 0a000000 ff000000 00000000 00000001")),
    Message("L2TP", "udp", "client", 1701, _hex("c802 0014 0000 0000 0000 0000 8008 0000 0000 0001")),
    Message("VXLAN", "udp", "client", 4789, _hex("08000000 00007b00") + bytes(40)),
    Message("DLEP", "udp", "client", 854, b"DLEP" + _hex("0001 0000")),
    # infrastructure
    Message("DHCPV6", "udp", "client", 547, _hex("01 abcdef 0001 000a 0003 0001 001122334455")),
    Message("NAT-PMP", "udp", "client", 5351, _hex("0000")),
    Message("PCP", "udp", "client", 5351, _hex("02 01 0000 00001c20") + bytes(16) + bytes(36)),
    Message("Service_Location_Protocol", "udp", "client", 427, _hex("02 01 000018 2000 000000 0001 0002 656e") + bytes(8)),
    Message("Syslog", "udp", "client", 514, b"<34>Oct 11 22:14:15 host su: failed"),
    Message("Syslog", "udp", "client", 40000, b"<165>1 2003-10-11T22:14:15.003Z host app - ID47 - text"),
    Message("Syslog", "tcp", "client", 514, b"83 <34>1 2003-10-11T22:14:15.003Z host app - ID47 - text"),
    Message("PTPv2", "udp", "client", 319, _hex("00 02 002c") + bytes(40)),
    Message("NetFlow", "udp", "client", 2055, _hex("0005 0001") + bytes(68)),
    Message("NetFlow", "udp", "client", 4739, _hex("000a 0020") + bytes(28)),
    Message("sFlow", "udp", "client", 6343, _hex("00000005 00000001 0a000001") + bytes(20)),
    Message("NFS", "udp", "client", 2049, _rpc(100003)),
    Message("RPC", "udp", "client", 111, _rpc(100000)),
    Message("DCERPC", "tcp", "client", 49664, _hex("05 00 0b 03 10000000 4800 0000 01000000") + bytes(56)),
    Message("RMCP", "udp", "client", 623, _hex("06 00 ff 07") + bytes(14)),
    Message("TACACS+", "tcp", "client", 49, _hex("c0 01 01 00 12345678 00000010") + bytes(16)),
    Message("CAPWAP", "udp", "client", 5246, _hex("00 10 02 00 00000000 00000001 00 0010 00") + bytes(12)),
    Message("OpenFlow", "tcp", "client", 6653, _hex("04 00 0008 00000001")),
    Message("Teredo", "udp", "client", 3544, _hex("60000000 0008 3a ff fe80") + bytes(14) + _hex("ff02") + bytes(14) + bytes(8)),
    Message("WSD", "udp", "client", 3702, b'<?xml version="1.0"?><soap:Envelope xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">'),
    Message("Roughtime", "udp", "client", 2002, _hex("02000000 40000000 4e4f4e43 504144ff") + bytes(1008)),
    Message("collectd", "udp", "client", 25826, _hex("0000 0009") + b"host\0" + _hex("0008 000c 0000000000000001")),
    Message("Zabbix", "tcp", "client", 10051, b"ZBXD\x01" + bytes(8) + b"{}"),
    Message("Munin", "tcp", "server", 4949, b"# munin node at host\n"),
    Message("AMQP", "tcp", "client", 5672, b"AMQP\0\0\x09\x01"),
    Message("Nats", "tcp", "server", 4222, b'INFO {"server_id":"NA","version":"2.10"}\r\n'),
    Message("STOMP", "tcp", "client", 61613, b"CONNECT\naccept-version:1.2\n\n\0"),
    Message("ZeroMQ", "tcp", "client", 5555, _hex("ff0000000000000001 7f 03 00") + b"NULL" + bytes(48)),
    Message("OpenWire", "tcp", "client", 61616, _hex("0000000e 01") + b"ActiveMQ" + _hex("0000000c")),
    Message("Kafka", "tcp", "client", 9092, _kafka("0012 0003 00000001 0004 74657374 00")),
    Message("Thrift", "tcp", "client", 9090, _hex("80010001 00000004 70696e67 00000001 00")),
    Message("FastCGI", "tcp", "client", 9001, _hex("01 01 0001 0008 00 00 0001 00 0000000000")),
    Message("AJP", "tcp", "client", 8009, _hex("1234 0006 02 02 00000000")),
    Message("Gearman", "tcp", "client", 4730, b"\0REQ" + _hex("00000010 00000000")),
    Message("Corba", "tcp", "client", 683, b"GIOP" + _hex("01 02 00 00 00000000")),
    Message("JRMI", "tcp", "client", 1099, b"JRMI" + _hex("0002 4b")),
    Message("HAProxy", "tcp", "client", 8080, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
    # databases
    Message("Cassandra", "tcp", "client", 9042, _hex("04 00 0000 05 00000000")),
    Message("ClickHouse", "tcp", "client", 9000, b"\0\x11ClickHouse client\x15"),
    Message("DRDA", "tcp", "client", 50000, _hex("000e d0 01 0001 0008 1041 0004 115e")),
    Message("Elasticsearch", "tcp", "client", 9300, b"ES" + _hex("00000013 0000000000000001 00 007a1213") + bytes(6)),
    Message("Memcached", "tcp", "client", 11211, b"get key\r\n"),
    Message("MongoDB", "tcp", "client", 27017, _mongo(2013, bytes(4) + b"\0" + bytes(20))),
    Message("MsSQL-TDS", "tcp", "client", 1433, _hex("12 01 0014 0000 00 00 00 000b 0006 ff 000000000000 0000")),
    Message("MySQL", "tcp", "server", 3306, len(_MYSQL).to_bytes(3, "little") + b"\0" + _MYSQL),
    Message("Oracle", "tcp", "client", 1521, _hex("003a 0000 01 00 0000 0138 012c") + bytes(46)),
    Message("PostgreSQL", "tcp", "client", 5432, _hex("00000008 04d2162f")),
    Message("PostgreSQL", "tcp", "client", 6000, _hex("00000014 00030000") + b"user\0bob\0\0\0\0"),
    Message("RESP", "tcp", "client", 7000, b"*1\r\n$4\r\nPING\r\n"),
    Message("Neo4j", "tcp", "client", 7687, _hex("6060b017") + bytes(16)),
    Message("Z3950", "tcp", "client", 210, _hex("b4 10 83 02 00e0 84 02 00c0 85 02 2000 86 02 2000")),
    Message("HL7", "tcp", "client", 2575, b"\x0bMSH|^~\\&|A|B\r\x1c\r"),
    Message("FIX", "tcp", "client", 9878, b"8=FIX.4.2\x019=65\x0135=A\x01"),
    # files
    Message("Git", "tcp", "client", 9418, b"0033git-upload-pack /project.git\0host=example.com\0"),
    Message("Git", "tcp", "client", 9418, b"0035"),
    Message("SVN", "tcp", "server", 3690, b"( success ( 2 2 ( ) ( edit-pipeline ) ) ) "),
    Message("RSYNC", "tcp", "server", 873, b"@RSYNCD: 31.0\n"),
    Message("TFTP", "udp", "client", 69, b"\0\x01boot.img\0octet\0"),
    Message("TFTP", "udp", "client", 50000, b"\0\x03\0\x01" + bytes(512)),
    Message("AFP", "tcp", "client", 548, _hex("00 03 0001 00000000 00000002 00000000 0f00")),
    Message("iSCSI", "tcp", "client", 3260, _hex("43 87 00 00 00 000000") + bytes(40)),
    Message("NBD", "tcp", "server", 10809, b"NBDMAGICIHAVEOPT"),
    Message("9P", "tcp", "client", 564, _hex("15000000 64 ffff 00200000 0800") + b"9P2000.L"),
    Message("RX", "udp", "client", 7003, _hex("50000000 00000001 00000001 00000001 00000001 01 05 00 00 0000 0034") + bytes(8)),
    Message("JetDirect", "tcp", "client", 9100, b"\x1b%-12345X@PJL\r\n"),
    # remote access
    Message("Telnet", "tcp", "server", 23, _hex("fffd18 fffd20")),
    Message("VNC", "tcp", "server", 5900, b"RFB 003.008\n"),
    Message("X11", "tcp", "client", 6000, _hex("6c00 0b00 0000 0000 0000 0000")),
    Message("XDMCP", "udp", "client", 177, _hex("0001 0002 0001 00")),
    Message("Citrix", "tcp", "server", 1494, _hex("7f7f494341007f7f49434100")),
    # industry
    Message("Modbus", "tcp", "client", 502, _modbus("01 03 0000 000a")),
    Message("UMAS", "tcp", "client", 502, _modbus("00 5a 00 02")),
    Message("S7Comm", "tcp", "client", 102, _hex("03000016 11 e0 0000 0001 00 c1020100 c2020102 c0010a")
            + _tpkt(_hex("02f080 32 01 0000 0000 0008 0000 f0 00 0001 0001 01e0"))),
    Message("S7Comm", "tcp", "client", 102, _hex("03000016 11 e0 0000 0001 00 c1020100 c2020102 c0010a")),
    Message("ISO9506-1-MMS", "tcp", "client", 102, _hex("03000016 11 e0 0000 0001 00 c0010d c1020000 c2020001")),
    Message("EthernetIP", "tcp", "client", 44818, _enip(0x65, _hex("0100 0000"))),
    Message("EthernetIP", "udp", "client", 44818, _enip(0x63, b"")),
    Message("CIP", "udp", "client", 2222, _hex("0200 0280 0800 01000000 01000000 b100 0400 01000000")),
    Message("DNP3", "tcp", "client", 20000, _hex("0564 05 c0 0100 0000 0421")),
    Message("IEC60870", "tcp", "client", 2404, _hex("68 04 07 00 00 00")),
    Message("IEC62056", "tcp", "client", 4059, _hex("0001 0010 0001 0004 c0010000")),
    Message("BACnet", "udp", "client", 47808, _hex("81 0b 000c 01 20 ffff 00 ff 10 08")),
    Message("OPC-UA", "tcp", "client", 4840, b"HELF" + (32).to_bytes(4, "little") + bytes(24)),
    Message("FINS", "udp", "client", 9600, _hex("80 00 02 00 01 00 00 02 00 00 0101 82 0000 00 0001")),
    Message("MELSEC", "tcp", "client", 5007, _hex("5000 00 ff ff03 00 0c00 1000 0104 0000 000000 a8 0100")),
    Message("BeckhoffADS", "tcp", "client", 48898, _hex("0000") + _sized(4, _hex("0a0000010101 5303 0a0000020101 0180 0200 0400") + bytes(12),
                                                                                                  "little")),
    Message("Ether-S-Bus", "udp", "client", 5050, _hex("0000000e 01 00 0001 00 00 14 0a 0000")),
    Message("EtherSIO", "udp", "client", 6060, b"ESIO" + bytes(12)),
    Message("EthernetGlobalData", "udp", "client", 18246, _hex("0d 01 0000") + bytes(28)),
    Message("HART-IP", "udp", "client", 5094, _hex("01 00 00 00 0001 000d 01 0000ea60")),
    Message("KNXnet_IP", "udp", "client", 3671, _hex("06 10 0201 000e 08 01 0a000001 0e57")),
    Message("IEEE-C37118", "tcp", "client", 4712, _hex("aa 41 0012 0001 00000000 00000000 0005 0000")),
    Message("ATG", "tcp", "client", 10001, b"\x01I20100\r\n"),
    Message("NiagaraFox", "tcp", "client", 1911, b"fox a 1 -1 fox hello\n{\n"),
    Message("TRDP", "udp", "client", 17224, _hex("00000001 0100 5064 000003e8") + bytes(28)),
    Message("SOMEIP", "udp", "client", 30490, _hex("ffff8100 00000010 00000001 01 01 02 00") + bytes(8)),
    Message("DoIP", "udp", "client", 13400, _hex("02 fd 0001 00000000")),
    Message("RTPS", "udp", "client", 7400, b"RTPS\x02\x03" + bytes(14)),
    Message("HiSLIP", "tcp", "client", 4880, b"HS" + _hex("00 00 0100 5858 0000000000000007") + b"hislip0"),
    Message("COAP", "udp", "client", 5683, _hex("40 01 1234 bb") + b".well-known"),
    Message("TuyaLP", "udp", "client", 6667, _hex("000055aa 00000000 00000013 0000000c 00000000 00000000 0000aa55")),
    Message("TPLINK_SHP", "udp", "client", 9999, _hex("d0f281f88bff9af7d5ef94b6")),
    # telecommunication, voice, streams
    Message("GTP_U", "udp", "client", 2152, _gtp(0x30, 0xFF, bytes(4) + bytes(24))[:2] + _hex("0018") + bytes(28)),
    Message("GTP_C", "udp", "client", 2123, _gtp(0x48, 0x20, bytes(8) + bytes(20))),
    Message("GTP_PRIME", "udp", "client", 3386, _hex("4f 01 0000 0001")),
    Message("PFCP", "udp", "client", 8805, _gtp(0x20, 5, bytes(4) + bytes(14))),
    Message("Diameter", "tcp", "client", 3868, _hex("01 000014 80 000101 00000000 00000001 00000002")),
    Message("SMPP", "tcp", "client", 2775, _hex("00000017 00000009 00000000 00000001 6100 6200 00 34 00 00 00")),
    Message("H323", "tcp", "client", 1720, _tpkt(_hex("08 02 0001 05 04 03 8893a5"))),
    Message("MGCP", "udp", "client", 2427, b"AUEP 1 aaln/1@gw.example.net MGCP 1.0\r\n"),
    Message("Megaco", "udp", "client", 2944, b"MEGACO/1 [192.0.2.1]:2944\n"),
    Message("CiscoSkinny", "tcp", "client", 2000, _hex("04000000 00000000 00000000")),
    Message("IAX", "udp", "client", 4569, _hex("8001 0000 00000000 00 00 06 01 0b02 0002")),
    Message("RTSP", "tcp", "client", 554, b"DESCRIBE rtsp://192.0.2.1/a RTSP/1.0\r\n"),
    Message("RTMP", "tcp", "client", 1935, b"\x03" + bytes(8) + bytes(range(256)) * 6),
    Message("MPEG_TS", "udp", "client", 1234, (b"\x47" + bytes(187)) * 7),
    Message("IRC", "tcp", "client", 6667, b"NICK bob\r\nUSER bob 0 * :Bob\r\n"),
    Message("PPTP", "tcp", "client", 1723, _hex("009c 0001 1a2b3c4d 0001 0000") + bytes(144)),
    Message("TeamSpeak", "udp", "client", 9987, b"TS3INIT1" + bytes(26)),
    Message("Discord", "udp", "client", 50001, _hex("0001 0046 00000001") + bytes(66)),
    # peers, games, messages
    Message("BITCOIN", "tcp", "client", 8333, _hex("f9beb4d9") + b"version\0\0\0\0\0" + bytes(8)),
    Message("ETHEREUM", "udp", "client", 30303, _DISCOVERY + _hex("01 dd 04 cb 84 7f000001 82 765f 82 765f c9 84 7f000001 82 765f 80 84 60000000")),
    Message("ETHEREUM", "udp", "client", 30303, _DISCOVERY + _hex("03 f847 b840") + bytes(64) + _hex("84 60000000")),
    Message("Monero", "tcp", "client", 18080, _hex("0121010101010101") + bytes(25)),
    Message("Mining", "tcp", "client", 3333, b'{"id": 1, "method": "mining.subscribe", "params": []}\n'),
    Message("eDonkey", "tcp", "client", 4662, b"\xe3" + _sized(4, _hex("01 10") + bytes(40), "little")),
    Message("Gnutella", "tcp", "client", 6346, b"GNUTELLA CONNECT/0.6\r\n"),
    Message("Syncthing", "udp", "client", 21027, _hex("2ea7d90b") + bytes(40)),
    Message("RakNet", "udp", "client", 19132, b"\x01" + bytes(8) + _RAKNET + bytes(8)),
    Message("RakNet", "udp", "client", 19132, b"\x05" + _RAKNET + b"\x0b" + bytes(1000)),
    Message("Source_Engine", "udp", "client", 27015, b"\xff\xff\xff\xffTSource Engine Query\0"),
    Message("Steam", "udp", "client", 27017, b"VS01" + bytes(32)),
    Message("Yojimbo", "udp", "client", 40000, b"\0NETCODE 1.02\0" + bytes(64)),
    Message("WorldOfWarcraft", "tcp", "client", 3724, b"\0\x08\x1e\0WoW\0\x03\x03\x05" + bytes(20)),
    Message("Spotify", "udp", "client", 57621, b"SpotUdp0" + bytes(36)),
    Message("Dropbox", "udp", "client", 17500, b'{"host_int": 123, "version": [2, 0], "displayname": "", "port": 17500}'),
    Message("WhatsApp", "tcp", "client", 443, b"WA\x06\x03" + bytes(40)),
    Message("Telegram", "tcp", "client", 443, _hex("eeeeeeee") + bytes(40)),
    Message("OICQ", "udp", "client", 8000, _hex("02 3649 0826 1234 0001e240") + bytes(30) + b"\x03"),
    Message("Tailscale", "udp", "client", 41641, b"TS\xf0\x9f\x92\xac" + bytes(60)),
    Message("KCP", "udp", "client", 40000, _hex("11223344 51 00 8000 00000001 00000000 00000000 04000000 abcdef01")),
    Message("BJNP", "udp", "client", 8611, b"BJNP" + bytes(12)),
)
