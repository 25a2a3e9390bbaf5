"""Who may follow which figure: every step of the evidence chain by API, page and command, as every role, on a store that has traffic and alerts of two regions.
What is another region's, another customer's or not one's own work is not there; what one may follow answers; no step gives away what another one hides."""
from __future__ import annotations

import html
import json
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from bss.cli import command
from bss.office import Office
from bss.people.entry import COOKIE, digest_of
from bss.people.scope import SYSTEM
from bss.settings import Settings
from bss.tables import Alarm, ApiToken, Bill, Login, RatedCharge, SlaMonth, Ticket, User
from bss.tables.person import ROLES
from dpi.batch import Batch, Coded, Texts
from dpi.store import Store, open_store
from dpi.usage.computing import Job
from tests.bss.belongings import fill
from tests.bss.conftest import Clock, served, site
from tests.bss.test_belonging import HERE, MARK, THERE
from tests.usage.traffic import MINUTE, coverage, put
from tests.usage.traffic import flows as made_up

OWN = "Guiyang1Own"
START = datetime(2023, 11, 14, 22, tzinfo=UTC)         # long ago by whatever clock
BEGIN = int(START.timestamp()) * 1_000_000
#: Pages that are gone to as each role, and steps of a chain: more where there is time (see conftest.py).
PAGES, STEPS = (250, 20) if os.environ.get("FULLSPAN_DATABASES") == "both" else (100, 10)
SPAN = {"since": "2023-11-14T22:00:00Z", "until": "2023-11-14T23:00:00Z"}
THINGS = ("service", "product_order", "ticket", "sla_month", "credit", "bill", "rated_charge")
ALERTS = {THERE: "a" * 16, HERE: "b" * 16, "link": "c" * 16}
#: Who may take each step, written once more: the roles of permission.py that have one of its permissions.
P, V, A, B, M, K, C, U, R = ROLES
MAY = {"service": {P, V, A, B, M, U, K, C}, "product_order": {P, V, A, B, M, U, K, C}, "ticket": {P, V, A, B, M, U, K, C}, "sla_month": {P, V, A, B, M, U, C},
       "credit": {P, V, A, B, M, U, C}, "bill": {B, M, U, C}, "rated_charge": {B, M, U, C},
       "hours": {A, B, M, C, U}, "minutes": {P, V, A, B, M, C, U}, "flows": {P, V, A, B, M, C, U}, "category": {A, B, M, C, U},
       "alert": {P, V, A, B, M, U, K, C}, "alertFlows": {A, M, C}, "rows": {A, M, C}}


class Place(NamedTuple):
    """An office with rows of two regions, and a store with their traffic."""
    office: Office
    theirs: dict[str, str]
    own: dict[str, str]


def _alert(store: Store, alert_id: str, service: str, mark: str) -> None:
    times = np.array([BEGIN], np.int64)
    words = {"alert_id": alert_id, "dedup_key": alert_id, "source": "198.51.100.9", "target": "192.0.2.1", "summary": f"SYN flood {mark}", "summary_zh": mark,
             "evidence": f"900 of 300 packets {mark}; rows: ip_protocol = 6"}
    codes = {"kind": "syn_flood", "severity": "high", "service_id": service, "customer_id": "", "probe": "p1"}
    shared = {**{name: Texts.of([value]) for name, value in words.items()}, **{name: Coded.of([value]) for name, value in codes.items()},
              "capture_id": np.zeros(1, np.uint64)}
    put(store, Batch("alerts", 1, {**shared, "state": Coded.of(["raised"]), "first_time": times, "last_time": times + MINUTE, "count": np.ones(1, np.uint64),
                                   "revision": np.ones(1, np.uint32)}))
    fired = {name: column for name, column in shared.items() if name not in ("dedup_key", "summary", "summary_zh")}
    put(store, Batch("detections", 1, {**fired, "time": times, "slot_begin": times, "slot_end": times + MINUTE, "packets": np.array([900], np.uint64),
                                       "flow_id": np.array([7], np.uint64)}))


def _carried(store: Store, service: str, mark: str, seed: int) -> None:
    count = 200
    put(store, made_up(count, seed=seed, start=BEGIN, client_service_id=Coded.same(service, count), server_service_id=Coded.same("", count),
                       client_duplicate=np.zeros(count, np.uint8), server_name=Texts.of([f"{mark}.example"] * count),
                       category=Coded.same(f"cat-{mark}", count)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, founded_sqlite: Settings) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("followed")
    store = open_store(f"chdb://{folder}/store")
    settings = founded_sqlite.model_copy(update={"database": f"sqlite:///{folder / 'bss.db'}", "keys": str(folder / "bss.keys"), "store": store.url})
    shutil.copy(founded_sqlite.keys, settings.keys)
    shutil.copy(founded_sqlite.database.removeprefix("sqlite:///"), folder / "bss.db")
    office = Office(settings, Clock())
    theirs, own = fill(office, THERE, MARK), fill(office, HERE, OWN)

    def tell(desk: Any) -> None:
        for ids, alert_id in ((theirs, ALERTS[THERE]), (own, ALERTS[HERE])):
            row = desk.session.get_one(Ticket, ids["ticket"])
            row.alert_id, row.evidence = alert_id, {"note": row.summary}
            desk.session.get_one(Alarm, ids["alarm"]).evidence = {"alert_id": alert_id}
        desk.session.get_one(Alarm, own["alarm"]).key = "own"
        desk.add(Alarm(source="probe", key=ALERTS["link"], kind="congestion", severity="major", state="raised", resource_id=own["resource"], region=HERE,
                       summary="link", raised=desk.now, changed=desk.now, evidence={"alert_id": ALERTS["link"]}))
    office.act(SYSTEM, tell)
    _carried(store, theirs["service"], MARK, 3)
    _carried(store, own["service"], OWN, 4)
    put(store, coverage(range(120), start=BEGIN, frames=500))
    Job(store).run()
    _alert(store, ALERTS[THERE], theirs["service"], MARK)
    _alert(store, ALERTS[HERE], own["service"], OWN)
    _alert(store, ALERTS["link"], "", OWN)
    yield Place(office, theirs, own)
    office.close()
    store.close()


def steps(ids: dict[str, str], alert_id: str) -> dict[str, tuple[str, dict[str, str]]]:
    """What is asked for each step: path behind `/trace/`, and parameters."""
    service = ids["service"]
    return {**{kind: (ids[kind], {}) for kind in THINGS}, "hours": (f"{service}/hours", SPAN), "minutes": (f"{service}/minutes", SPAN),
            "flows": (f"{service}/flows", SPAN), "category": (f"{service}/flows", {**SPAN, "category": "video"}), "alert": (f"{alert_id}/alert", {}),
            "alertFlows": (f"{alert_id}/alertFlows", {})}


def entered(place: Place, role: str, **given: Any) -> str:
    """A user of a role, with a token and a cookie of his log-in's name."""
    login = f"{role}-{len(given)}-{'-'.join(sorted(given))}"

    def make(desk: Any) -> None:
        if desk.session.query(User).where(User.login == login).count():
            return
        user = desk.add(User(login=login, name=login, roles=[role], created=desk.now, **given))
        desk.add(ApiToken(user_id=user.id, name="t", digest=digest_of(login), created=desk.now, expires=desk.now + timedelta(days=1)))
        desk.session.add(Login(id=digest_of(f"cookie {login}"), user_id=user.id, csrf="mark", since=desk.now, seen=desk.now))
    place.office.act(SYSTEM, make)
    return login


def asked(place: Place, login: str, ids: dict[str, str], alert_id: str) -> dict[str, list[tuple[int, str]]]:
    """Of each step what API, page and command answered: status (of a command 200, 403 or 404 by what it says), text."""
    found: dict[str, list[tuple[int, str]]] = {}
    office = place.office
    app = site(office)
    config = Path(office.settings.keys).with_name("bss.toml")
    config.write_text("\n".join(f"{name} = {json.dumps(getattr(office.settings, name))}" for name in ("database", "keys", "store")))
    with (TestClient(app, headers={"authorization": f"Bearer {login}"}) as client,
          TestClient(app, cookies={COOKIE: f"cookie {login}"}, headers={"accept": "text/html"}) as browser):
        for name, (path, parameters) in steps(ids, alert_id).items():
            one, other = client.get(f"/fullspan/v1/trace/{path}", params=parameters), browser.get(f"/trace/{path}", params=parameters)
            words = [path.partition("/")[0], *(["--step", path.partition("/")[2]] if "/" in path else []),
                     *(word for key, value in parameters.items() for word in (f"--{key}", value))]
            typed = CliRunner().invoke(command, ["--config", str(config), "--as", login, "trace", *words, "--json"])
            status = 200 if typed.exit_code == 0 else 404 if "there is no" in typed.output else 403
            found[name] = [(one.status_code, one.text), (other.status_code, other.text), (status, typed.output)]
    return found


def mine(place: Place, login: str) -> str:
    """A ticket of his about a service that is not."""
    def give(desk: Any) -> str:
        user = desk.session.query(User).where(User.login == login).one()
        other = desk.session.get_one(Ticket, place.own["ticket"])
        row = Ticket(kind="outage", severity="major", priority=1, customer_id=other.customer_id, service_id=other.service_id, region=HERE, class_="A",
                     summary="mine", channel="phone", began=START, created=desk.now, updated=desk.now, owner_id=user.id, evidence={"note": "mine"})
        return str(desk.add(row).id)
    return str(place.office.act(SYSTEM, give))


def given_of(place: Place, role: str) -> dict[str, Any]:
    return {"regions": [HERE], "customers": [place.own["customer"]] if role == "customer" else []}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_follows_what_it_may_and_nothing_else(place: Place, role: str) -> None:
    login = entered(place, role, **given_of(place, role))
    for name, answers in asked(place, login, place.own, ALERTS[HERE]).items():
        wanted = 200 if role in MAY[name] else 403
        assert [status for status, _ in answers] == [wanted] * 3, (name, answers)
        assert all(MARK not in text for _, text in answers), name
        if name == "flows" and wanted == 200:       # sums are for more people than rows
            assert all((f"{OWN}.example" in text) == (role in MAY["rows"]) for _, text in answers), [text[-1500:] for _, text in answers]


@pytest.mark.parametrize("role", ROLES)
def test_another_region_can_not_be_followed(place: Place, role: str) -> None:
    login = entered(place, role, **given_of(place, role))
    for name, answers in asked(place, login, place.theirs, ALERTS[THERE]).items():
        assert all(status in (403, 404) and MARK not in text for status, text in answers), (name, answers)


def test_a_customer_follows_his_own_alone(place: Place) -> None:
    """Also within a region, and without the notes of who works here."""
    login = entered(place, "customer", customers=[place.own["customer"]])
    for name, answers in asked(place, login, place.theirs, ALERTS[THERE]).items():
        assert all(status in (403, 404) and MARK not in text for status, text in answers), (name, answers)
    told = asked(place, login, place.own, ALERTS[HERE])["ticket"]
    assert all(status == 200 for status, _ in told)
    for _, text in told:            # what API and page of the ticket keep from him is not in its trace
        assert "claimed" not in text.lower() and OWN not in text.replace(f"CIR-{OWN}", ""), text


@pytest.mark.parametrize("role", ["contractor", "assurance"])
def test_own_work_is_followed_though_the_service_is_another_ones(place: Place, role: str) -> None:
    login = entered(place, role, regions=[HERE], own_work=True)
    key = mine(place, login)
    told = asked(place, login, {**place.own, "ticket": key}, ALERTS[HERE])
    assert [status for status, _ in told["ticket"]] == [200] * 3, told["ticket"]
    for name in (*THINGS, "hours", "minutes", "flows", "alert", "alertFlows"):
        if name != "ticket":
            assert all(status in (403, 404) for status, _ in told[name]), (name, told[name])
    app = site(place.office)
    with TestClient(app, cookies={COOKIE: f"cookie {login}"}, headers={"accept": "text/html"}) as browser:
        assert browser.get(f"/tickets/{key}").status_code == 200


def test_an_alert_of_a_link_is_followed_in_its_region_but_not_its_rows(place: Place) -> None:
    """Rows of a whole link are of everybody's services."""
    login = entered(place, "assurance", regions=[HERE])
    told = asked(place, login, place.own, ALERTS["link"])
    assert [status for status, _ in told["alert"]] == [200] * 3
    assert all("alertFlows" not in text for _, text in told["alert"])
    assert [status for status, _ in told["alertFlows"]] == [403] * 3, told["alertFlows"]
    there = entered(place, "assurance", regions=[THERE], own_work=False)
    assert [status for status, _ in asked(place, there, place.theirs, ALERTS["link"])["alert"]] == [404] * 3
    everywhere = entered(place, "assurance")
    assert [status for status, _ in asked(place, everywhere, place.own, ALERTS["link"])["alertFlows"]] == [200] * 3


def test_every_way_that_a_step_offers_can_be_gone(place: Place) -> None:
    """By whoever is offered it: no figure is a link to what is refused."""
    for role in ROLES:
        login = entered(place, role, **given_of(place, role))
        app = served(place.office)
        with TestClient(app, headers={"authorization": f"Bearer {login}"}) as client:
            seen: set[str] = set()
            first = steps(place.own, ALERTS[HERE])
            wanted = [f"/fullspan/v1/trace/{path}" for name, (path, given) in first.items() if role in MAY[name] and not given]
            assert role == R or wanted
            while wanted:
                url = wanted.pop()
                if url in seen or len(seen) > STEPS:
                    continue
                seen.add(url)
                answer = client.get(url)
                assert answer.status_code == 200, (role, url, answer.text[:300])
                found = answer.json()
                wanted += [one["href"] for one in (*found["figure"], *(cell for table in found["table"] for line in table["row"][:1] for cell in line))
                           if "href" in one]


@pytest.mark.parametrize("role", [*(role for role in ROLES if role != R), "own contractor", "own assurance", "own manager"])
def test_no_link_of_a_page_leads_nowhere(place: Place, role: str) -> None:
    """From the first page on, by every link that is shown to a role; also to who sees his own work alone."""
    if role.startswith("own "):
        login = entered(place, role.removeprefix("own "), regions=[HERE], own_work=True)
        mine(place, login)
    else:
        login = entered(place, role, **given_of(place, role))
    app = site(place.office)
    seen: dict[str, str] = {}
    wanted = [("/", "")]
    with TestClient(app, cookies={COOKIE: f"cookie {login}"}, headers={"accept": "text/html"}) as browser:
        while wanted and len(seen) < PAGES:
            url, before = wanted.pop(0)
            path = re.sub(r"(since|until|at|offset)=[^&]*", r"\1", url)
            if path in seen or "lang=" in url or "/export/" in url or "format=" in url:
                continue
            seen[path] = before
            answer = browser.get(url)
            assert answer.status_code == 200, (role, url, "from", before, answer.text[-600:])
            if answer.headers["content-type"].startswith("text/html"):
                wanted += [(html.unescape(href), url) for href in re.findall(r'href="(/[^"]*)"', answer.text)]
    assert len(seen) > 15


def test_these_rows_are_what_is_traced(place: Place) -> None:
    with place.office.reading() as desk:
        assert all(desk.session.get(table, place.own[name]) for table, name in ((SlaMonth, "sla_month"), (Bill, "bill"), (RatedCharge, "rated_charge")))
