"""The table of leases against the slow twin, and what it does where there is no room."""
from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given as each
from hypothesis import settings
from hypothesis import strategies as st

from dpi.identity.event import ANYWHERE, DHCP, EVENT, NO_ADDRESS, RADIUS, RESTART, START, STOP, UPDATE
from dpi.identity.lease import HISTORY, LEASE, LENGTHS, SHORTEST
from dpi.identity.leases import find_lease, learn_events
from dpi.identity.sessions import Learning, Sessions, changes_of
from dpi.jit import BUILD, records
from tests.identity.telling import KEY, Ear, access_line, control, datagram, discovery, ppp, session
from tests.oracle import sessions as twin

SECOND = 1_000_000
LASTING = 100
#: address, prefix length, which
PLACES = ((0xFFFF0A000001, 128, 0), (0xFFFF0A000002, 128, 0), (0x20010DB8 << 96, 64, 1), (0x20010DB8 << 96, 56, 2), (0x20010DB8 << 96 | 7, 128, 3))


def event(time: int, number: int, source: int, action: int, place: tuple[int, int, int] | None, scope: int, who: int, session: int, lifetime: int, stamp: int,
          nas: int) -> Any:
    one = np.zeros(1, EVENT)
    one["time"], one["number"], one["source"], one["action"], one["scope"] = time, number, source, action, scope if source == DHCP else ANYWHERE
    one["length"] = NO_ADDRESS
    if place is not None and not (source == RADIUS and action == STOP):
        one["high"], one["low"], one["length"], one["which"] = place[0] >> 64, place[0] & twin.MASK, place[1], place[2]
    one["user"], one["mac"], one["session"] = (who, 0, session) if source == RADIUS else (0, who, session)
    one["lifetime"], one["stamp"], one["nas"] = (lifetime, 0, 0) if source == DHCP else (0, stamp, nas)
    return one


STEPS = st.lists(st.tuples(
    st.integers(0, 3 * SECOND), st.sampled_from([RADIUS, DHCP]), st.sampled_from([START, START, UPDATE, STOP, STOP, RESTART]), st.sampled_from(PLACES),
    st.sampled_from([0, 10 << 12, ANYWHERE]), st.integers(0, 3), st.integers(1, 4), st.sampled_from([SECOND, 60 * SECOND, 1 << 60]), st.integers(0, 4),
    st.integers(1, 2)), max_size=30)


@settings(max_examples=400 if BUILD == "on" else 40, deadline=None)
@each(STEPS, st.booleans())
def test_who_has_an_address(steps: list[Any], packed: bool) -> None:
    """Every address at every moment something changed, and just before. packed: several events of one packet."""
    table, slow = Sessions(Learning(seconds=LASTING, most=2000), KEY), twin.Leases(LASTING * SECOND)
    made, time, number = [], 1000 * SECOND, 0
    for gap, source, action, place, scope, who, session_number, lifetime, stamp, nas in steps:
        action = STOP if action == RESTART and source == DHCP else action
        number += not packed or gap % 2
        time += gap if not packed or gap % 2 else 0
        made.append(event(time, number, source, action, place, scope, who, session_number, lifetime, stamp, nas))
    events = records(len(made), EVENT)
    for name in EVENT.names or () if made else ():
        events[name] = np.concatenate(made)[name]
    restarts: dict[int, int] = {}
    kept = []
    for one in made:
        e = one[0]
        if e["action"] == RESTART:
            restarts[int(e["time"]) // SECOND] = restarts.get(int(e["time"]) // SECOND, 0) + 1
            if restarts[int(e["time"]) // SECOND] > 8:
                continue
        kept.append(one)
        slow.learn(e)
    first = 0
    while first < len(made):
        first = learn_events(table.world, events, first, len(made))
        table.state.told = 0
    moments = sorted({moment for one in slow.known for moment in (one.begin, one.end, one.expires) if moment < 1 << 60} | {time})
    for moment in (m + d for m in moments for d in (-1, 0)):
        for address, _, _ in PLACES:
            for scope in (0, 10 << 12, 11 << 12):
                found, at = [], 0
                words = np.array([address >> 64, address & twin.MASK], np.uint64)
                while at := find_lease(table.world, words, scope, moment, at):
                    found.append(table.leases[at])
                want = slow.at(address, scope, moment)
                assert [(int(x.begin), int(x.session), int(x.user), int(x.mac), int(x.source), int(x.scope)) for x in found] == \
                    [(x.begin, x.session, x.user, x.mac, x.source, x.scope) for x in want]
    assert int(table.state.stale) == slow.stale and int(table.state.open) == sum(one.end == twin.NEVER for one in slow.known)


def learned(ear: Ear, frames: list[bytes], times: list[int] | None = None) -> list[str]:
    """What became of leases, told by these frames."""
    for k, data in enumerate(frames):
        ear.number += 1
        ear.one(np.frombuffer(data, np.uint8), times[k] if times else ear.number * SECOND)
        ear.tap.learn()
    told = ear.sessions.take_rows()
    return [f"{('', 'start', 'update', 'stop', 'restart')[t['action']]} {'.'.join(map(str, int(t['low'] & 0xFFFFFFFF).to_bytes(4, 'big')))}" for t in told]


def who(ear: Ear, address: int, time: int, scope: int = 0) -> int:
    """The user digest of the lease of an IPv4 address, 0 nobody."""
    found = find_lease(ear.sessions.world, np.array([0, 0xFFFF << 32 | address], np.uint64), scope, time, 0)
    return int(ear.sessions.leases[found].user) if found else 0


def account(*words: Any, **more: Any) -> bytes:
    return datagram(session(*words, **more), 1813)


def test_retransmissions_change_nothing() -> None:
    one = Ear()
    start, stop = account(1, "alice", "s1", "10.0.0.1"), account(2, "alice", "s1", "10.0.0.1")
    assert learned(one, [start, start, account(3, "alice", "s1", "10.0.0.1"), stop, stop, start]) == ["start 10.0.0.1", "stop 10.0.0.1"]
    assert one.sessions.counters()["stale"] == 1                # the start that came once more, behind the stop
    assert not who(one, 0x0A000001, 7 * SECOND) and who(one, 0x0A000001, 2 * SECOND)


def test_an_interim_update_is_a_start_that_was_missed_and_moves_a_session() -> None:
    one = Ear()
    assert learned(one, [account(3, "alice", "s1", "10.0.0.1"), account(3, "alice", "s1", "10.0.0.2"), account(1, "bob", "s2", "10.0.0.1"),
                         account(2, "alice", "s1", "10.0.0.1")]) == \
        ["start 10.0.0.1", "stop 10.0.0.1", "start 10.0.0.2", "start 10.0.0.1", "stop 10.0.0.2"]
    assert who(one, 0x0A000001, 9 * SECOND) == twin.siphash(b"bob", twin.USER, KEY)


def test_an_older_start_does_not_push_out_a_younger_one() -> None:
    one = Ear()
    assert learned(one, [account(1, "bob", "s2", "10.0.0.1", stamp=2000), account(1, "alice", "s1", "10.0.0.1", stamp=1000)]) == ["start 10.0.0.1"]
    assert learned(one, [account(1, "carol", "s3", "10.0.0.1", stamp=2001)]) == ["stop 10.0.0.1", "start 10.0.0.1"]


def test_a_nas_that_restarts_ends_its_sessions_and_no_others() -> None:
    one = Ear()
    learned(one, [account(1, "alice", "s1", "10.0.0.1"), account(1, "bob", "s1", "10.0.0.2", nas="192.0.2.13")])
    assert learned(one, [account(7, "", "", nas="192.0.2.12")]) == ["restart 0.0.0.0"]
    assert not who(one, 0x0A000001, 9 * SECOND) and who(one, 0x0A000002, 9 * SECOND)
    assert learned(one, [account(7, "", "", nas="192.0.2.12")]) == []
    for _ in range(3):
        learned(one, [account(8, "", "", nas="192.0.2.99")] * 8, [50 * SECOND] * 8)
    assert one.sessions.counters()["refused"] == 16             # of one second


def test_a_session_of_pppoe_by_pap_and_by_chap() -> None:
    one = Ear()
    opened = [discovery(0x19, tags=access_line(b"port 7", b"")), discovery(0x65, 17, up=False)]
    pap, chap = ppp(0xC023, control(1, b"\5alice\6secret")), ppp(0xC223, control(2, b"\x10" + bytes(16) + b"bob"))
    ours, theirs = (ppp(0x8021, control(2, b"\3\6\x0a\0\0" + last), up=up) for last, up in ((b"\7", False), (b"\1", True)))
    assert learned(one, [*opened, pap, theirs, ours, ours]) == ["start 10.0.0.7"]       # the concentrator's own address is nobody's
    assert learned(one, [ppp(0xC021, control(5))]) == ["stop 10.0.0.7"]
    assert learned(one, [*opened, chap, ours]) == ["start 10.0.0.7"]
    row = one.sessions.leases[find_lease(one.sessions.world, np.array([0, 0xFFFF0A000007], np.uint64), 0, 11 * SECOND, 0)]
    assert (int(row.user), int(row.circuit)) == (twin.siphash(b"bob", twin.USER, KEY), twin.siphash(b"port 7", twin.CIRCUIT, KEY))
    assert learned(one, [discovery(0xA7, 17, up=False)]) == ["stop 10.0.0.7"]
    alone = Ear()
    assert learned(alone, [ours]) == [] and alone.sessions.counters()["unknown"] == 1
    assert learned(alone, [pap, ours]) == ["start 10.0.0.7"]                             # its discovery was not seen, who named himself is the client


def test_what_is_not_heard_of_again_ends() -> None:
    one = Ear(Learning(kinds=7, seconds=60, most=2000))
    learned(one, [account(1, "alice", "s1", "10.0.0.1")], [SECOND])
    assert who(one, 0x0A000001, 60 * SECOND) and not who(one, 0x0A000001, 61 * SECOND)
    learned(one, [account(3, "alice", "s1", "10.0.0.1")], [31 * SECOND])
    assert who(one, 0x0A000001, 61 * SECOND) and not who(one, 0x0A000001, 91 * SECOND)
    learned(one, [account(1, "bob", "s2", "10.0.0.1")], [200 * SECOND])
    assert one.sessions.counters()["expired"] == 1 and not who(one, 0x0A000001, 199 * SECOND)


def test_a_full_table_gives_up_who_was_not_heard_of_the_longest() -> None:
    one = Ear(Learning(kinds=1, most=100))
    frames = [account(1, f"user{k}", f"s{k}", f"10.0.{k >> 8}.{k & 255}") for k in range(1000)]
    learned(one, frames)
    counted = one.sessions.counters()
    assert (counted["started"], counted["open"], counted["evicted"]) == (1000, 100, 900)
    assert sum(bool(who(one, 0x0A000000 | k, 2000 * SECOND)) for k in range(1000)) == 100
    ended = [account(2, f"user{k}", f"s{k}") for k in range(1000)]
    learned(one, ended, [3000 * SECOND] * 1000)
    assert one.sessions.counters()["open"] == 0


def test_an_address_that_changes_hands_all_the_time_keeps_the_last_of_them() -> None:
    one = Ear()
    learned(one, [account(1, f"user{k}", f"s{k}", "10.0.0.1") for k in range(100)])
    assert sum(int(lease.length) != 0 for lease in one.sessions.leases) == HISTORY
    assert [who(one, 0x0A000001, (k + 1) * SECOND) != 0 for k in range(100)] == [False] * (100 - HISTORY) + [True] * HISTORY


def test_prefixes_of_too_many_lengths_are_refused() -> None:
    one = Ear()
    from tests.identity.telling import accounting, attribute
    for length in range(SHORTEST, 50):
        raw = (((1 << length) - 1) << 128 - length).to_bytes(16, "big")
        learned(one, [datagram(accounting(1, attribute(44, bytes([length])), attribute(97, bytes([0, length]) + raw)), 1813)])
    kept = range(SHORTEST, SHORTEST + LENGTHS - 1)
    assert one.sessions.counters()["refused"] == 50 - kept.stop and list(one.sessions.state.length)[:-1] == sorted(kept, reverse=True)
    assert learned(one, [account(1, "alice", "s1", "10.0.0.1")]) == ["start 10.0.0.1"]         # addresses have their place, whatever is forged


def test_prefixes_that_nobody_is_given_are_not_believed() -> None:
    """Short ones are half of the world, and ::/64 holds all of IPv4 as addresses are kept here."""
    from tests.identity.telling import accounting, attribute, given
    one = Ear()
    told = [attribute(97, b"\0\1" + b"\x80"), attribute(123, b"\0\x08\0"), attribute(97, b"\0\x40" + bytes(8)),
            attribute(97, bytes((0, SHORTEST - 1, 0x20, 1, 0))), attribute(168, b"\0" * 10 + b"\xff\xff\x0a\0\0\x09"), attribute(97, b"\0\x60" + bytes(12))]
    for k, part in enumerate(told):
        assert learned(one, [datagram(accounting(1, attribute(1, b"mallory"), attribute(44, bytes([k + 1])), part), 1813)]) == []
    assert learned(one, [datagram(given(prefix="::/56"), 546, "fe80::1", "fe80::2")]) == []
    assert one.sessions.counters()["refused"] == len(told) + 1 and not who(one, 0x0A000009, 99 * SECOND)


def test_a_message_behind_its_own_stop_leaves_who_came_next() -> None:
    one = Ear()
    learned(one, [account(1, "alice", "s1", "10.0.0.1"), account(2, "alice", "s1", "10.0.0.1"), account(1, "bob", "s2", "10.0.0.1")])
    assert learned(one, [account(3, "alice", "s1", "10.0.0.1"), account(1, "alice", "s1", "10.0.0.1")]) == []
    assert one.sessions.counters()["stale"] == 2 and who(one, 0x0A000001, 9 * SECOND) == twin.siphash(b"bob", twin.USER, KEY)


def test_the_user_of_pppoe_is_who_was_let_in() -> None:
    """A name that is sent behind the answer, or while nobody has answered, does not pay for the session."""
    address = ppp(0x8021, control(2, b"\3\6\x0a\0\0\7"), up=False)
    opened = discovery(0x65, 17, up=False)

    def said(name: bytes, number: int) -> bytes:
        return ppp(0xC023, bytes((1, number, 0, 6 + len(name), len(name))) + name + b"\0")

    def yes(protocol: int, code: int, number: int) -> bytes:
        return ppp(protocol, bytes((code, number, 0, 4)), up=False)

    def chap(name: bytes, number: int) -> bytes:
        return ppp(0xC223, bytes((2, number, 0, 6 + len(name), 1, 7)) + name)

    own, hers = twin.siphash(b"own", twin.USER, KEY), twin.siphash(b"hers", twin.USER, KEY)
    for frames, user in (([said(b"own", 1), yes(0xC023, 2, 1), said(b"hers", 2)], own), ([said(b"own", 1), said(b"hers", 2), yes(0xC023, 2, 1)], 0),
                         ([said(b"own", 1), said(b"hers", 2), yes(0xC023, 2, 2)], hers), ([said(b"hers", 1), said(b"own", 2)], own),
                         ([chap(b"own", 1), yes(0xC223, 3, 1), said(b"hers", 1), chap(b"hers", 1)], own),
                         ([said(b"own", 1), ppp(0xC023, bytes((2, 1, 0, 4))), said(b"hers", 2)], hers)):       # nobody lets himself in
        one = Ear()
        assert learned(one, [opened, *frames, address]) == ["start 10.0.0.7"]
        found = find_lease(one.sessions.world, np.array([0, 0xFFFF0A000007], np.uint64), 0, 99 * SECOND, 0)
        assert int(one.sessions.leases[found].user) == user


def test_changes_name_the_range() -> None:
    one = Ear()
    learned(one, [])
    followed = one.sessions.follow()
    learned(one, [account(1, "alice", "s1", "10.0.0.1")])
    change, = followed.popleft()
    assert (change.low.tolist(), change.high.tolist(), int(change.vlan)) == ([0, 0xFFFF0A000001],) * 2 + (-1,)
    told = np.zeros(1, one.sessions._told.dtype)
    for length, high, low in ((64, 5, 0), (56, 0x500, 0), (127, 5, 6), (255, 0, 0), (1, 1 << 63, 0)):
        told["high"], told["low"], told["length"], told["scope"] = high, low, length, 10 << 12 | 20
        span = 1 << 128 - (0 if length == 255 else length)
        made = changes_of(told)[0]
        first, last = (int(made[side][0]) << 64 | int(made[side][1]) for side in ("low", "high"))
        assert (first, last) == (high << 64 | low, (high << 64 | low) + span - 1) and (int(made.vlan), int(made.inner_vlan)) == (10, 20)


def test_the_record() -> None:
    assert LEASE.itemsize == 128
