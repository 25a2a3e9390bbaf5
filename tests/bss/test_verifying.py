"""When an item may be completed: covered, not covered, taken away, price alone; to the byte."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bss.evidence import Evidence, Minute
from bss.office import Office
from bss.orders import order as orders
from bss.orders.fulfilment import disconnect
from bss.orders.milestone import reached
from bss.orders.paper import decide, write
from bss.orders.transition import move
from bss.orders.verifying import SHARE, accept_by_hand, enough, install, needed_bytes, silence, verify, whole_minutes
from bss.refusal import Refusal
from bss.tables import OrderItem, ProductOrder, Service
from dpi.batch import Batch, Coded
from dpi.store import open_store
from dpi.usage.computing import Job
from tests.bss.conftest import BEGIN, Clock
from tests.bss.selling import MBIT100, act, customer, line, ordered, person, served, sold, told
from tests.usage.traffic import BEGIN as MICROSECONDS
from tests.usage.traffic import MINUTE, coverage, flows, put

FULL = 712_500_000
THEN = datetime.fromtimestamp(MICROSECONDS // 1_000_000, UTC)         # an hour that has been: a store closes none to come


def item_of(office: Office, order_id: str) -> str:
    return act(office, lambda desk: desk.find(ProductOrder, order_id).items[0].id)


def started(office: Office, offering: str = "line-a", down: int = MBIT100, **given: Any) -> tuple[str, str, str]:
    """An order in progress whose service is bound from now on: order, item, service."""
    customer(office)
    sold(office)
    order_id = ordered(office, line(offering, down, **given), started=True)
    item_id = item_of(office, order_id)
    return order_id, item_id, served(office, item_id, offering=offering)


def complete(office: Office, order_id: str) -> str:
    return act(office, lambda desk: move(desk, order_id, "completed")).state


def test_a_minute_at_95_percent_of_100_mbit() -> None:
    assert needed_bytes(MBIT100, "A") == needed_bytes(MBIT100, "B") == FULL and needed_bytes(MBIT100, "C") == 675_000_000
    assert needed_bytes(MBIT100, "home") == 600_000_000 and needed_bytes(0, "A") == 0 and needed_bytes(1, "A") == 8


@pytest.mark.parametrize(("down", "up", "covered", "good"), [
    (FULL, FULL, True, True), (FULL - 1, FULL, True, False), (FULL, FULL - 1, True, False), (FULL * 2, 0, True, False), (FULL, FULL, False, False)])
def test_the_rate_is_verified_to_the_byte_in_each_direction(down: int, up: int, covered: bool, good: bool) -> None:
    assert (enough([Minute(BEGIN, down, up, covered)], MBIT100, MBIT100, "A") is not None) == good
    assert enough([Minute(BEGIN, FULL, 0, True)], MBIT100, 0, "A") is not None       # a direction that is not ordered is not asked for


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_silence_counts_measured_minutes_alone(said: list[tuple[bool, bool]]) -> None:
    minutes = [Minute(BEGIN + timedelta(minutes=n), int(carried), 0, covered) for n, (covered, carried) in enumerate(said)]
    seen = [one for one in minutes if one.covered]
    last = max((n for n, one in enumerate(seen) if one.down_bytes), default=-1)
    assert silence(minutes) == silence(list(reversed(minutes))) == len(seen) - 1 - last


@given(st.integers(0, 200), st.integers(1, 200))
def test_whole_minutes_lie_in_the_test(first: int, span: int) -> None:
    minutes = [Minute(BEGIN + timedelta(minutes=n), 1, 1, True) for n in range(10)]
    begin, end = BEGIN + timedelta(seconds=first), BEGIN + timedelta(seconds=first + span)
    for one in whole_minutes(minutes, begin, end):
        assert begin <= one.begin and one.begin + timedelta(minutes=1) <= end
    assert len(whole_minutes(minutes, begin, end)) == max(min((first + span) // 60, 10) - -(-first // 60), 0)


def test_a_covered_line_is_completed_by_what_was_measured_alone(office: Office, clock: Clock) -> None:
    order_id, item_id, service_id = started(office)
    seam = told(office)
    with pytest.raises(Refusal, match="no traffic of its service was seen"):
        complete(office, order_id)
    clock.forward(minutes=30)
    seam.say(service_id, BEGIN + timedelta(minutes=5), (1000, 100))
    with pytest.raises(Refusal, match="no test is noted"):
        complete(office, order_id)
    contractor = person(office, "fitter", "contractor")
    test = BEGIN + timedelta(minutes=10), BEGIN + timedelta(minutes=14)
    act(office, lambda desk: install(desk, item_id, [test], "iperf3"), contractor)
    with pytest.raises(Refusal, match="what was not measured does not count"):
        complete(office, order_id)
    seam.say(service_id, test[0], (FULL, FULL), covered=False)
    seam.say(service_id, test[0] + timedelta(minutes=1), (FULL - 1, FULL))
    seam.say(service_id, test[1], (FULL, FULL))                # a whole minute, but after the test
    with pytest.raises(Refusal, match="712,499,999 bytes down and 712,500,000 up, where 712,500,000 and 712,500,000"):
        complete(office, order_id)
    seam.say(service_id, test[0] + timedelta(minutes=3), (FULL, FULL))
    assert act(office, lambda desk: verify(desk, item_id)).done and complete(office, order_id) == "completed"
    with office.reading() as desk:
        item = desk.session.get_one(OrderItem, item_id)
        known = reached(desk, item)
        assert item.verified == "measured" and desk.session.get_one(Service, service_id).state == "active"
        assert known["firstTrafficSeen"].reached == BEGIN + timedelta(minutes=5) and known["rateVerified"].reached == test[0] + timedelta(minutes=3)
        assert known["rateVerified"].evidence["down_bytes"] == FULL and known["rateVerified"].evidence["needed_up_bytes"] == FULL


@pytest.mark.parametrize(("offering", "share"), [("line-c", 90), ("home-100", 80)])
def test_other_classes_ask_for_less(office: Office, clock: Clock, offering: str, share: int) -> None:
    order_id, item_id, service_id = started(office, offering, 0 if offering == "home-100" else MBIT100)
    seam = told(office)
    clock.forward(minutes=20)
    act(office, lambda desk: install(desk, item_id, [(BEGIN, BEGIN + timedelta(minutes=5))]))
    up = 20_000_000 if offering == "home-100" else MBIT100
    down_bytes, up_bytes = MBIT100 * 60 // 8 * share // 100, up * 60 // 8 * share // 100
    seam.say(service_id, BEGIN, (down_bytes, up_bytes - 1))
    with pytest.raises(Refusal, match=f"{share} % of the ordered rate"):
        complete(office, order_id)
    seam.say(service_id, BEGIN + timedelta(minutes=1), (down_bytes, up_bytes))
    assert complete(office, order_id) == "completed" and SHARE.get("C") == 90


def test_tests_are_checked(office: Office, clock: Clock) -> None:
    _order, item_id, _service = started(office)
    for begin, end in ((BEGIN, BEGIN), (BEGIN, BEGIN + timedelta(minutes=1)), (BEGIN - timedelta(hours=5), BEGIN)):
        with pytest.raises(Refusal, match="a test lasts from"):
            act(office, lambda desk, begin=begin, end=end: install(desk, item_id, [(begin, end)]))      # type: ignore[misc]


def test_what_no_sensor_sees_takes_a_signed_sheet_and_a_second_person(office: Office, clock: Clock) -> None:
    order_id, item_id, _service = started(office, covered=False)
    seam = told(office)
    writer, boss, other = person(office, "writer", "provisioning"), person(office, "boss", "manager"), person(office, "other", "manager")
    with pytest.raises(Refusal, match="an approved test sheet is asked for"):
        complete(office, order_id)
    sheet = act(office, lambda desk: write(desk, "test", "order_item", item_id, {"down_mbps": "98", "up_mbps": "97"}), writer).id
    with pytest.raises(Refusal, match="an approved test sheet"):
        complete(office, order_id)
    act(office, lambda desk: decide(desk, sheet, True), boss)
    with pytest.raises(Refusal, match="a second person has to accept"):
        complete(office, order_id)
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: accept_by_hand(desk, item_id, "seen"), boss)
    act(office, lambda desk: accept_by_hand(desk, item_id, "photographs looked at"), other)
    assert complete(office, order_id) == "completed" and seam.asked == 0
    with office.reading() as desk:
        assert desk.session.get_one(OrderItem, item_id).verified == "manual"


def test_by_hand_is_refused_where_a_sensor_sees_it(office: Office) -> None:
    _order, item_id, _service = started(office)
    with pytest.raises(Refusal, match="what is measured decides"):
        act(office, lambda desk: accept_by_hand(desk, item_id, "seen"))


@pytest.mark.parametrize("what", ["delete", "suspend"])
def test_what_is_taken_away_has_to_be_silent_for_ten_measured_minutes(office: Office, clock: Clock, what: str) -> None:
    owner = customer(office)
    sold(office)
    service_id = served(office, customer_id=owner, state="active")
    seam = told(office)
    clock.forward(hours=1)

    def enter(desk: Any) -> str:
        made = orders.terminate(desk, service_id) if what == "delete" else orders.suspend(desk, service_id, "customer")
        return move(desk, made.id, "inProgress").id
    order_id = act(office, enter)
    item_id = item_of(office, order_id)
    with pytest.raises(Refusal, match="traffic is still bound"):
        complete(office, order_id)
    act(office, lambda desk: disconnect(desk, item_id))
    ended = clock.now
    clock.forward(minutes=30)
    seam.say(service_id, ended, *[(0, 0)] * 9)
    seam.say(service_id, ended + timedelta(minutes=9), (0, 0), covered=False)
    with pytest.raises(Refusal, match="9 measured minutes without traffic"):
        complete(office, order_id)
    seam.say(service_id, ended + timedelta(minutes=10), (0, 1))
    with pytest.raises(Refusal, match="0 measured minutes"):
        complete(office, order_id)
    seam.say(service_id, ended + timedelta(minutes=11), *[(0, 0)] * 10)
    assert complete(office, order_id) == "completed"
    with office.reading() as desk:
        service = desk.session.get_one(Service, service_id)
        assert (service.state, service.reason) == (("terminated", "") if what == "delete" else ("inactive", "customer"))
        assert desk.session.get_one(OrderItem, item_id).verified == "measured"


def test_price_and_value_added_ask_the_probe_nothing(office: Office) -> None:
    owner = customer(office)
    sold(office)
    service_id = served(office, customer_id=owner, state="active")
    seam = told(office)
    priced = line("line-a", 0).model_validate({"action": "modify", "service_id": service_id, "wanted": {"change": "price"}})
    order_id = ordered(office, priced, line("static-address", 0))
    act(office, lambda desk: move(desk, order_id, "inProgress"))
    assert complete(office, order_id) == "completed" and seam.asked == 0
    with office.reading() as desk:
        assert {item.verified for item in desk.find(ProductOrder, order_id).items} == {"none"}


def test_away_is_not_done(office: Office) -> None:
    order_id, _item, _service = started(office)         # the office has no store
    with pytest.raises(Refusal) as error:
        complete(office, order_id)
    assert error.value.kind == "away"


# ---- the store itself

def lost(minutes: int, bad: int) -> Batch:
    """Coverage of so many minutes, of which one lost 2 % of its frames."""
    made = coverage(range(minutes), frames=500, start=MICROSECONDS)
    columns: dict[str, Any] = made.columns
    columns["dropped_kernel"] = np.where((columns["time"] == MICROSECONDS + bad * MINUTE) & (columns["worker"] == 0), 20, 0).astype(np.uint64)
    return made


def carried(service_id: str, minute: int, down: int, up: int) -> Batch:
    """One row of a flow that a service opened."""
    return flows(1, start=MICROSECONDS + minute * MINUTE, span=MINUTE, client_service_id=Coded.same(service_id, 1), server_service_id=Coded.same("", 1),
                 client_duplicate=np.zeros(1, np.uint8), client_bytes=np.array([up], np.uint64), server_bytes=np.array([down], np.uint64))


def test_a_line_is_delivered_and_taken_away_by_what_a_real_store_says(office: Office, clock: Clock, tmp_path: Path) -> None:
    clock.now = THEN
    order_id, item_id, service_id = started(office)
    store = open_store(f"chdb://{tmp_path}/store")
    try:
        put(store, *(carried(service_id, minute, down, FULL) for minute, down in ((2, 1000), (3, FULL - 1), (4, FULL), (6, FULL), (30, 5))), lost(50, 4))
        Job(store).run()
    finally:
        store.close()
    office.__dict__["evidence"] = Evidence(store.url)
    clock.forward(minutes=20)
    act(office, lambda desk: install(desk, item_id, [(THEN + timedelta(minutes=3), THEN + timedelta(minutes=6, seconds=59))]))
    with pytest.raises(Refusal, match="at most 712,499,999 bytes down"):      # minute 4 carried enough, and was not measured; minute 6 is cut by the test's end
        complete(office, order_id)
    act(office, lambda desk: install(desk, item_id, [(THEN + timedelta(minutes=6), THEN + timedelta(minutes=7))]))
    assert complete(office, order_id) == "completed"
    with office.reading() as desk:
        known = reached(desk, desk.session.get_one(OrderItem, item_id))
        assert known["firstTrafficSeen"].reached == THEN + timedelta(minutes=2) and known["rateVerified"].reached == THEN + timedelta(minutes=6)
    gone = act(office, lambda desk: move(desk, orders.terminate(desk, service_id).id, "inProgress")).id
    gone_item = item_of(office, gone)
    act(office, lambda desk: disconnect(desk, gone_item))
    clock.forward(minutes=18)                           # minute 30 carried something after all
    with pytest.raises(Refusal, match="7 measured minutes without traffic"):
        complete(office, gone)
    clock.forward(minutes=3)
    assert complete(office, gone) == "completed"
    office.evidence.close()
