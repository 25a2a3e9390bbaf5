"""The pages on which field work is arranged: shifts, inspection plans, articles, the holidays of a year that is not published; in both languages."""
from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from sqlalchemy import select

from bss.cli import command
from bss.office import Office
from bss.people import user
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.tables import Article, InspectionPlan, Job, Login, Roster
from bss.tickets import calendar, holidays, template, timetable
from bss.tickets.calendar import published_until
from tests.bss.conftest import Clock, site
from tests.bss.selling import act, person
from tests.bss.test_reach import written

NEXT = published_until() + 1


@pytest.fixture
def browser(office: Office) -> Iterator[Any]:
    """Somebody who may arrange all of it, and a way to send a form with his mark."""
    office.act(SYSTEM, lambda desk: user.make(desk, "boss", "Boss", "a long password", ["manager"]))
    with TestClient(site(office), headers={"accept": "text/html"}) as client:
        client.post("/login", data={"login": "boss", "password": "a long password"})
        with office.reading() as desk:
            mark = desk.session.execute(select(Login.csrf)).scalar_one()

        def send(path: str, **form: str) -> Any:
            return client.post(path, data={"csrf": mark, **form})
        client.send_form = send         # type: ignore[attr-defined]
        yield client


def one(office: Office, table: Any) -> Any:
    with office.reading() as desk:
        return desk.session.execute(select(table)).scalar_one()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_shift_is_added_and_cut_on_its_page(office: Office, browser: Any, clock: Clock, lang: str) -> None:
    lin = person(office, "lin", "assurance")
    page = browser.get(f"/field/rosters?lang={lang}").text
    assert (">经理<" if lang == "zh" else ">manager<") in page and "lin" in page and "客户经理" not in page
    added = browser.send_form("/field/rosters", level="lead", user=lin.id, region="", since="2026-12-01T08:00", until="2026-12-08T08:00")
    assert added.status_code == 200 and ("班次已保存" if lang == "zh" else "The shift is kept") in added.text
    row = one(office, Roster)
    assert (row.level, row.since, row.until) == ("lead", datetime(2026, 12, 1, 0, tzinfo=UTC), datetime(2026, 12, 8, 0, tzinfo=UTC))        # clocks of here
    assert browser.send_form("/field/rosters", level="lead", user="").status_code == 400
    assert browser.send_form("/field/rosters", level="lead", user=lin.id, since="soon", until="later").status_code == 400
    assert browser.send_form(f"/field/rosters/{row.id}/cut", at="2026-12-03T08:00").status_code == 200
    assert one(office, Roster).until == datetime(2026, 12, 3, 0, tzinfo=UTC)
    assert browser.send_form("/field/rosters/nobody/cut").status_code == 404


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_plan_is_made_handed_over_and_ended_on_its_page(office: Office, browser: Any, clock: Clock, lang: str) -> None:
    lin, wang = person(office, "lin", "assurance"), person(office, "wang", "contractor")
    assert ("新建计划" if lang == "zh" else "Make a plan") in browser.get(f"/field/plans?lang={lang}").text
    made = browser.send_form("/field/plans", name="OLT 机房", every="month", days="10", owner=lin.id, checklist="site", region="贵阳")
    row = one(office, InspectionPlan)
    assert made.url.path == f"/field/plans/{row.id}" and "OLT 机房" in made.text and (row.days, row.every, row.owner_id) == (10, "month", lin.id)
    assert browser.send_form("/field/plans", name="x", every="month", days="ten", owner=lin.id).status_code == 400
    assert "wang" in browser.send_form(f"/field/plans/{row.id}/change", owner=wang.id).text and one(office, InspectionPlan).owner_id == wang.id
    clock.forward(minutes=30)
    assert browser.send_form(f"/field/plans/{row.id}/change", until="").status_code == 200
    assert one(office, InspectionPlan).until == clock.now and "/change" not in browser.get(f"/field/plans/{row.id}").text


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_article_is_written_changed_and_retired_on_its_page(office: Office, browser: Any, lang: str) -> None:
    words = {"title_en": "Dark fibre", "title_zh": "无光", "text_en": "Look at the\r\nsplice.", "text_zh": "查看接头。",
             "alert_kinds": "loss_of_signal, onu_offline", "ticket_kinds": "outage"}
    assert ("撰写文章" if lang == "zh" else "Write an article") in browser.get(f"/field/knowledge?lang={lang}").text
    assert browser.get("/field/articles/new").status_code == 200
    kept = browser.send_form("/field/articles", **words)
    row = one(office, Article)
    assert kept.url.path == f"/field/knowledge/{row.id}" and row.text["en"] == "Look at the\nsplice." and row.alert_kinds == ["loss_of_signal", "onu_offline"]
    assert browser.send_form("/field/articles", **{**words, "text_zh": " "}).status_code == 400
    form = browser.get(f"/field/articles/{row.id}").text
    assert "loss_of_signal onu_offline" in form and f'value="{row.version}"' in form
    assert browser.send_form(f"/field/articles/{row.id}", **{**words, "title_zh": "光路中断"}, version=str(row.version)).status_code == 200
    assert browser.send_form(f"/field/articles/{row.id}", **words, version=str(row.version)).status_code == 412        # somebody else was quicker
    assert one(office, Article).title["zh"] == "光路中断"
    assert browser.send_form(f"/field/articles/{row.id}/retire", reason="wrong").status_code == 200 and one(office, Article).retired
    assert browser.get(f"/field/articles/{row.id}/retire").status_code == 405 and browser.get("/field/articles/nobody").status_code == 404


def test_who_may_not_write_sees_no_form(office: Office) -> None:
    office.act(SYSTEM, lambda desk: user.make(desk, "gong", "Gong", "a long password", ["contractor"]))
    with TestClient(site(office), headers={"accept": "text/html"}) as client:
        client.post("/login", data={"login": "gong", "password": "a long password"})
        for path in ("/field/rosters", "/field/plans", "/field/knowledge", "/field/calendars"):
            page = client.get(path)
            assert page.status_code == 200 and 'method="post" action="/field' not in page.text, path
        assert client.get("/field/articles/new").status_code == 403


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_year_without_published_holidays_is_said_and_entered(office: Office, browser: Any, clock: Clock, lang: str) -> None:
    clock.now = datetime(NEXT - 1, 9, 1, 1, tzinfo=UTC)
    with TestClient(browser.app, headers={"accept": "text/html"}) as client:
        client.post("/login", data={"login": "boss", "password": "a long password"})
        said = f"{NEXT} 年的节假日尚未录入" if lang == "zh" else f"The holidays of {NEXT} are not known yet"
        assert said not in client.get(f"/?lang={lang}").text
        clock.now = datetime(NEXT - 1, 11, 30, 1, tzinfo=UTC)        # it is near
        client.post("/login", data={"login": "boss", "password": "a long password"})
        assert said in client.get(f"/?lang={lang}").text and said in client.get(f"/field/calendars?lang={lang}").text
        with office.reading() as desk:
            assert [tuple(one) for one in holidays.lacking(desk)] == [("business", NEXT), ("workdays", NEXT)]
            assert timetable.calendar_of(desk, "business").works(date(NEXT, 1, 1)) == (date(NEXT, 1, 1).weekday() < 5)
            assert holidays.between(desk, "business", date(NEXT - 1, 12, 1), date(NEXT, 1, 5)) == [NEXT] and not holidays.between(
                desk, "24x7", date(NEXT, 1, 1), date(NEXT + 9, 1, 1))
        mark = re.findall(r'name="csrf" value="([^"]+)"', client.get("/field/calendars").text)[-1]
        done = client.post("/field/calendars/holidays", data={"csrf": mark, "off": f"{NEXT}-01-01/{NEXT}-01-03， {NEXT}-02-05", "worked": f"{NEXT}-02-06"})
        assert done.status_code == 200 and said not in done.text and said not in client.get("/").text
    with office.reading() as desk:
        assert not holidays.lacking(desk)
        for key, hours in (("business", ((32400, 64800),)), ("workdays", calendar.WHOLE)):
            found = timetable.calendar_of(desk, key)
            assert [found.hours(date(NEXT, *day)) for day in ((1, 1), (1, 3), (2, 5), (2, 6))] == [(), (), (), hours], key
        assert {one.argument["key"] for one in desk.session.query(Job).filter(Job.kind == "calendar.follow")} == {"business", "workdays"}


def test_holidays_are_entered_by_api_and_command(office: Office, tmp_path: Any) -> None:
    from tests.bss.test_tickets_api import asking

    with asking(office) as client:
        assert client.get("/fullspan/v1/holidays").json()["publishedUntil"] == NEXT - 1
        assert client.post("/fullspan/v1/holidays", json={"off": [f"{NEXT - 1}-01-01"]}).status_code == 409
        assert client.post("/fullspan/v1/holidays", json={"off": [f"{NEXT}-01-01"], "worked": [f"{NEXT}-01-01"]}).status_code == 400
        assert client.post("/fullspan/v1/holidays", json={}).status_code == 400
        made = client.post("/fullspan/v1/holidays", json={"off": [f"{NEXT}-01-01"]})
        assert made.status_code == 201 and [one["id"] for one in made.json()] == ["business", "workdays"]
        told = client.get("/fullspan/v1/calendar/business/due", params={"since": f"{NEXT}-12-30T00:00:00+08:00", "minutes": 3000}).json()
        assert told["holidaysLacking"] == [NEXT + 1]
    config, _ = written(office, tmp_path)
    run = lambda *words: CliRunner().invoke(command, ["--config", str(config), "calendar", *words])          # noqa: E731
    assert run("holidays", "--off", f"{NEXT}-05-01/{NEXT}-05-03", "--worked", f"{NEXT}-05-08").exit_code == 0
    assert run("holidays", "--off", "may").exit_code == 2 and run("list").exit_code == 0
    assert str(NEXT + 1) in run("due", "business", f"{NEXT}-12-30", "--minutes", "3000", "--json").output
    with office.reading() as desk:
        assert timetable.calendar_of(desk, "business").hours(date(NEXT, 5, 2)) == () and template.current(desk, "calendar", "business").version == 2
    with pytest.raises(Refusal, match="holds in all regions"):
        act(office, lambda desk: holidays.enter(desk, [date(NEXT, 6, 1)]), person(office, "m", "manager", regions=("贵阳",)))
