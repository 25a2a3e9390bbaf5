"""Running a network: SNMP, NTP, syslog, RADIUS, LDAP."""

from __future__ import annotations

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network


@capture(
    "snmp", "snmpd snmp", "SNMP versions 1, 2c (get, getnext, getbulk) and 3 (discovery, authenticated and encrypted), and a trap nobody answers"
)
def snmp(net: Network) -> None:
    """Questions to an agent."""
    config = net.folder / "snmpd.conf"
    config.write_text(
        f"agentAddress udp:{SERVER}:161\nrocommunity public 192.0.2.0/24\nsysName office\nsysLocation a cupboard\ncreateUser alice SHA "
        f"longsecret AES longsecret\nrouser alice priv\n"
    )
    state = f"SNMP_PERSISTENT_DIR={net.folder}/snmp"
    net.start("server", ["env", state, "snmpd", "-f", "-Lo", "-C", "-c", config, "-p", net.folder / "snmpd.pid"], udp=161)
    net.capture()
    name = "1.3.6.1.2.1.1"
    net.run("client", ["snmpget", "-v1", "-c", "public", SERVER, f"{name}.5.0"])
    net.run("client", ["snmpwalk", "-v2c", "-c", "public", SERVER, f"{name}"])
    net.run("client", ["snmpbulkget", "-v2c", "-c", "public", SERVER, "1.3.6.1.2.1.2.2"])
    net.run(
        "client",
        [
            "env",
            state,
            "snmpget",
            "-v3",
            "-u",
            "alice",
            "-l",
            "authPriv",
            "-a",
            "SHA",
            "-A",
            "longsecret",
            "-x",
            "AES",
            "-X",
            "longsecret",
            SERVER,
            f"{name}.6.0",
        ],
    )
    net.run("client", ["snmptrap", "-v2c", "-c", "public", SERVER, "", "1.3.6.1.6.3.1.1.5.3"])


def chronyd(net: Network) -> None:
    """Start chronyd as a server that leaves the machine's clock alone."""
    config = net.folder / "chrony.conf"
    config.write_text(f"local stratum 8\nallow 192.0.2.0/24\nbindaddress {SERVER}\ncmdport 0\npidfile {net.folder}/chronyd.pid\nbindcmdaddress /\n")
    net.start("server", ["chronyd", "-d", "-x", "-u", "root", "-f", config], udp=123)


@capture("ntp", "chrony ntpsec-ntpdig", "NTP: chrony asks a chrony server (burst), then an SNTP client does; no clock is set")
def ntp(net: Network) -> None:
    """The time of day."""
    chronyd(net)
    net.run("server", ["sleep", "2"])
    net.capture()
    net.run(
        "client",
        [
            "chronyd",
            "-Q",
            "-t",
            "12",
            "-u",
            "root",
            f"server {SERVER} iburst maxsamples 4",
            f"pidfile {net.folder}/client.pid",
            "cmdport 0",
            "bindcmdaddress /",
        ],
        check=False,
    )
    net.run("client", ["ntpdig", SERVER])


@capture("syslog", "rsyslog bsdutils", "syslog: RFC 3164 and RFC 5424 messages over UDP, octet-counted and line-framed ones over TCP")
def syslog(net: Network) -> None:
    """Logs sent away."""
    config = net.folder / "rsyslog.conf"
    config.write_text(
        'module(load="imudp")\nmodule(load="imtcp")\n'
        f'input(type="imudp" address="{SERVER}" port="514")\ninput(type="imtcp" address="{SERVER}" port="514")\n'
        f"*.* {net.folder}/messages\n"
    )
    net.start("server", ["rsyslogd", "-n", "-f", config, "-i", net.folder / "rsyslog.pid"], tcp=514)
    net.capture()
    line = ["logger", "-n", SERVER, "-P", "514", "-t", "office"]
    for more in (["-d", "--rfc3164"], ["-d", "--rfc5424"], ["-T", "--rfc5424", "--octet-count"], ["-T", "--rfc3164"]):
        net.run("client", [*line, *more, "the door was opened"])


def freeradius(net: Network) -> None:
    """Start freeradius for authentication and accounting; its clients are in 192.0.2.0/24."""
    folder = net.folder / "radius"
    folder.mkdir()
    (folder / "dictionary").write_text("$INCLUDE /usr/share/freeradius/dictionary\n")
    (folder / "users").write_text('alice Cleartext-Password := "secret"\n\tFramed-IP-Address = 192.0.2.10,\n\tSession-Timeout = 3600\n')
    (folder / "radiusd.conf").write_text(
        f"prefix = /usr\nname = freeradius\nraddbdir = {folder}\nlogdir = {folder}\nrun_dir = {folder}\nlibdir = /usr/lib/freeradius\n"
        f"pidfile = {folder}/pid\nmax_request_time = 30\n"
        "security {\n max_attributes = 200\n}\nclient office {\n ipaddr = 192.0.2.0/24\n secret = testing123\n}\nthread pool "
        "{\n start_servers = 1\n max_servers = 2\n min_spare_servers = 1\n"
        f" max_spare_servers = 1\n}}\nmodules {{\n pap {{\n }}\n files {{\n  filename = {folder}/users\n }}\n always ok {{\n  rcode = ok\n }}\n}}\n"
        f"server default {{\n listen {{\n  type = auth\n  ipaddr = {SERVER}\n  port = 1812\n }}\n listen {{\n  type = acct\n  ipaddr = "
        f"{SERVER}\n  port = 1813\n }}\n"
        " authorize {\n  files\n  pap\n }\n authenticate {\n  Auth-Type PAP {\n   pap\n  }\n }\n accounting {\n  ok\n }\n}\n"
    )
    net.start("server", ["freeradius", "-f", "-l", "stdout", "-d", folder], udp=1813)


@capture(
    "radius",
    "freeradius freeradius-utils",
    "RADIUS: Access-Request accepted and rejected (PAP), accounting start and stop for a subscriber with Framed-IP-Address",
)
def radius(net: Network) -> None:
    """Who may come in, and who is here."""
    freeradius(net)
    net.capture()
    for password in ("secret", "wrong"):
        net.run(
            "client",
            ["radclient", "-x", f"{SERVER}:1812", "auth", "testing123"],
            stdin=f"User-Name=alice,User-Password={password},NAS-IP-Address=192.0.2.10,NAS-Port=1\n",
            check=False,
        )
    for what in ("Start", "Stop"):
        net.run(
            "client",
            ["radclient", "-x", f"{SERVER}:1813", "acct", "testing123"],
            stdin=f"Acct-Status-Type={what},User-Name=alice,Acct-Session-Id=0001,Framed-IP-Address=192.0.2.10,NAS-IP-Address=192.0.2.10,Calling-Station-Id=02-00-00-00-01-0a\n",
        )


@capture("ldap", "slapd ldap-utils", "LDAP version 3: a simple bind, two entries added, searches, a failed bind")
def ldap(net: Network) -> None:
    """A directory."""
    folder = net.folder / "ldap"
    folder.mkdir()
    config = folder / "slapd.conf"
    config.write_text(
        "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\ndatabase mdb\nsuffix dc=example,dc=com\n"
        "rootdn cn=admin,dc=example,dc=com\n"
        f"rootpw secret\ndirectory {folder}\npidfile {folder}/pid\n"
    )
    net.start("server", ["slapd", "-d", "0", "-h", f"ldap://{SERVER}", "-f", config], tcp=389)
    net.capture()
    line = ["-x", "-H", f"ldap://{SERVER}", "-D", "cn=admin,dc=example,dc=com", "-w"]
    entries = (
        "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\no: office\ndc: example\n\n"
        "dn: cn=alice,dc=example,dc=com\nobjectClass: person\ncn: alice\nsn: example\n"
    )
    net.run("client", ["ldapadd", *line, "secret"], stdin=entries)
    net.run("client", ["ldapsearch", *line, "secret", "-b", "dc=example,dc=com", "(cn=alice)"])
    net.run("client", ["ldapsearch", *line, "wrong", "-b", "dc=example,dc=com"], check=False)
