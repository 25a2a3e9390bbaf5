"""The evidence chain on a real store: rows of usage to flows, digests that tell what was changed, flows that have gone, who may see what."""
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from bss.cli import command
from bss.office import Office
from bss.people import user
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.settings import Settings
from bss.tables import Customer, Party, Service
from bss.tracing import alert, chain, flows, rollup, things
from bss.tracing.flows import Chosen
from bss.tracing.step import Step, told
from dpi.batch import Batch, Coded, Texts
from dpi.store import Store, open_store
from dpi.usage import definition
from dpi.usage.computing import Job
from tests.bss.belongings import token
from tests.bss.conftest import BEGIN as NOW
from tests.bss.conftest import Clock, served, site
from tests.usage.traffic import BEGIN, MINUTE, coverage, put
from tests.usage.traffic import flows as made_up

START = datetime.fromtimestamp(BEGIN // 1_000_000, UTC)
HOUR = timedelta(hours=1)
ALERT = "0123456789abcdef"
MANAGER = Actor("", "manager", frozenset({"manager"}))
CLERK = Actor("", "clerk", frozenset({"billing"}))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two hours of flows of a probe, and an alert about one of the services with what it was counted from."""
    store = open_store(f"chdb://{tmp_path_factory.mktemp('tracing')}/store")
    put(store, made_up(2000), made_up(1500, seed=2, start=BEGIN + 60 * MINUTE), coverage(range(120), frames=500))
    Job(store).run()
    times = np.array([BEGIN], np.int64)
    words = {"alert_id": ALERT, "dedup_key": "k", "source": "198.51.100.9", "target": "192.0.2.1", "summary": "SYN flood on 192.0.2.1",
             "summary_zh": "SYN 洪水", "evidence": "900 of 300 packets in a second; rows: ip_protocol = 6 AND server_service_id = 'S2'"}
    codes = {"kind": "syn_flood", "severity": "high", "service_id": "S2", "customer_id": "C2", "probe": "p1"}
    shared = {**{name: Texts.of([value]) for name, value in words.items()}, **{name: Coded.of([value]) for name, value in codes.items()},
              "capture_id": np.zeros(1, np.uint64)}
    put(store, Batch("alerts", 1, {**shared, "state": Coded.of(["raised"]), "first_time": times, "last_time": times + MINUTE, "count": np.ones(1, np.uint64),
                                   "revision": np.ones(1, np.uint32)}))
    fired = {name: column for name, column in shared.items() if name not in ("dedup_key", "summary", "summary_zh")}
    put(store, Batch("detections", 1, {**fired, "time": times, "slot_begin": times, "slot_end": times + MINUTE, "packets": np.array([900], np.uint64),
                                       "flow_id": np.array([7], np.uint64)}))
    yield store
    store.close()


@pytest.fixture
def office(store: Store, founded_sqlite: Settings, tmp_path: Path) -> Iterator[Office]:
    """An office whose services are those of the store: S0 to S4, of which S3 is of another region."""
    settings = founded_sqlite.model_copy(update={"database": f"sqlite:///{tmp_path / 'bss.db'}", "keys": str(tmp_path / "bss.keys"), "store": store.url})
    shutil.copy(founded_sqlite.keys, settings.keys)
    shutil.copy(founded_sqlite.database.removeprefix("sqlite:///"), tmp_path / "bss.db")
    office = Office(settings, Clock())

    def fill(desk: Any) -> None:
        party = desk.add(Party(kind="organization", name="云上", created=desk.now))
        customer = desk.add(Customer(number="K1", party_id=party.id, class_="A", region="贵阳", created=desk.now))
        for n in range(5):
            desk.add(Service(id=f"S{n}", circuit=f"GZ-{n}", customer_id=customer.id, offering="x", offering_version=1, kind="leased_line", class_="A",
                             region="遵义" if n == 3 else "贵阳", state="active", created=desk.now))
    office.act(SYSTEM, fill)
    yield office
    office.close()


def figure(step: Step, name: str) -> Any:
    return next(one.value for one in step.figures if one.name == name)


def keys(step: Step) -> set[str]:
    return {one.key for one in step.said}


def test_the_digest_is_the_probes_own() -> None:
    """Word for word what dpi.usage computes with, though the business does not know that."""
    for table, names in rollup.DIGESTED.items():
        assert names == (*definition.keys(table), *definition.figures(table)), table
        own = definition.digests(table, "X").split("lower(")[1].split(" AS digest")[0]
        assert own in rollup.proof(table, "1").replace("lower(", "", 1)


def test_every_row_of_an_hour_adds_up_to_its_flows(office: Office, store: Store) -> None:
    with office.reading(MANAGER) as desk:
        step = chain.hours(desk, ["S1", "S2"], START, START + 2 * HOUR)
        assert {"unchanged", "adds_up"} == keys(step) and all(one.good for one in step.said)
        lines = step.rows[0].lines
        assert len(lines) > 8
        for line in lines:
            way = line[4].way
            assert way is not None and way.since is not None and way.until is not None
            found = flows.sums(desk, [way.id], Chosen(way.table, way.since, way.until, way.category, way.application))
            assert [found.down_bytes, found.up_bytes, found.flows] == [one.value for one in line[4:7]], line
        total = store.query("SELECT sum(down_bytes), sum(up_bytes) FROM usage_1h FINAL WHERE service_id IN ('S1', 'S2')").rows[0]
        assert [figure(step, "down"), figure(step, "up")] == [int(one) for one in total]
        by_hour = flows.hourly(desk, ["S1", "S2"], START, START + 2 * HOUR)
        assert list(by_hour) == [START, START + HOUR] and sum(one.down_bytes for one in by_hour.values()) == figure(step, "down")


def test_minutes_lead_to_their_flows(office: Office) -> None:
    with office.reading(MANAGER) as desk:
        step = chain.minutes(desk, "S1", START + timedelta(minutes=5), START + timedelta(minutes=15))
        assert figure(step, "minutes") == figure(step, "measured") == 10 and {"unchanged", "adds_up"} == keys(step)
        line = next(one for one in step.rows[0].lines if one[2].value)
        way = line[2].way
        assert way is not None and way.since is not None and way.until is not None
        last = chain.flow(desk, way.id, Chosen(way.table, way.since, way.until))
        assert figure(last, "down") == line[2].value and figure(last, "rows") == len(last.rows[0].lines) > 0 and keys(last) == {"slot_whole"}
        assert sum(int(str(one[6].value)) for one in last.rows[0].lines) == line[2].value


def test_what_was_changed_after_it_was_closed_is_said(office: Office, store: Store) -> None:
    with office.reading(MANAGER) as desk:
        before = rollup.slots(desk, "usage_1h", ["S1"], START, START + 2 * HOUR)
        assert [one.state for one in before] == ["whole", "whole"] and before[0].digest == before[0].now
    store.query("ALTER TABLE usage_1h UPDATE down_bytes = down_bytes + 1 WHERE service_id = 'S2' AND time = "
                f"fromUnixTimestamp64Second({BEGIN // 1_000_000}, 'UTC') SETTINGS mutations_sync = 2")
    try:
        with office.reading(MANAGER) as desk:
            assert [one.state for one in rollup.slots(desk, "usage_1h", ["S2"], START, START + 2 * HOUR)] == ["changed", "whole"]
            step = chain.hours(desk, ["S2"], START, START + 2 * HOUR)
            assert {"changed", "differs"} == keys(step) and not any(one.good for one in step.said)
            assert keys(chain.hours(desk, ["S2"], START + HOUR, START + 2 * HOUR)) == {"unchanged", "adds_up"}
    finally:
        store.query("ALTER TABLE usage_1h UPDATE down_bytes = down_bytes - 1 WHERE service_id = 'S2' AND time = "
                    f"fromUnixTimestamp64Second({BEGIN // 1_000_000}, 'UTC') SETTINGS mutations_sync = 2")


def test_flows_that_came_late_and_flows_that_have_gone_are_said(office: Office, store: Store) -> None:
    late = made_up(30, seed=11, start=BEGIN + 70 * MINUTE, span=MINUTE)
    put(store, late)
    with office.reading(MANAGER) as desk:
        assert keys(chain.hours(desk, ["S0", "S1", "S2", "S4"], START + HOUR, START + 2 * HOUR)) == {"unchanged", "late", "differs"}
    Job(store).run()
    with office.reading(MANAGER) as desk:
        step = chain.hours(desk, ["S0", "S1", "S2", "S4"], START + HOUR, START + 2 * HOUR)
        assert keys(step) == {"unchanged", "adds_up"} and {line[8].value for line in step.rows[0].lines} == {2}
        used = figure(step, "down")
    store.query(f"ALTER TABLE flows DELETE WHERE interval_start >= fromUnixTimestamp64Micro({BEGIN + 60 * MINUTE}, 'UTC') SETTINGS mutations_sync = 2")
    with office.reading(MANAGER) as desk:
        step = chain.hours(desk, ["S0", "S1", "S2", "S4"], START + HOUR, START + 2 * HOUR)
        assert keys(step) == {"unchanged", "gone"} and figure(step, "down") == used > 0
        last = chain.flow(desk, "S1", Chosen("usage_1h", START + HOUR, START + 2 * HOUR))
        assert figure(last, "rows") == 0 and keys(last) == {"slot_gone"}


def test_an_alert_leads_to_its_detections_and_flows(office: Office, store: Store) -> None:
    with office.reading(MANAGER) as desk:
        step = chain.alert(desk, ALERT)
        assert figure(step, "alert_kind") == "syn_flood" and figure(step, "counted") == "900 of 300 packets in a second"
        assert [line[3].value for line in step.rows[0].lines] == [900]
        way = step.rows[0].lines[0][3].way
        assert way is not None and way.what == "alertFlows"
        last = chain.alert_flows(desk, way.id)
        count = store.query("SELECT count() FROM flows WHERE ip_protocol = 6 AND server_service_id = 'S2'").value()
        assert 0 < figure(last, "rows") == min(int(count), flows.SHOWN)
        for wrong in ("nothing", "0123456789abcde'", ""):
            with pytest.raises(Refusal, match="there is no alert"):
                alert.alert(desk, wrong)


def test_who_may_see_what(office: Office) -> None:
    span = (START, START + HOUR)
    with office.reading(CLERK) as desk:
        assert figure(chain.hours(desk, ["S1"], *span), "down") > 0
        step = chain.flow(desk, "S1", Chosen("usage_1h", *span))
        assert figure(step, "rows") > 0 and not step.rows and "hidden" in keys(step)
        with pytest.raises(Refusal, match="traffic.read"):
            flows.rows(desk, "S1", Chosen("usage_1h", *span))
    elsewhere = Actor("", "there", frozenset({"manager"}), regions=("遵义",))
    with office.reading(elsewhere) as desk:
        for what in (lambda: chain.hours(desk, ["S1"], *span), lambda: chain.minutes(desk, "S1", *span), lambda: things.trace(desk, "S1"),
                     lambda: chain.flow(desk, "S1", Chosen("usage_1h", *span)), lambda: chain.alert(desk, ALERT)):
            with pytest.raises(Refusal) as refused:
                what()
            assert refused.value.kind == "missing"
    with office.reading(Actor("", "p", frozenset({"assurance"}))) as desk:
        assert chain.minutes(desk, "S1", *span).rows[0].lines
    for role in ("presales", "contractor"):         # what somebody used his line for is not theirs to know
        with office.reading(Actor("", "p", frozenset({role}))) as desk, pytest.raises(Refusal, match="needs the permission"):
            rollup.hours(desk, ["S1"], *span)


def test_a_time_is_bounded_and_a_store_that_is_away_is_said(office: Office) -> None:
    with office.reading(MANAGER) as desk:
        with pytest.raises(Refusal, match="longer than 32 days"):
            chain.minutes(desk, "S1", START, START + timedelta(days=40))
        with pytest.raises(Refusal, match="ends before it begins"):
            chain.span(START, START, NOW)
        assert chain.span(None, None, NOW) == (NOW - timedelta(days=1), NOW) and chain.span(START, None, NOW)[1] == START + timedelta(days=1)
    office.evidence.close()
    office.__dict__["evidence"].url = "none"
    with office.reading(MANAGER) as desk, pytest.raises(Refusal) as away:
        chain.hours(desk, ["S1"], START, START + HOUR)
    assert away.value.kind == "away"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_step_is_a_page_whose_figures_are_links(office: Office, lang: str) -> None:
    office.act(SYSTEM, lambda desk: user.make(desk, "boss", "Boss", "a long password", ["manager"]))
    span = f"since={START:%Y-%m-%dT%H:%M:%S}Z&until={START + HOUR:%Y-%m-%dT%H:%M:%S}Z&lang={lang}"
    with TestClient(site(office), headers={"accept": "text/html"}) as client:
        client.post("/login", data={"login": "boss", "password": "a long password"})
        assert "/trace/S1/hours?since=" in client.get("/trace/GZ-1").text
        page = client.get(f"/trace/S1/hours?{span}")
        href = re.search(r'href="(/trace/S1/flows[^"]+)"', page.text)
        assert page.status_code == 200 and href is not None
        last = client.get(href[1].replace("&amp;", "&"))
        assert last.status_code == 200 and "192.0.2" in last.text or re.search(r"\d+\.\d+\.\d+\.\d+ \d+", last.text)
        for path in (f"/trace/S1/minutes?{span}", f"/trace/{ALERT}/alert", f"/trace/{ALERT}/alertFlows", f"/trace/S1/flows?{span}&table=usage_1m"):
            assert client.get(path).status_code == 200, path
        assert client.get(f"/trace/S1/flows?{span}&table=other").status_code == 400 and client.get("/trace/nothing").status_code == 404


def test_api_and_command_give_the_same_steps(office: Office, tmp_path: Path) -> None:
    secret = token(office, "manager", [])
    since, until = f"{START:%Y-%m-%dT%H:%M:%S}Z", f"{START + HOUR:%Y-%m-%dT%H:%M:%S}Z"
    with TestClient(served(office), headers={"authorization": f"Bearer {secret}"}) as client:
        found = client.get("/fullspan/v1/trace/S1/hours", params={"since": since, "until": until}).json()
        with office.reading(MANAGER) as desk:
            assert found == json.loads(json.dumps(told(chain.hours(desk, ["S1"], START, START + HOUR), "/fullspan/v1/trace")))
        last = client.get(found["table"][0]["row"][0][4]["href"]).json()
        assert last["kind"] == "flows" and {one["name"]: one.get("value") for one in last["figure"]}["down"] == found["table"][0]["row"][0][4]["value"]
        assert client.get("/fullspan/v1/trace/S9").status_code == 404
    (config := tmp_path / "bss.toml").write_text("\n".join(f"{name} = {json.dumps(getattr(office.settings, name))}" for name in ("database", "keys", "store")))
    runner = CliRunner()
    said = runner.invoke(command, ["--config", str(config), "trace", "S1", "--step", "hours", "--since", since, "--until", until, "--json"])
    assert said.exit_code == 0 and json.loads(said.output) == found
    span = ["--since", since, "--until", until]
    for words in (["S1"], ["S1", "--step", "flows", *span], [ALERT, "--step", "alert"], ["S1", "--step", "minutes", *span]):
        assert runner.invoke(command, ["--config", str(config), "trace", *words]).exit_code == 0, words
