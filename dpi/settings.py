"""Settings of each component: defaults, then a TOML file, then FULLSPAN_* of the environment. Frozen once loaded.

The file is the one named, else $FULLSPAN_CONFIG, else ./fullspan.toml, else none. A section is a table of the file; in the environment
`FULLSPAN_FLOW_IDLE_TCP=120` sets `idle_tcp` of `[flow]`. An unknown name, a wrong kind or a value out of bounds is one UserError.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Any

from dpi.dataclass import dataclass
from dpi.errors import UserError

_RESERVED = ("FULLSPAN_CONFIG", "FULLSPAN_CACHE", "FULLSPAN_JIT")


def _value(default: Any, words: str, least: int | None = None, most: int | None = None, among: tuple[str, ...] = (), live: bool = False,
           shown: bool = True) -> Any:
    """live: SIGHUP changes it in a probe that runs; others need a restart. shown: not in the repr where False, for it may hold a secret."""
    return field(default=default, repr=shown, metadata={"words": words, "least": least, "most": most, "among": among, "live": live})


@dataclass(frozen=True)
class Flow:
    """The flow table and the inspection of first bytes."""
    max_flows: int = _value(1 << 20, "flows held at once; beyond, the least useful is evicted and counted", 1024, 1 << 27)
    idle_tcp: int = _value(300, "seconds without a packet after which an established TCP flow ends", 1, 86400, live=True)
    idle_half_open: int = _value(30, "seconds for a TCP flow whose handshake did not end", 1, 86400, live=True)
    idle_closed: int = _value(5, "seconds a closed TCP flow is kept for late segments", 0, 3600, live=True)
    idle_udp: int = _value(120, "seconds without a packet after which a UDP flow ends", 1, 86400, live=True)
    idle_other: int = _value(60, "seconds without a packet after which any other flow ends", 1, 86400, live=True)
    key_vlan: int = _value(1, "1: VLAN ids are part of a flow's key; 0: they are not, for links where the two directions have different VLANs", 0, 1)
    inspect: int = _value(1, "1: first bytes are looked at; 0: flows are only counted, and named by networks and ports", 0, 1, live=True)


@dataclass(frozen=True)
class Store:
    """Where rows are kept."""
    url: str = _value("chdb:///fullspan.chdb", "chdb:///path (a bare name: in the working directory), clickhouse://user@host:9000/database or none")
    max_mb: int = _value(0, "MB of rows that an embedded store keeps; beyond, the oldest go: flows and messages first, then rollups and coverage; 0: no limit",
                         0, 1 << 30, live=True)


@dataclass(frozen=True)
class Retention:
    """Days that rows are kept, counted from when they were stored; 0: no limit. A probe keeps its store to them. See docs/privacy.md."""
    flows: int = _value(180, "days of rows of flows and sessions", 0, 36500, live=True)
    unbound_flows: int = _value(30, "days of rows of flows in which no side is bound to a service, where there are bindings", 0, 36500, live=True)
    messages: int = _value(30, "days of rows of dns, tls, http and files", 0, 36500, live=True)
    usage: int = _value(730, "days of usage, rollups and coverage", 0, 36500, live=True)
    audit: int = _value(1825, "days of audit rows", 0, 36500, live=True)
    replays: int = _value(0, "1: a replay keeps its store to them as well, once its rows are in; 0: what was replayed stays", 0, 1)


@dataclass(frozen=True)
class Report:
    """What people see."""
    lang: str = _value("en", "language of the report: en or zh", among=("en", "zh"), live=True)
    timezone: str = _value("UTC", "time zone of named reports: their days, weeks and months, and the times they show; such as Asia/Shanghai", live=True)
    mask: int = _value(1, "1: addresses inside of names are masked in named reports; 0: they are shown", 0, 1, live=True)


@dataclass(frozen=True)
class Rules:
    """Rule files beside those that come with Fullspan."""
    directory: str = _value("", "directory of further rule files", live=True)


@dataclass(frozen=True)
class Probe:
    """The daemon that reads interfaces."""
    name: str = _value("", "what its rows say in `probe`; empty: the host's name")
    interfaces: str = _value("", "interfaces to read, separated by commas")
    filter: str = _value("", "only packets that match, in tcpdump's language; the kernel leaves out the others", live=True)
    workers: int = _value(1, "threads for each interface, which share its packets by conversation", 1, 64)
    cores: str = _value("", "processors that workers keep to, one each in turn, as in 2,3 or 2-5; empty: wherever the system puts them")
    ring_mb: int = _value(64, "MB of packets that may wait, for each worker", 2, 4096)
    promiscuous: int = _value(1, "1: frames for other machines are read as well, as a mirrored port needs", 0, 1)
    dedup: int = _value(0, "1: what a mirror sent twice on one interface within 50 ms is counted as a duplicate, and is in no flow", 0, 1)
    listen: str = _value("127.0.0.1:9470", "address:port of /metrics, /healthz and /readyz; empty: none")
    answer_port: int = _value(0, "port on 127.0.0.1 at which it answers questions where its store is an embedded one (ClickHouse over HTTP, read-only), as "
                                 "Grafana needs it; 0: any that is free", 0, 65535)
    log: str = _value("logfmt", "form of a log's line", among=("logfmt", "json"), live=True)
    flush_seconds: int = _value(10, "seconds that rows wait at most before they are given to the store", 1, 300, live=True)
    row_seconds: int = _value(30, "10, 15, 20, 30 or 60: seconds after which what a flow counted leaves as a row at the latest; a killed probe loses that much",
                              10, 60)
    spool: str = _value("", "directory of rows that wait for the store; empty: beside a chdb store, else fullspan.spool in $STATE_DIRECTORY or here")
    ring_directory: str = _value("", "directory of the packet ring on disk; empty: no packet is kept")
    ring_disk_mb: int = _value(1024, "MB of packets it may hold, of all workers; beyond, the oldest are deleted", 16, 1 << 24)
    ring_seconds: int = _value(86400, "age at which a packet has left it at the latest", 60, 31 * 86400)
    ring_header_bytes: int = _value(256, "bytes of a frame it keeps at most where no case opens content: headers, never more than those", 64, 1024)
    case_file: str = _value("", "file of the cases that open content, read at the start and at SIGHUP; empty: none", live=True)
    spool_mb: int = _value(1024, "MB it may hold; beyond, the newest rows are refused and counted", 16, 1 << 20, live=True)


@dataclass(frozen=True)
class Identity:
    """Whose addresses are."""
    bindings: str = _value("", "bindings file: which service and customer has which prefix, VLAN, MAC address, user; also read anew when it changes", live=True)
    local_networks: str = _value("", "networks on the operator's side, separated by commas", live=True)
    probe: str = _value("", "whose capture a replay reads: what the bindings' metering points are compared with; empty: the probe of the rows", live=True)
    country_database: str = _value("", "MMDB file that says in which country an address is, such as GeoLite2-Country.mmdb", live=True)
    asn_database: str = _value("", "MMDB file that says of which autonomous system an address is, such as GeoLite2-ASN.mmdb", live=True)
    learn: str = _value("", "what says who has an address: radius, dhcp, pppoe, separated by commas, or off; empty: all where the bindings name a user, "
                        "circuit or MAC address, else nothing", live=True)
    radius_from: str = _value("", "networks whose RADIUS accounting is believed, separated by commas; empty: everybody's, also what customers forge",
                              live=True)
    dhcp_from: str = _value("", "networks of the DHCP servers and relays whose answers are believed, separated by commas; empty: everybody's, also what "
                            "customers forge", live=True)
    session_seconds: int = _value(604_800, "seconds that who has an address is believed after it was last heard of, where no lease says how long; 0: for ever",
                                  0, 1 << 30, live=True)
    max_sessions: int = _value(1 << 17, "addresses held by somebody that are kept; beyond, the one not heard of the longest is given up and counted",
                               1024, 1 << 24)


@dataclass(frozen=True)
class Usage:
    """What services used, in minutes and hours."""
    compute: int = _value(1, "1: the probe computes usage of closed minutes and hours in its store; 0: it does not (`fullspan usage run` does)", 0, 1)


@dataclass(frozen=True)
class Detect:
    """Attacks and faults. A table `[detect.KIND]` sets options of one detector: docs/detection.md."""
    enabled: int = _value(1, "1: detectors look at the rows that leave; 0: they do not", 0, 1)
    options: str = _value("", "file of detectors' options, a table for each kind; what this file says in [detect.KIND] comes first; empty: none", live=True)
    max_keys: int = _value(1 << 17, "addresses and other keys counted at once, of all detectors; beyond, those that count least make room, and are counted",
                           1024, 1 << 24, live=True)
    quiet: int = _value(300, "seconds without a detection after which an alert is cleared", 10, 86400, live=True)
    cooldown: int = _value(900, "seconds after that in which a further detection opens the same alert again", 0, 86400, live=True)
    ignore_networks: str = _value("", "networks whose addresses are never told as source or target, separated by commas", live=True)
    ignore_ports: str = _value("", "ports about which nothing is told, separated by commas", live=True)
    ignore_kinds: str = _value("", "detectors that tell nothing, separated by commas", live=True)
    maintenance: str = _value("", "times in which nothing is told, BEGIN/END in UTC, or of a part of the network BEGIN/END=NETWORK, separated by commas",
                              live=True)


@dataclass(frozen=True)
class Mail:
    """The server that takes the mail of scheduled reports."""
    host: str = _value("", "its name or address; empty: no mail is sent", live=True)
    port: int = _value(587, "its port", 1, 65535, live=True)
    security: str = _value("starttls", "starttls, tls (from the first byte, port 465) or none", among=("starttls", "tls", "none"), live=True)
    user: str = _value("", "who logs in; empty: nobody does", live=True)
    password_file: str = _value("", "file whose first line is the password, readable by its owner only", live=True)
    ca_file: str = _value("", "certificate authorities (PEM) that the server is checked against; empty: the system's", live=True)
    sender: str = _value("", "address that mail comes from", live=True)
    timeout: int = _value(30, "seconds without an answer", 1, 600, live=True)


@dataclass(frozen=True)
class Ping:
    """Test addresses that the probe pings, day and night."""
    targets: str = _value("", "name=address, or service:ID=address for a service's test address, separated by commas; empty: nothing is pinged", live=True)
    interval: int = _value(10, "seconds from one round to the next", 1, 3600, live=True)
    count: int = _value(3, "requests in a round; a target is down where none is answered", 1, 20, live=True)
    timeout: int = _value(1, "seconds without an answer after which a request is lost", 1, 30, live=True)


@dataclass(frozen=True)
class Link:
    """One table for each link, `[links.NAME]`: what reports need to know of it. Traffic is a link's where `interface` and `probe`, those given, are its own."""
    capacity_bps: int = _value(0, "bits a second it carries in each direction; 0: not given, then there is no utilisation", 0, 1 << 50, live=True)
    role: str = _value("", "what it is: uplink, peering, access or another word", live=True)
    site: str = _value("", "where it is: a dimension of reports", live=True)
    interface: str = _value("", "interface of the probe that sees it (of a capture: its file's name); empty: any", live=True)
    probe: str = _value("", "probe that sees it; empty: any", live=True)


@dataclass(frozen=True)
class Schedule:
    """One table for each report that is made by itself, `[schedules.NAME]`, by `fullspan report run-due` and by the probe."""
    report: str = _value("", "names of reports, separated by commas: links, applications ...", live=True)
    every: str = _value("daily", "daily, weekly, monthly, or five fields as in crontab", live=True)
    at: str = _value("06:00", "time of day of daily, weekly (Monday) and monthly (the 1st) ones, in [report] timezone", live=True)
    period: str = _value("", "what it is of, as for --from: yesterday, last week ...; empty: the day, week or month before", live=True)
    by: str = _value("", "dimension, as for --by; empty: the report's own", live=True)
    format: str = _value("pdf,xlsx", "formats, separated by commas", live=True)
    lang: str = _value("", "en, zh or en,zh; empty: [report] lang", live=True)
    to: str = _value("", "a directory, or mail addresses separated by commas", live=True)


@dataclass(frozen=True)
class AlertReceiver:
    """One table for each receiver of alerts, `[alert.NAME]`. docs/alerts.md says what each type needs."""
    type: str = _value("", "webhook, slack, feishu, dingtalk, wecom, teams, alertmanager, syslog or mail", live=True)
    url: str = _value("", "where alerts go: http or https; of syslog udp://host:port, tcp://host:port or tls://host:port; mail has none",
                      live=True, shown=False)
    url_file: str = _value("", "file whose first line is the address, readable by its owner only: for addresses that hold a token; instead of `url`", live=True)
    secret_file: str = _value("", "file whose first line is the secret that signs, or of Alertmanager user:password or a token; readable by its owner only",
                              live=True)
    ca_file: str = _value("", "certificate authorities (PEM) that the receiver is checked against; empty: the system's", live=True)
    trusted: int = _value(0, "1: addresses and names are sent as they are; 0: they are masked", 0, 1, live=True)
    severity: str = _value("low", "the least severity that is sent", among=("low", "medium", "high", "critical"), live=True)
    kinds: str = _value("", "kinds of alerts that are sent, separated by commas, * and ? as in names of files; empty: all", live=True)
    states: str = _value("", "raised, updated, cleared, those that are sent; empty: all, to chats and mail raised and cleared", live=True)
    language: str = _value("", "en or zh; empty: [report] lang", live=True)
    timeout: int = _value(10, "seconds without an answer", 1, 300, live=True)
    format: str = _value("cef", "of syslog: cef or json", among=("cef", "json"), live=True)
    to: str = _value("", "of mail: addresses, separated by commas", live=True)
    spool_mb: int = _value(16, "MB of alerts that may wait; beyond, the newest are dropped and counted", 1, 1024, live=True)


@dataclass(frozen=True)
class Settings:
    """All sections."""
    flow: Flow = Flow()
    store: Store = Store()
    retention: Retention = Retention()
    report: Report = Report()
    rules: Rules = Rules()
    probe: Probe = Probe()
    identity: Identity = Identity()
    usage: Usage = Usage()
    detect: Detect = Detect()
    mail: Mail = Mail()
    ping: Ping = Ping()
    links: Mapping[str, Link] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    detectors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)        # options by kind, looked at where they are used (dpi/detection.py)
    alert: Mapping[str, AlertReceiver] = field(default_factory=dict)
    origin: str = ""            # the file they came from


_SECTIONS: dict[str, type[Any]] = {"flow": Flow, "store": Store, "retention": Retention, "report": Report, "rules": Rules, "probe": Probe, "identity": Identity,
                                   "usage": Usage, "detect": Detect, "mail": Mail, "ping": Ping}
#: Sections that hold a table for each thing of a kind; only a file has them.
_TABLES: dict[str, type[Any]] = {"links": Link, "schedules": Schedule, "alert": AlertReceiver}

#: Settings that have another place now.
_MOVED = {("store", "max_days"): "flows of [retention]", ("store", "max_days_messages"): "messages of [retention]",
          ("store", "max_days_rollups"): "usage of [retention]"}


def load(path: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. UserError names the file or variable, the name and what would be right."""
    environment = os.environ if environment is None else environment
    asked = path or environment.get("FULLSPAN_CONFIG")
    file = Path(asked) if asked else Path("fullspan.toml")
    given: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    found = bool(asked) or file.is_file()
    tables: dict[str, Any] = {name: {} for name in (*_TABLES, "detectors")}
    if found:
        for section, values in _read(file).items():
            if section in _TABLES and isinstance(values, dict):
                tables[section] = {name: _entry(section, name, entry, str(file)) for name, entry in values.items()}
                continue
            if section not in _SECTIONS or not isinstance(values, dict):
                raise UserError(f"unknown section [{section}]", str(file), f"sections are {', '.join((*_SECTIONS, *_TABLES))}")
            for name, value in values.items():
                if section == "detect" and isinstance(value, dict):
                    tables["detectors"][name] = value
                    continue
                given[section][name] = _checked(section, name, value, str(file))
    for variable, text in environment.items():
        if not variable.startswith("FULLSPAN_") or variable in _RESERVED:
            continue
        section, _, name = variable[len("FULLSPAN_"):].lower().partition("_")
        if section in _SECTIONS and name:       # other FULLSPAN_* names belong to others
            given[section][name] = _checked(section, name, text, variable)
    return Settings(**{name: kind(**given[name]) for name, kind in _SECTIONS.items()} | tables, origin=str(file) if found else "")


def _entry(section: str, name: str, values: Any, where: str) -> Any:
    """One table of a section of tables."""
    if not isinstance(values, dict):
        raise UserError(f"[{section}] holds a table for each, and {name!r} is none", where, f"write it as [{section}.{name}]")
    return _TABLES[section](**{key: _checked(f"{section}.{name}", key, value, where, _TABLES[section]) for key, value in values.items()})


def changes(old: Settings, new: Settings) -> dict[str, bool]:
    """The settings that differ, as 'section.name', and whether a running probe takes them."""
    options = {"detect.KIND": True} if old.detectors != new.detectors else {}
    return options | {f"{section}.{one.name}": bool(one.metadata["live"]) for section, kind in _SECTIONS.items() for one in fields(kind)
            if getattr(getattr(old, section), one.name) != getattr(getattr(new, section), one.name)} | {
        section: True for section in _TABLES if getattr(old, section) != getattr(new, section)}


def _read(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        with file.open("rb") as opened:
            return tomllib.load(opened)
    except OSError as error:
        raise UserError(f"the settings cannot be read: {error.strerror}", str(file), "name another file with FULLSPAN_CONFIG") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not TOML: {error}", str(file), "see docs/settings.md") from None


def _checked(section: str, name: str, value: Any, where: str, kind: type[Any] | None = None) -> Any:
    known = {one.name: one for one in fields(kind or _SECTIONS[section])}
    if (section, name) in _MOVED:
        raise UserError(f"{section}.{name} has another name now", where, f"write it as {_MOVED[section, name]}")
    if name not in known:
        raise UserError(f"[{section}] has no setting {name!r}", where, f"settings are {', '.join(known)}")
    rule, default = known[name].metadata, known[name].default
    if isinstance(default, int):
        if isinstance(value, str):
            try:
                value = int(value)
            except ValueError:
                raise UserError(f"{section}.{name} is {value!r}, a whole number is needed", where) from None
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"{section}.{name} is {value!r}, a whole number is needed", where)
        if not rule["least"] <= value <= rule["most"]:
            raise UserError(f"{section}.{name} is {value}, it may be {rule['least']} to {rule['most']}", where)
    elif not isinstance(value, str):
        raise UserError(f"{section}.{name} is {value!r}, text is needed", where)
    elif rule["among"] and value not in rule["among"]:
        raise UserError(f"{section}.{name} is {value!r}, it may be {' or '.join(rule['among'])}", where)
    return value
