"""Parties and customers: one spelling, found by name, pinyin and number; hierarchy; merged and parted as they were."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checking
from hypothesis import strategies as st
from sqlalchemy import select

from bss import audit
from bss.database import Table
from bss.desk import Desk
from bss.office import Office
from bss.parties import agreement, customer, duplicate, interaction, merging, party, relation, view
from bss.parties.contact import Given, normalised
from bss.parties.search import search
from bss.parties.spelling import initials, pinyin
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.tables import Agreement, AuditRow, Blind, Contact, Customer, OrderItem, Party, ProductOrder, Relation, Service, User
from tests.bss.conftest import BEGIN

ASIDE = {"audit", "audit_head", "outbox", "merge", "alembic_version", "import_batch", "import_row"}


class _Undone(Exception):
    pass


@contextlib.contextmanager
def passing(office: Office, actor: Actor = SYSTEM) -> Iterator[Desk]:
    """A desk whose doings don't stay."""
    with contextlib.suppress(_Undone), office.writing(actor) as desk:
        yield desk
        raise _Undone


def everything(desk: Desk) -> dict[str, list[Any]]:
    """All rows of all tables, but for logs and versions (which only grow)."""
    desk.session.flush()
    found = {}
    for name, table in Table.metadata.tables.items():
        if name not in ASIDE:
            columns = [column for column in table.columns if column.name != "version" and (name, column.name) != ("blind", "id")]
            found[name] = sorted(str(tuple(bytes(value) if isinstance(value, memoryview) else value for value in row))
                                 for row in desk.session.execute(select(*columns)))
    return found


def person(desk: Desk, name: str = "王小明", number: str | None = None, **given: Any) -> Customer:
    return customer.make(desk, **{"kind": "individual", "class_": "home", "region": "贵阳", **given}, name=name, number=number)


def service(desk: Desk, owner: Customer, circuit: str, **given: Any) -> Service:
    return desk.add(Service(circuit=circuit, customer_id=owner.id, offering="home-100", offering_version=1, kind="broadband", class_="home",
                            region=owner.region, state="active", created=desk.now, **given))


def order(desk: Desk, owner: Customer, number: str, of: Service | None = None, **given: Any) -> ProductOrder:
    made = desk.add(ProductOrder(number=number, customer_id=owner.id, region=owner.region, channel="hall", class_="home", created=desk.now, **given))
    if of is not None:
        desk.add(OrderItem(order_id=made.id, place=1, action="modify", offering="home-100", offering_version=1, service_id=of.id, wanted={}, price={}))
    return made


@pytest.mark.parametrize(("medium", "value", "kept"), [
    ("phone", "138 0013 8000", "+8613800138000"), ("phone", "0851-85551234", "+8685185551234"), ("phone", "１３８００１３８０００", "+8613800138000"),
    ("phone", "+1 650 253 0000", "+16502530000"), ("fax", "0851-85551234 ext 12", "+8685185551234;ext=12"),
    ("email", " Li.Ming@Example.CN ", "li.ming@example.cn"), ("address", " 中华北路  1号 ", "中华北路 1号")])
def test_contacts_have_one_spelling(medium: str, value: str, kept: str) -> None:
    assert normalised(medium, value, "CN") == kept and normalised(medium, kept, "CN") == kept


@pytest.mark.parametrize(("medium", "value"), [("phone", "abc"), ("phone", "12"), ("phone", "1" * 30), ("email", "a@b"), ("email", "a b@c.cn"),
                                               ("address", " "),
                                               ("pigeon", "x"), ("address", "x" * 500), ("address", "a\x00b")])
def test_contacts_that_are_none_are_refused(medium: str, value: str) -> None:
    with pytest.raises(Refusal):
        normalised(medium, value, "CN")


def test_names_in_pinyin() -> None:
    assert pinyin("王小明") == ["wangxiaoming"] and initials("王小明") == ["wxm"]
    assert set(pinyin("曾国强")) == {"cengguoqiang", "zengguoqiang"} and pinyin("Li Ming") == ["liming"] and initials("Li Ming") == ["lm"]
    assert pinyin("重庆电信") == ["chongqingdianxin"] and pinyin("") == []


@pytest.mark.parametrize(("kind", "number", "good"), [
    ("individual", "11010519491231002X", True), ("individual", "110105194912310021", False), ("organization", "91350100M000100Y43", True),
    ("organization", "91350100M000100Y44", False), ("individual", "E12345678", True), ("individual", "!!", False)])
def test_identity_numbers_are_checked(kind: str, number: str, good: bool) -> None:
    if good:
        assert party.legal(number, kind) == number
    else:
        with pytest.raises(Refusal):
            party.legal(number, kind)


def test_one_search_finds_by_name_pinyin_phone_and_numbers(office: Office) -> None:
    with office.writing() as desk:
        wang = person(desk, "王小明", "K1", contacts=[Given("phone", "13800138000"), Given("email", "Wang@Example.cn")])
        firm = customer.make(desk, kind="organization", name="贵州移动信息有限公司", class_="A", region="遵义", number="K2", legal_id="91350100M000100Y43")
        person(desk, "李王小", "K3")
        line = service(desk, firm, "GZ-A-0001")
        agreement.make(desk, customer_id=firm.id, name="专线合同", number="HT-2026-1", valid_from=desk.now)
    with office.reading() as desk:
        def found(text: str) -> set[str]:
            return {hit.row.number for hit in search(desk, text) if hit.kind == "customer"}
        for text in ("王小明", "小明", "wangxiaoming", "WXM", "xiaoming", "138 0013 8000", "+8613800138000", "13800138000", "8000", "wang@example.cn", "K1"):
            assert found(text) == {"K1"}, text
        for text in ("贵州移动", "guizhouyidong", "gzyd", "移动信息", "91350100M000100Y43", "yidongxinxi"):
            assert found(text) == {"K2"}, text
        assert not found("王明") and not found("13800138001") and not found("zzz")
        assert [(hit.kind, hit.row.id) for hit in search(desk, "GZ-A-0001")] == [("service", line.id)]
        assert {hit.kind for hit in search(desk, "HT-2026")} == {"agreement"}
        assert {row.number for row in desk.session.scalars(customer.listed(desk, q="wxm", region="贵阳")).unique()} == {"K1"}
    with office.reading(Actor("U1", "a", frozenset({"presales"}), ("贵阳",))) as desk:
        assert not search(desk, "贵州移动") and not search(desk, "GZ-A-0001") and search(desk, "wxm")[0].row.id == wang.id
    with office.writing() as desk:
        customer.change(desk, wang.id, name="赵大海", contacts=[])
    with office.reading() as desk:
        assert not search(desk, "wxm") and not search(desk, "13800138000") and search(desk, "zhaodahai")[0].row.id == wang.id


def test_a_change_takes_the_version_and_is_on_record(office: Office) -> None:
    with office.writing() as desk:
        one = person(desk, contacts=[Given("phone", "13800138000")])
        kept = one.party.contacts[0].id
        customer.change(desk, one.id, 1, region="遵义", contacts=[Given("phone", "13800138000", "billing"), Given("email", "a@b.cn")])
        assert one.version == 2 and {(contact.medium, contact.role) for contact in one.party.contacts} == {("phone", "billing"), ("email", "")}
        assert kept in {contact.id for contact in one.party.contacts}
        customer.change(desk, one.id, 2, region="遵义")
        assert one.version == 2
        with pytest.raises(Refusal, match="it is version 2, not 1"):
            customer.change(desk, one.id, 1, region="安顺")
        service(desk, one, "X1")
        with pytest.raises(Refusal, match="1 services that are not terminated"):
            customer.change(desk, one.id, state="closed")
        known = one.version
        party.change(desk, one.party_id, name="王大明")
        desk.session.refresh(one)
        assert one.version == known + 1         # whoever read the customer has read his name
        audit.write(desk.session)
        actions = desk.session.execute(select(AuditRow.action).order_by(AuditRow.number)).scalars().all()
        assert actions == ["party.create", "customer.create", "customer.change", "party.change"]


def test_who_works_in_a_region_enters_customers_of_it_alone(office: Office) -> None:
    with passing(office, Actor("", "a", frozenset({"presales"}), ("贵阳",))) as desk:
        person(desk)
        with pytest.raises(Refusal, match="you do not work in the region '遵义'"):
            person(desk, region="遵义")
    with passing(office, Actor("", "a", frozenset({"auditor"}))) as desk, pytest.raises(Refusal, match="customer.write"):
        person(desk)


def test_nobody_is_above_himself(office: Office) -> None:
    with office.writing() as desk:
        groups = [party.make(desk, kind="organization", name=f"集团{k}") for k in range(relation.DEEPEST + 1)]
        for lower, upper in zip(groups[1:relation.DEEPEST], groups, strict=False):
            relation.relate(desk, from_id=lower.id, to_id=upper.id, kind="parent")
        assert relation.below(desk, groups[0].id) == [one.id for one in groups[1:relation.DEEPEST]]
        with pytest.raises(Refusal, match="above itself"):
            relation.relate(desk, from_id=groups[0].id, to_id=groups[5].id, kind="parent")
        with pytest.raises(Refusal, match="more than 10 levels"):
            relation.relate(desk, from_id=groups[-1].id, to_id=groups[-2].id, kind="parent")
        with pytest.raises(Refusal, match="in that time already"):
            relation.relate(desk, from_id=groups[1].id, to_id=groups[-1].id, kind="parent")
        with pytest.raises(Refusal, match="nobody is in a household relation to a organization"):
            relation.relate(desk, from_id=groups[-1].id, to_id=groups[0].id, kind="household")
        first = desk.session.execute(select(Relation).where(Relation.from_id == groups[1].id)).scalar_one()
        relation.end(desk, first.id, desk.now + timedelta(days=1))
        # half-open: from the moment it ends another may begin, and the other way round it is no circle any more
        relation.relate(desk, from_id=groups[0].id, to_id=groups[1].id, kind="parent", valid_from=desk.now + timedelta(days=1))


def test_agreements_and_interactions(office: Office) -> None:
    with office.writing() as desk:
        one = person(desk)
        frame = agreement.make(desk, customer_id=one.id, name="框架", kind="framework", valid_from=BEGIN)
        held = agreement.make(desk, customer_id=one.id, name="合同", valid_from=BEGIN, parent_id=frame.id)
        with pytest.raises(Refusal, match="ends before it begins"):
            agreement.change(desk, held.id, 1, valid_to=BEGIN)
        assert agreement.change(desk, held.id, None, state="ended").state == "ended"
        with pytest.raises(Refusal, match="does not go from ended"):
            agreement.change(desk, held.id, None, state="active")
        interaction.note(desk, customer_id=one.id, channel="sms", subject="报障")
        with pytest.raises(Refusal, match="has not been yet"):
            interaction.note(desk, customer_id=one.id, channel="sms", subject="x", time=BEGIN + timedelta(days=1))
        with pytest.raises(Refusal, match="is no channel"):
            interaction.note(desk, customer_id=one.id, channel="telex", subject="x")
        seen = view.single(desk, one.number)
        assert seen["counts"] == {"services": 0, "orders": 0, "interactions": 1} and len(seen["agreements"]) == 2 and seen["customer"]["name"] == "王**"
        assert view.single(desk, one.number, unmask="T-1")["customer"]["name"] == "王小明"
        audit.write(desk.session)
        assert {"customer.view", "traffic.read", "personal.unmask"} <= set(desk.session.execute(select(AuditRow.action)).scalars())


def test_traffic_that_was_not_measured_is_null_and_not_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    class Store:
        def used(self, ids: list[str], since: Any, until: Any) -> Any:
            from bss.evidence import Used
            days = (until - since).days
            return Used(5 * days, 3 * days, days, 0 if days == 1 else 720, 1440 * days)
    monkeypatch.setattr(office, "evidence", Store(), raising=False)
    with office.writing() as desk:
        one = person(desk)
        service(desk, one, "X1")
        told = view.single(desk, one.id)["traffic"]
        assert told["day"] == {"since": "2026-11-30T01:00:00Z", "down_bytes": None, "up_bytes": None, "flows": None, "measured": 0.0}
        assert told["week"]["down_bytes"] == 35 and told["week"]["measured"] == round(720 / 10080, 4)
    with office.writing(Actor("", "p", frozenset({"presales"}))) as desk:
        told = view.single(desk, one.id)["traffic"]
        assert told["day"] is None and "traffic.read" in told["why"]


def test_duplicates_are_told_with_reasons(office: Office) -> None:
    with office.writing() as desk:
        a = person(desk, "王小明", "K1", contacts=[Given("phone", "13800138000"), Given("address", "中华北路 1 号")])
        b = person(desk, "王晓明", "K2", contacts=[Given("phone", "+86 138 0013 8000"), Given("address", "中华北路1号")])
        person(desk, "赵大海", "K3", contacts=[Given("phone", "13800138000")])
        person(desk, "王小明", "K4")
        c = customer.make(desk, kind="organization", name="贵州云上有限公司", class_="A", region="贵阳", number="K5", legal_id="91350100M000100Y43")
        d = customer.make(desk, kind="organization", name="云上（贵州）", class_="A", region="贵阳", number="K6", legal_id="91350100M000100Y43")
        pairs = {(pair.first.id, pair.second.id): pair for pair in duplicate.candidates(desk)}
        assert set(pairs) == {(a.id, b.id), (c.id, d.id)}
        assert pairs[a.id, b.id].reasons == ("phone", "address") and pairs[a.id, b.id].score >= duplicate.LIKE and pairs[c.id, d.id].reasons == ("legal_id",)
        assert [(pair.first.id, pair.second.id) for pair in duplicate.candidates(desk, b.id)] == [(a.id, b.id)]
        merging.merge(desk, a.id, b.id)
        assert {(pair.first.id, pair.second.id) for pair in duplicate.candidates(desk)} == {(c.id, d.id)}
    with office.reading(Actor("", "a", frozenset({"presales"}), ("遵义",))) as desk:
        assert not duplicate.candidates(desk)


def test_what_moved_is_found_under_the_kept_customer(office: Office) -> None:
    with office.writing() as desk:
        a, b = person(desk, "王小明", "K1"), person(desk, "王晓明", "K2", contacts=[Given("phone", "13800138000")], legal_id="11010519491231002X")
        line = service(desk, b, "X1")
        made = order(desk, b, "O1", line)
        user = desk.add(User(login="b", name="b", roles=["customer"], customers=[b.id], created=desk.now))
        row = merging.merge(desk, a.id, b.id, {"name": "gone"}, "T-7")
        assert (line.customer_id, made.customer_id, user.customers) == (a.id, a.id, [a.id]) and line.version == 2
        assert (a.party.name, a.party.legal_id, [one.value for one in a.party.contacts]) == ("王晓明", "11010519491231002X", ["+8613800138000"])
        assert customer.living(desk, "K2").id == a.id and search(desk, "13800138000")[0].row.id == a.id
        assert [one.id for one in desk.session.scalars(customer.listed(desk)).unique()] == [a.id]
        with pytest.raises(Refusal, match="was merged into another one"):
            customer.change(desk, b.id, region="遵义")
        with pytest.raises(Refusal, match="merged into another one already"):
            merging.merge(desk, b.id, a.id)
        merging.unmerge(desk, row.id)
        assert (line.customer_id, user.customers, a.party.name, b.party.name, b.merged_into) == (b.id, [b.id], "王小明", "王晓明", None)
        with pytest.raises(Refusal, match="parted already"):
            merging.unmerge(desk, row.id)


def test_what_was_built_since_on_both_keeps_them_together(office: Office) -> None:
    def both(desk: Desk) -> tuple[Customer, Customer, Service, str]:
        a, b = person(desk, "王小明", "K1"), person(desk, "王晓明", "K2")
        line = service(desk, b, "X1")
        return a, b, line, merging.merge(desk, a.id, b.id, {"name": "gone"}).id
    with passing(office) as desk:
        a, _b, line, merge = both(desk)
        order(desk, a, "O1", line)
        with pytest.raises(Refusal, match="made or changed since, hangs on"):
            merging.unmerge(desk, merge)
    with passing(office) as desk:
        a, _b, line, merge = both(desk)
        line.agreement_id = agreement.make(desk, customer_id=a.id, name="x", valid_from=desk.now).id
        with pytest.raises(Refusal, match="service .* hangs on"):
            merging.unmerge(desk, merge)
    with passing(office) as desk:
        a, _b, _line, merge = both(desk)
        customer.change(desk, a.id, name="王大明")
        with pytest.raises(Refusal, match="name was taken from the other customer and has been changed since"):
            merging.unmerge(desk, merge)
    with passing(office) as desk:
        a, _b, line, merge = both(desk)
        line.customer_id = person(desk, "赵大海").id
        with pytest.raises(Refusal, match="is another customer's by now"):
            merging.unmerge(desk, merge)
    with passing(office) as desk:
        a, _b, _line, merge = both(desk)
        second = merging.merge(desk, a.id, person(desk, "王明").id)
        with pytest.raises(Refusal, match="another customer was merged into K1 since"):
            merging.unmerge(desk, merge)
        merging.unmerge(desk, second.id)
        order(desk, a, "O2")                    # of the kept one alone: it stays his
        interaction.note(desk, customer_id=a.id, channel="web", subject="x")
        merging.unmerge(desk, merge)
        assert desk.session.execute(select(ProductOrder.customer_id)).scalars().all() == [a.id]


def test_merging_takes_a_manager_and_stays_within_scope(office: Office) -> None:
    with office.writing() as desk:
        a, b = person(desk, "王小明", "K1"), person(desk, "王晓明", "K2", region="遵义")
    with passing(office, Actor("", "p", frozenset({"presales"}))) as desk, pytest.raises(Refusal, match="customer.merge"):
        merging.merge(desk, a.id, b.id)
    with passing(office, Actor("", "m", frozenset({"manager"}), ("贵阳",))) as desk, pytest.raises(Refusal, match="there is no customer"):
        merging.merge(desk, a.id, b.id)


NAMES = st.sampled_from(["王小明", "王晓明", "Li Ming", "贵州云上有限公司"])
REACH = [Given("phone", "13800138000"), Given("phone", "13900139000"), Given("email", "a@b.cn"), Given("address", "中华路")]
SIDES = st.fixed_dictionaries({
    "kind": st.sampled_from(["individual", "organization"]), "name": NAMES, "class_": st.sampled_from(["A", "home"]),
    "region": st.sampled_from(["贵阳", "遵义"]), "contacts": st.lists(st.sampled_from(REACH), max_size=3),
    "legal_id": st.sampled_from([None, "E12345678"]), "tax": st.sampled_from([None, {"name": "x"}]), "marketing_consent": st.booleans(),})
WORK = st.fixed_dictionaries({name: st.integers(0, 2) for name in ("services", "orders", "agreements", "interactions", "users", "relations")})


def fill(desk: Desk, one: Customer, work: dict[str, int], tag: str, group: Party) -> None:
    lines = [service(desk, one, f"{tag}{k}") for k in range(work["services"])]
    for k in range(work["orders"]):
        order(desk, one, f"O{tag}{k}", lines[k] if k < len(lines) else None)
    for k in range(work["agreements"]):
        agreement.make(desk, customer_id=one.id, name=f"{k}", number=f"G{tag}{k}", valid_from=BEGIN)
    for k in range(work["interactions"]):
        interaction.note(desk, customer_id=one.id, channel="web", subject=f"{k}")
    for k in range(work["users"]):
        desk.add(User(login=f"{tag}{k}", name="u", roles=["customer"], customers=[one.id], created=desk.now))
    for k in range(work["relations"]):
        relation.relate(desk, from_id=one.party_id, to_id=group.id, kind="parent", valid_from=BEGIN + timedelta(days=k), valid_to=BEGIN + timedelta(days=k + 1))


@checking(max_examples=9, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=SIDES, other=SIDES, work=WORK, others=WORK, third=SIDES,
       choose=st.dictionaries(st.sampled_from(list(merging.CALLED)), st.sampled_from(merging.CHOICES)), choice=st.dictionaries(
           st.sampled_from(list(merging.CALLED)), st.sampled_from(merging.CHOICES)))
def test_parting_gives_back_exactly_what_was(office: Office, one: Any, other: Any, work: Any, others: Any, third: Any, choose: Any, choice: Any) -> None:
    with passing(office) as desk:
        group = party.make(desk, kind="organization", name="集团")
        a, b, c = (customer.make(desk, **side) for side in (one, other, third))
        fill(desk, a, work, "a", group)
        fill(desk, b, others, "b", group)
        before = everything(desk)
        first = merging.merge(desk, a.id, b.id, choose)
        between = everything(desk)
        assert not desk.session.execute(select(Service.id).where(Service.customer_id == b.id)).first()
        assert not desk.session.execute(select(Agreement.id).where(Agreement.customer_id == b.id)).first()
        second = merging.merge(desk, c.id, a.id, choice)
        with pytest.raises(Refusal):
            merging.unmerge(desk, first.id)
        merging.unmerge(desk, second.id)
        assert everything(desk) == between
        merging.unmerge(desk, first.id)
        assert everything(desk) == before


def test_digests_are_those_of_the_fields(office: Office) -> None:
    with office.writing() as desk:
        one = person(desk, contacts=[Given("phone", "13800138000")])
        count = len(desk.session.execute(select(Blind.id).where(Blind.entity_id == one.party_id)).all())
        assert count == len(set(desk.session.execute(select(Blind.field, Blind.token)).tuples())) > 10
        customer.change(desk, one.id, contacts=[])
        assert not desk.session.execute(select(Contact.id)).first()
        assert set(desk.session.execute(select(Blind.field)).scalars()) == {"name", "bigram", "pinyin", "syllables", "initials", "initial2"}
