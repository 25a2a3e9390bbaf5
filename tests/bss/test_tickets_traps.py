"""SNMP traps: read off the wire whatever comes, told apart, and taken as alarms from real datagrams; files of alarms."""
from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import select

from bss.desk import Desk
from bss.office import Office
from bss.refusal import Refusal
from bss.running.reading import parse
from bss.tables import Alarm, LinkState, Resource, Ticket
from bss.tickets import ber, sheet
from bss.tickets.ber import Malformed, Trap, read, write
from bss.tickets.listener import Listener
from bss.tickets.trap import IF_DESCR, IF_INDEX, Came, events, meanings
from tests.bss.conftest import BEGIN, Clock
from tests.bss.selling import act
from tests.bss.test_tickets_alarms import plant, tickets

LINK_DOWN, LINK_UP = "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.6.3.1.1.5.4"
oids = some.builds(lambda first, second, rest: ".".join(map(str, (first, second, *rest))), some.integers(0, 2), some.integers(0, 39),
                   some.lists(some.integers(0, 2 ** 32 - 1), min_size=1, max_size=12))
values = some.one_of(some.none(), some.binary(max_size=300), some.integers(-2 ** 63, 2 ** 63 - 1), oids)
traps = some.builds(Trap, some.binary(max_size=40), some.booleans(), some.integers(-2 ** 31, 2 ** 31 - 1), some.integers(0, 2 ** 32 - 1), oids,
                    some.lists(some.tuples(oids, values), max_size=8).map(tuple))


unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])          # the machine may be at something else


def test_a_link_down_octet_by_octet() -> None:
    """By RFC 3416 and X.690, put together by hand."""
    uptime = bytes.fromhex("300e" "06082b06010201010300" "43021234")
    what = bytes.fromhex("3017" "060a2b060106030101040100" "06092b0601060301010503")
    index = bytes.fromhex("300f" "060a2b060102010202010107" "020107")
    variables = b"\x30" + bytes([len(uptime + what + index)]) + uptime + what + index
    pdu = bytes.fromhex("020412345678" "020100" "020100") + variables
    message = bytes.fromhex("020101" "04067075626c6963") + b"\xa7" + bytes([len(pdu)]) + pdu
    octets = b"\x30" + bytes([len(message)]) + message
    wanted = Trap(b"public", False, 0x12345678, 0x1234, LINK_DOWN, ((f"{IF_INDEX}.7", 7),))
    assert read(octets) == wanted and write(wanted) == octets


@unhurried
@given(traps)
def test_what_is_written_is_read(one: Trap) -> None:
    assert read(write(one)) == one


@unhurried
@given(some.one_of(some.binary(max_size=400), traps.map(write)), some.lists(some.tuples(some.integers(0, 400), some.integers(0, 255)), max_size=4),
       some.integers(0, 400))
def test_whatever_comes_is_a_trap_or_is_said_to_be_none(octets: bytes, changes: list[tuple[int, int]], end: int) -> None:
    spoilt = bytearray(octets)
    for at, value in changes:
        if at < len(spoilt):
            spoilt[at] = value
    for one in (bytes(spoilt), bytes(spoilt[:end])):
        try:
            found = read(one)
        except Malformed:
            continue
        assert isinstance(found, Trap) and len(found.variables) <= ber.MOST


@pytest.mark.parametrize("octets", [b"", b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x80\x00\x00", write(Trap(b"c", False, 1, 1, "1.3.6", ()))[:-1],
                                    write(Trap(b"c", False, 1, 1, "1.3.6", ())) + b"\0",
                                    write(Trap(b"c", False, 1, 1, "1.3.6", tuple(("1.3.6.1", 1) for _ in range(100))))])
def test_what_is_no_trap_is_refused(octets: bytes) -> None:
    with pytest.raises(Malformed):
        read(octets)


def test_a_file_says_what_traps_of_vendors_mean(tmp_path: Path) -> None:
    (file := tmp_path / "traps.toml").write_text('[[trap]]\noid = "1.3.6.1.4.1.2011.5"\nkind = "onuOffline"\nsubject = "1.3.6.1.4.1.2011.6"\n')
    assert meanings(str(file))["1.3.6.1.4.1.2011.5"].kind == "onu_offline" and meanings(str(file))[LINK_UP].state == "cleared"
    file.write_text('[[trap]]\noid = "x"\nkind = "y"\n')
    with pytest.raises(Refusal, match="oid"):
        meanings(str(file))
    with pytest.raises(Refusal, match="can't be read"):
        meanings(str(tmp_path / "none"))


def managed(office: Office) -> tuple[str, list[str], list[str]]:
    """An OLT at 127.0.0.1 with two PON ports and four services."""
    olt, ports, services = plant(office, 4, 2)

    def address(desk: Desk) -> None:
        desk.session.get_one(Resource, olt).detail = {"address": "127.0.0.1"}
    act(office, address)
    return olt, ports, services


def sent(oid: str, name: bytes, request: int, community: bytes = b"secret", inform: bool = False) -> bytes:
    return write(Trap(community, inform, request, 100 + request, oid, ((f"{IF_INDEX}.7", 7), (f"{IF_DESCR}.7", name))))


def test_datagrams_become_tickets_of_what_stands_on_the_port(office: Office, clock: Clock) -> None:
    olt, ports, services = managed(office)
    listener, stop = Listener(office, "secret", meanings(), port=0), threading.Event()
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.settimeout(10)
            for octets in (b"nonsense", sent(LINK_DOWN, b"0/1/0", 1, b"wrong"), sent(LINK_DOWN, b"0/1/0", 2), sent(LINK_DOWN, b"0/1/0", 2),
                           sent(LINK_DOWN, b"no such port", 3)):
                out.sendto(octets, listener.address)
            out.sendto(sent("1.3.6.1.4.1.99999.1", b"0/1/1", 4, inform=True), listener.address)
            answer = out.recv(4096)             # an inform is answered once it is kept
        assert answer[answer.index(b"secret") + 6] == ber.RESPONSE
        until = time.monotonic() + 10
        while listener.taken < 4 and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        stop.set()
        thread.join(10)
        listener.close()
    assert (listener.heard, listener.refused, listener.taken) == (6, 2, 4)
    rows = tickets(office)
    parent = next(one for one in rows if one.root_cause)
    assert parent.resource_id == ports[0] and sorted(str(one.service_id) for one in rows if one.parent_id == parent.id) == services[::2] and len(rows) == 3
    with office.reading() as desk:
        held = {one.kind: one for one in desk.session.execute(select(Alarm)).scalars() if one.kind != "link_down"}
        assert [(one.severity, one.suppressed) for one in held.values()] == [("warning", "warning")]            # what nobody knows is seen, and no ticket
        assert desk.session.execute(select(Alarm.suppressed).where(Alarm.subject == "no such port")).scalar() == "unknown"
        assert desk.session.execute(select(LinkState.state)).scalars().all() == ["down"]


def test_a_port_that_is_taken_is_said(office: Office) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(Refusal, match="can't be listened at"):
            Listener(office, "secret", meanings(), port=other.getsockname()[1])


def test_a_trap_of_a_device_that_is_not_known_blames_nobody(office: Office) -> None:
    managed(office)
    with office.reading() as desk:
        found = events(desk, [Came(read(sent(LINK_DOWN, b"0/1/0", 1)), "192.0.2.1", BEGIN),
                              Came(read(sent(LINK_UP, b"0/1/1", 2)), "127.0.0.1", BEGIN)], meanings())
    assert [(one.state, bool(one.resource)) for one in found] == [("raised", False), ("cleared", True)] and found[0].key == "192.0.2.1/link_down/0/1/0"


# ---- files

def brought(office: Office, *lines: str) -> dict[str, int]:
    return sheet.bring(office, parse("\n".join(("time,state,kind,service,resource,until,severity", *lines)).encode(), "nms.csv", sheet.COLUMNS))


def test_a_file_of_alarms_and_times(office: Office, clock: Clock) -> None:
    _, _, services = plant(office, 3)
    lines = ("2026-12-01 08:50,down,,ZX-0,,,", "2026-12-01 08:55,raised,lossOfSignal,,pon_port/0/1/0,,critical",
             "2026-11-20 08:00,down,,ZX-1,,2026-11-20 09:30,")
    first = brought(office, *lines)
    assert (first["new"], first["link_states"]) == (2, 1)
    rows = [(one.id, one.state) for one in tickets(office)]
    assert brought(office, *lines) == {**dict.fromkeys(first, 0), "known": 2} and [(one.id, one.state) for one in tickets(office)] == rows
    assert sum(one.root_cause for one in tickets(office)) == 1 and len(rows) == 4
    for line, why in (("yesterday,down,,ZX-0,,,", "line 2: time: 'yesterday' is no time"), ("2026-12-01,gone,,ZX-0,,,", "is no state"),
                      ("2026-12-01,down,,nobody,,,", "is not known"), ("2026-12-01,down,,ZX-0,,2026-11-30,", "ends before it begins"),
                      ("2026-12-01,down,,ZX-0,,,awful", "perceivedSeverity"), ("2027-12-01,down,,ZX-0,,,", "has not been yet")):
        with pytest.raises(Refusal, match=why):
            brought(office, lines[0], line) if "line 2" not in why else brought(office, line)
    with office.reading() as desk:
        assert len(desk.session.execute(select(Ticket)).scalars().all()) == 4           # nothing is taken of a file that is wrong
