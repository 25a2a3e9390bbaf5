"""What comes from outside and is too much, or is not what it says: bodies, keys, lists as files, pools, two who change the ring at once."""
from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bss.api.bound import LARGEST
from bss.catalogue.reading import of_text
from bss.keeping import keys
from bss.office import Office
from bss.parties.search import search
from bss.people import token, user
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.running.taking import _csv
from bss.sealing import Ring
from bss.services import pool, resource
from tests.bss.conftest import served
from tests.bss.selling import SAMPLE, act, customer


def let_in(office: Office, *tokens: tuple[str, ...]) -> list[dict[str, str]]:
    """Headers of tokens of one manager and presales."""
    def make(desk: Any) -> list[dict[str, str]]:
        his = user.make(desk, "boss", "Boss", None, ["manager", "presales"])
        return [{"Authorization": f"Bearer {token.make(desk, his.id, 'x', roles)[0]}"} for roles in tokens]
    return act(office, make)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_bounded_before_anything_reads_it(office: Office, chunked: bool) -> None:
    asking = TestClient(served(office), raise_server_exceptions=False)
    lot = b'{"a":"' + b"x" * LARGEST + b'"}'
    body: Any = (lot[k:k + (1 << 20)] for k in range(0, len(lot), 1 << 20)) if chunked else lot
    found = asking.post("/fullspan/v1/login", content=body, headers={"Content-Type": "application/json"})
    assert found.status_code == 413 and found.json()["code"] == "413"
    # where the key has the body read, who is not known is not read from at all
    assert asking.post("/fullspan/v1/attachment?entity=customer&entityId=C1&name=a.txt", content=b"x",
                       headers={"Idempotency-Key": "1", "Authorization": "Bearer none"}).status_code == 401


def test_an_answer_is_not_told_to_a_token_that_may_less(office: Office) -> None:
    all_of_his, fewer = let_in(office, (), ("presales",))
    asking = TestClient(served(office))
    owner = customer(office)
    made = {"customer": {"id": owner}, "need": {"kind": "wlan"}}
    first = asking.post("/fullspan/v1/enquiry", json=made, headers={**all_of_his, "Idempotency-Key": "k"})
    assert first.status_code == 201
    assert asking.post("/fullspan/v1/enquiry", json=made, headers={**all_of_his, "Idempotency-Key": "k"}).json() == first.json()
    assert asking.post("/fullspan/v1/enquiry", json=made, headers={**fewer, "Idempotency-Key": "k"}).status_code == 422


@pytest.mark.parametrize("cell", ["=1+1", " =1+1", "\uff1d1+1", "\uff20x", "\t=1", "\r=1", "-1"])
def test_a_cell_that_a_spreadsheet_would_calculate_is_text(cell: str) -> None:
    assert _csv(["a"], [[cell], ["x=1"], [""], [None]]).decode("utf-8-sig").splitlines()[1].strip('"').startswith("'")
    assert b"'x=1" not in _csv(["a"], [["x=1"]]) and b"'" not in _csv(["a"], [[""], [7]])


@pytest.mark.parametrize("text", ["\u00b2", "0000199999999999999999999999", "\u0661", "04095"])
def test_numbers_that_are_none_are_looked_for_all_the_same(office: Office, text: str) -> None:
    assert act(office, lambda desk: search(desk, text)) == []


@pytest.mark.parametrize("detail", [{"pool": True}, {"pool": True, "first": "1", "last": 9}, {"pool": True, "first": 1, "last": 10 ** 9}])
def test_a_pool_stays_one_when_it_is_changed(office: Office, detail: dict[str, Any]) -> None:
    made = act(office, lambda desk: pool.create(desk, kind="vlan", name="v", region="x", first=1, last=9).id)
    with pytest.raises(Refusal, match="pool"):
        act(office, lambda desk: resource.change(desk, made, detail=detail))
    with pytest.raises(Refusal, match="not a name"):
        act(office, lambda desk: resource.change(desk, made, name=" "))


def test_two_who_rotate_keys_at_once_lose_none(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    write = Ring.write

    def slow(self: Ring, path: Path) -> None:
        time.sleep(0.2)             # long enough for the other one to have read the ring, if he may
        write(self, path)

    def rotate() -> None:
        made.append(office.act(SYSTEM, keys.rotate))

    monkeypatch.setattr(Ring, "write", slow)
    others = [threading.Thread(target=rotate) for _ in range(2)]
    for one in others:
        one.start()
    for one in others:
        one.join()
    assert sorted(made) == [2, 3] and set(office.ring.keys) == {1, 2, 3}


def test_a_price_by_the_mbit_takes_rates() -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    rates = next(one for one in text.splitlines() if one.startswith("rates = ") and "most_mbps" in one)
    begin = text.index('code = "line-a"')
    with pytest.raises(Refusal):
        of_text(text[:begin] + text[begin:].replace(rates, "", 1).replace('kind = "leased_line"', 'kind = "wlan"', 1), "x")
