"""The running base: files read within bounds, every line looked at, brought in whole or not at all, taken back as it was."""
from __future__ import annotations

import csv
import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checking
from hypothesis import strategies as st
from openpyxl import Workbook
from sqlalchemy import select

from bss.desk import Desk
from bss.office import Office
from bss.parties import customer, merging
from bss.parties.search import search
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.running import agreements, batch, bindings, customers, reading, services, undoing
from bss.running.kind import rate, when
from bss.services import binding
from bss.tables import Agreement, Binding, Customer, ImportRow, Offering, Service, User
from tests.bss.conftest import BEGIN
from tests.bss.test_parties import everything, order, passing, service

CUT = BEGIN - timedelta(days=1)


def table(rows: list[dict[str, Any]], encoding: str = "utf-8") -> bytes:
    """A CSV file of rows."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def workbook(rows: list[list[Any]]) -> bytes:
    """An XLSX file of rows."""
    book, out = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(out)
    return out.getvalue()


def bring(desk: Desk, kind: str, rows: list[dict[str, Any]] | bytes, /, **stated: Any) -> Any:
    content = rows if isinstance(rows, bytes) else table(rows)
    return batch.bring(desk, kind, reading.parse(content, f"{kind}.csv", batch.KINDS[kind].columns), CUT, stated or None)[0]


def look(desk: Desk, kind: str, rows: list[dict[str, Any]] | bytes, /, **stated: Any) -> batch.Report:
    content = rows if isinstance(rows, bytes) else table(rows)
    return batch.look(desk, kind, reading.parse(content, f"{kind}.csv", batch.KINDS[kind].columns), CUT, stated or None)


def who(number: str, **given: Any) -> dict[str, Any]:
    return {"number": number, "name": "王小明", "kind": "个人", "class": "home", "region": "贵阳", "phone": "13800138000", **given}


def offer(desk: Desk) -> None:
    for version in (1, 2):
        desk.add(Offering(code="home-100", version=version, kind="broadband", class_="home", valid_from=CUT, document={}, created=CUT))


LINE = {"circuit": "GZ1", "customer": "K1", "offering": "home-100", "down_rate": "100M", "up_rate": "20M"}


def test_the_base_is_brought_in_file_by_file(office: Office) -> None:
    with office.writing() as desk:
        offer(desk)
        desk.add(User(login="li", name="李", roles=["presales"], created=desk.now))
        first = bring(desk, "customers", [who("K1", manager="li", 营销同意="是"), who("K2", name="贵州云上有限公司", kind="organization")])
        assert first.totals == {"rows": 2, "class.home": 2, "region.贵阳": 2, "state.active": 2}
        bring(desk, "agreements", [{"number": "HT2", "customer": "K1", "name": "合同", "valid_from": "2026/1/5", "parent": "HT1"},
                                   {"number": "HT1", "customer": "K1", "name": "框架", "kind": "框架协议", "valid_from": "2026-01-01"}])
        done = bring(desk, "services", [{**LINE, "agreement": "HT2"}, {**LINE, "circuit": "GZ2", "up_rate": ""}], rows=2, down_rate="200M")
        assert (done.totals["down_rate"], done.totals["up_rate"]) == (200_000_000, 120_000_000)
        bring(desk, "bindings", [{"service": "GZ1", "prefix": "203.0.113.8/29", "vlan": "100"}, {"service": "GZ2", "user": "gz2@home"}])
    with office.reading() as desk:
        one = desk.session.execute(select(Service).where(Service.circuit == "GZ1")).scalar_one()
        assert (one.state, one.offering_version, one.class_, one.activated, one.region) == ("active", 2, "home", CUT, "贵阳")
        assert one.agreement_id == desk.session.execute(select(Agreement.id).where(Agreement.number == "HT2")).scalar_one()
        assert {hit.row.number for hit in search(desk, "wxm")} == {"K1"} and search(desk, "203.0.113.9")[-1].row.id == one.id
        assert {row.number for row in desk.session.scalars(customer.listed(desk, q="13800138000")).unique()} == {"K1", "K2"}
        held = binding.of_service(desk, one.id, BEGIN)
        assert [(row.key, row.valid_from) for row in held] == [("prefix 203.0.113.8/29 vlan 100", CUT)]
        assert one.id in Path(office.settings.bindings).read_text()


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("customers", who("K9", name=""), "name", "is empty"), ("customers", who("K9", kind="alien"), "kind", "'alien' is none"),
    ("customers", who("K9", phone="12"), "phone", "no telephone number has"), ("customers", who("K1"), "number", "'K1' is on line 2 as well"),
    ("customers", who("K0"), "number", "there is a customer 'K0' already"), ("customers", who("K9", email="x"), "email", "no mail address"),
    ("customers", who("K9", manager="nobody"), "manager", "there is no user"), ("customers", who("K9", created="2027-01-01"), "created", "after the cut-over"),
    ("services", {**LINE, "circuit": "GZ9", "customer": "K7"}, "customer", "there is no customer 'K7'"),
    ("services", {**LINE, "circuit": "GZ9", "offering": "x"}, "offering", "nothing 'x' is or was sold"),
    ("services", {**LINE, "circuit": "GZ9", "down_rate": "fast"}, "down_rate", "is no rate"),
    ("services", {**LINE, "circuit": "GZ9", "agreement": "HT9"}, "agreement", "is no contract of this customer"),
    ("agreements", {"number": "HT9", "customer": "K0", "name": "x", "valid_from": "2026-02-30"}, "valid_from", "is no time"),
    ("agreements", {"number": "HT9", "customer": "K0", "name": "x", "valid_from": "2026-02-03", "valid_to": "2026-02-03"}, "valid_to", "ends before"),
    ("agreements", {"number": "HT9", "customer": "K0", "name": "x", "valid_from": "2026-02-03", "parent": "HT9"}, "parent", "is no framework"),
    ("bindings", {"service": "GZ0", "prefix": "203.0.113.9/29"}, "prefix", "bits beyond"), ("bindings", {"service": "GZ0"}, "prefix", "nothing says"),
    ("bindings", {"service": "GZ0", "user": "a"}, "valid_from", "overlaps service"), ("bindings", {"service": "GZ7", "user": "b"}, "service", "no service"),
    ("bindings", {"service": "GZ0", "mac": "aa:bb:cc:dd:ee:01"}, "valid_from", "overlaps line 2, which")]


def test_what_is_wrong_is_told_line_by_line_and_nothing_is_brought_in(office: Office) -> None:
    good: dict[str, dict[str, Any]] = {"customers": who("K1"), "services": {**LINE, "customer": "K0"},
                                       "agreements": {"number": "HT1", "customer": "K0", "name": "x", "valid_from": "2026-01-01"},
                                       "bindings": {"service": "GZ0", "mac": "AA-BB-CC-DD-EE-01"}}
    with passing(office) as desk:
        offer(desk)
        service(desk, customer.make(desk, kind="individual", name="x", class_="home", region="贵阳", number="K0"), "GZ0")
        binding.bind(desk, desk.session.execute(select(Service.id)).scalar_one(), user="a")
        before = everything(desk)
        for kind, case, field, what in WRONG:
            lines = [good[kind], {**case, "customer": "K0"} if case.get("customer") == "K1" else case]
            report = look(desk, kind, lines)
            assert [(one.line, one.field) for one in report.troubles] == [(3, field)], (case, report.troubles)
            assert what in report.troubles[0].what and (report.rows, report.good) == (2, 1)
            with pytest.raises(Refusal, match="1 faults"):
                bring(desk, kind, lines)
        assert everything(desk) == before


def test_totals_are_held_against_the_source(office: Office) -> None:
    with passing(office) as desk:
        report = look(desk, "customers", [who("K1"), who("K2", **{"class": "A"})], **{"rows": 3, "class.A": 1, "state.closed": 1})
        assert report.compared == [("rows", 2, 3), ("class.A", 1, 1), ("state.closed", 0, 1)]
        assert {one.field for one in report.troubles} == {"rows", "state.closed"}
        stated = table([who("K1"), who("K2")]) + "合计:3\r\n".encode()
        assert [(one.field, one.what) for one in look(desk, "customers", stated).troubles] == [("rows", "the source states 3, the lines come to 2")]
        with pytest.raises(Refusal, match="there is no total 'weight'"):
            look(desk, "customers", [who("K1")], weight=1)
        offer(desk)
        bring(desk, "customers", table([who("K1"), who("K2")]) + "合计:2\r\n".encode())
        report = look(desk, "services", [LINE, {"circuit": "合计:1", "down_rate": "0.1G", "up_rate": "30M"}])
        assert report.compared == [("rows", 1, 1), ("down_rate", 100_000_000, 100_000_000), ("up_rate", 20_000_000, 30_000_000)]
        with pytest.raises(Refusal, match="a line follows the totals"):
            look(desk, "services", [{**LINE, "circuit": "total"}, LINE])


def test_the_same_file_is_brought_in_once_and_again_after_it_was_undone(office: Office) -> None:
    with office.writing() as desk:
        made = bring(desk, "customers", [who("K1")])
        with pytest.raises(Refusal, match="the same file was brought in"):
            look(desk, "customers", [who("K1")])
        undoing.undo(desk, made.id)
        with pytest.raises(Refusal, match="is undone already"):
            undoing.undo(desk, made.id)
        bring(desk, "customers", [who("K1")])


def test_what_was_built_on_a_batch_holds_it(office: Office) -> None:
    def refused(desk: Desk, made: Any, what: str) -> None:
        with pytest.raises(Refusal, match=what):
            undoing.undo(desk, made.id)
    with office.writing() as desk:
        offer(desk)
        made = bring(desk, "customers", [who("K1"), who("K2")])
        done = bring(desk, "services", [LINE])
        signed = bring(desk, "agreements", [{"number": "HT1", "customer": "K1", "name": "x", "kind": "framework", "valid_from": "2026-01-01"}])
        bound = bring(desk, "bindings", [{"service": "GZ1", "user": "a"}])
    with passing(office) as desk:
        refused(desk, made, "agreement G.* on customer C.*")
        refused(desk, done, "binding B.* on service S.*")
        held = desk.session.execute(select(Binding)).scalar_one()
        binding.end_one(desk, held.id, BEGIN + timedelta(days=1))
        refused(desk, bound, f"binding {held.id}: binding.end")
    with passing(office) as desk:
        undoing.undo(desk, bound.id)
        line = desk.session.execute(select(Service)).scalar_one()
        order(desk, desk.find(Customer, line.customer_id), "O1", line)
        refused(desk, done, "order item N.* on service")
    with passing(office) as desk:
        frame = desk.session.execute(select(Agreement)).scalar_one()
        frame.version += 1
        refused(desk, signed, f"agreement {frame.id} was changed")
    with passing(office) as desk:
        for one in (bound, signed, done):
            undoing.undo(desk, one.id)
        one, other = desk.session.execute(select(Customer.id).order_by(Customer.number)).scalars()
        desk.add(User(login="k1", name="x", roles=["customer"], customers=[one], created=desk.now))
        refused(desk, made, "user k1")
        merging.merge(desk, one, other)
        refused(desk, made, "was changed")
    with passing(office) as desk:
        for one in (bound, signed, done, made):
            undoing.undo(desk, one.id)


def test_who_sees_a_part_brings_in_that_part_and_undoes_his_own(office: Office) -> None:
    with office.writing() as desk:
        made = bring(desk, "customers", [who("K1")])
        user = desk.add(User(login="m", name="m", roles=["manager"], regions=["遵义"], created=desk.now))
    there = Actor(user.id, "m", frozenset({"manager"}), ("遵义",))
    with passing(office, there) as desk:
        assert look(desk, "customers", [who("K2")]).troubles[0].what == "you do not work in the region '贵阳'"
        with pytest.raises(Refusal, match="there is no batch"):
            undoing.undo(desk, made.id)
        own = bring(desk, "customers", [who("K2", region="遵义")])
        assert [one.id for one in desk.session.scalars(batch.listed(desk))] == [own.id]
        assert look(desk, "agreements", [{"number": "G", "customer": "K1", "name": "x", "valid_from": "2026-01-01"}]).troubles[0].field == "customer"
        undoing.undo(desk, own.id)
    with passing(office, Actor("", "p", frozenset({"presales"}))) as desk, pytest.raises(Refusal, match="import.write"):
        look(desk, "customers", [who("K2")])


def test_lines_have_digests_that_tell_nothing(office: Office) -> None:
    with office.writing() as desk:
        made = bring(desk, "customers", [who("K1"), who("K2")])
        digests = {line: bytes(digest) for line, digest in desk.session.execute(select(ImportRow.line, ImportRow.digest).where(ImportRow.batch_id == made.id))}
        assert set(digests) == {2, 3} and digests[2] != digests[3]


ROWS = st.lists(st.fixed_dictionaries({
    "kind": st.sampled_from(["个人", "organization"]), "name": st.sampled_from(["王小明", "Li Ming", "云上"]), "class": st.sampled_from(["A", "home"]),
    "region": st.sampled_from(["贵阳", "遵义"]), "state": st.sampled_from(["", "正常", "closed"]), "phone": st.sampled_from(["", "13800138000"]),
    "address": st.sampled_from(["", "中华路1号"]), "services": st.integers(0, 2), "agreement": st.booleans(), "bound": st.booleans()}), min_size=1, max_size=5)


@checking(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_undoing_gives_back_exactly_what_was(office: Office, rows: list[dict[str, Any]]) -> None:
    with passing(office) as desk:
        offer(desk)
        service(desk, customer.make(desk, kind="individual", name="x", class_="home", region="贵阳", number="K"), "GZ")
        extra = ("services", "agreement", "bound")
        files = {
            "customers": [{"number": f"K{k}", **{name: value for name, value in row.items() if name not in extra}} for k, row in enumerate(rows)],
            "agreements": [{"number": f"G{k}", "customer": f"K{k}", "name": "x", "valid_from": "2026-01-01"} for k, row in enumerate(rows) if row["agreement"]],
            "services": [{"circuit": f"S{k}-{n}", "customer": f"K{k}", "offering": "home-100", "agreement": f"G{k}" if row["agreement"] else ""}
                         for k, row in enumerate(rows) for n in range(row["services"])],
            "bindings": [{"service": f"S{k}-{n}", "user": f"u{k}-{n}"} for k, row in enumerate(rows) for n in range(row["services"]) if row["bound"]]}
        steps: list[tuple[str, Any]] = []
        for kind, lines in files.items():
            before = everything(desk)
            if lines:
                steps.append((bring(desk, kind, lines).id, before))
                assert everything(desk) != before
        for made, before in reversed(steps):
            undoing.undo(desk, made)
            after = everything(desk)
            assert {**after, "export_mark": 0} == {**before, "export_mark": 0}


def test_a_workbook_is_read_like_a_text(tmp_path: Path) -> None:
    rows = [["客户编号*", "客户名称", " 客户类型 ", "客户等级", "区域", "联系电话", "入网日期"], [],
            ["K1", "王小明", "个人", "home", "贵阳", 13800138000, BEGIN.date()], ["合计:1"]]
    sheet = reading.parse(workbook(rows), "x.xlsx", customers.COLUMNS)
    assert sheet.lines[0].number == 3 and sheet.stated == {"rows": "1"}
    assert sheet.lines[0].cells == {"number": "K1", "name": "王小明", "kind": "个人", "class": "home", "region": "贵阳", "phone": "13800138000",
                                    "created": "2026-12-01"}
    file = tmp_path / "x.csv"
    file.write_bytes(table([who("K1")], "gb18030"))
    assert reading.read(file, customers.COLUMNS).lines[0].cells["name"] == "王小明"
    with pytest.raises(Refusal, match="can't be read"):
        reading.read(tmp_path / "none.csv", customers.COLUMNS)


def _zipped(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return out.getvalue()


HEAD = ["number", "name", "kind", "class", "region"]


@pytest.mark.parametrize(("content", "what"), [
    (b"", "the file is empty"), (b"number,name\n", "column kind .* is missing"), (b"number,colour\n", "there is no column 'colour'"),
    (table([who("K1", name="=1+1")]), "is a formula"), (workbook([HEAD, ["K1", "=1+1", "x", "A", "y"]]), "is a formula"),
    (workbook([HEAD, [520102199001010011, "x", "x", "A", "y"]]), "more than 15 digits"), (table([who("K1", name="x" * 3000)]), "has 3000 characters"),
    (b"number,number,name,kind,class,region\n", "is there twice"), (b"\xff\xff\xff", "neither UTF-8 nor GB18030"), (b"a\0b", "is no text"),
    (b'number,name,kind,class,region\n"K1,x', "is no CSV"), (b"number,name,kind,class,region\n1,2,3,4,5,6\n", "has 6 cells"),
    (b"PK\x03\x04rubbish", "is no workbook"), (_zipped({"xl/x.xml": bytes(40 << 20)}), "packed like no table"),
    (_zipped({"xl/x.xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a/>'}), "declares entities")])
def test_files_that_are_no_tables_are_refused(content: bytes, what: str) -> None:
    with pytest.raises(Refusal, match=what):
        reading.parse(content, "x", customers.COLUMNS)


def test_a_file_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS", 10)
    reading.parse(table([who(f"K{k}") for k in range(10)]), "x", customers.COLUMNS)
    for content in (table([who(f"K{k}") for k in range(12)]), workbook([HEAD, *(["K", "x", "x", "A", "y"] for _ in range(12))])):
        with pytest.raises(Refusal, match="more than 10 rows"):
            reading.parse(content, "x", customers.COLUMNS)


def test_rates_and_days_as_people_write_them() -> None:
    zone = __import__("zoneinfo").ZoneInfo("Asia/Shanghai")
    assert [rate(text) for text in ("100M", "1.5 Gbit/s", "64kbps", "2000000", "2 Mb/s")] == [100_000_000, 1_500_000_000, 64_000, 2_000_000, 2_000_000]
    assert {when(text, zone) for text in ("2026-12-01", "2026/12/1", "2026年12月1日", "2026.12.01 00:00:00", "2026-11-30T16:00:00Z")} == {
        BEGIN - timedelta(hours=9)}
    for text in ("100MB", "-1", "0.5", "1e9", ""):
        with pytest.raises(Refusal):
            rate(text)


def test_every_column_has_words() -> None:
    for kind in (customers, services, agreements, bindings):
        assert all(column.what and column.zh and column.name for column in kind.COLUMNS) and len({column.zh for column in kind.COLUMNS}) == len(kind.COLUMNS)
