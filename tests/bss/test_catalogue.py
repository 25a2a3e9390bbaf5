"""The catalogue as data: the sample, what is refused and where, versions, frozen prices."""
from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bss.catalogue.pricing import cents, difference, freeze, rates_of, sla_of, split
from bss.catalogue.publishing import document_of, holding, newest, publish, retire
from bss.catalogue.reading import checked, of_text, read
from bss.office import Office
from bss.refusal import Refusal
from tests.bss.conftest import BEGIN, Clock
from tests.bss.selling import SAMPLE, act, person, sold

TEXT = SAMPLE.read_text(encoding="utf-8")


def test_the_sample_has_every_kind_and_class_in_both_languages() -> None:
    catalogue = read(SAMPLE)
    assert {one.kind for one in catalogue.offering} == {"leased_line", "broadband", "wlan", "mobile", "value_added", "bundle"}
    assert {one.class_ for one in catalogue.offering} == {"A", "B", "C", "home", "wlan", "mobile"}
    assert all(one.name.en and one.name.zh for one in (*catalogue.offering, *catalogue.sla))
    assert {one.tax for offering in catalogue.offering for one in offering.prices} == {"inclusive", "exclusive"}
    bundle = next(one for one in catalogue.offering if one.kind == "bundle")
    kinds = {one.code: one.kind for one in catalogue.offering}
    assert {kinds[one.code] for one in bundle.bundled} == {"broadband", "mobile", "value_added"}
    promises = {one.key: (str(one.availability_percent), one.response_minutes, one.restore_minutes, one.activation_days, one.floor_percent,
                          one.degraded_minutes, one.rtt_ms) for one in catalogue.sla}
    assert promises == {"line-a": ("99.99", 15, 240, 10, 95, 30, 10),
                        "line-b": ("99.9", 30, 480, 10, 90, 60, 20), "line-c": ("99.5", 60, 1440, 15, 80, 240, 40),
                        "home": ("99.0", 240, 2880, 5, 60, 720, 60), "wlan": ("98.0", 480, 4320, 5, None, None, 80)}


@pytest.mark.parametrize(("was", "now", "line", "why"), [
    ("amount = 109.00", "amont = 109.00", "amont = 109.00", "there is no 'amont' here"),
    ("bundled =", "bundeld =", "bundeld =", "there is no 'bundeld' here"),
    ("amount = 109.00", "amount = -1", "amount = -1", "greater than or equal to 0"),
    ("activation_days = 15", "activation_days = \"soon\"", "activation_days = \"soon\"", "valid integer"),
    ("mobile-59\"\nkind = \"mobile\"", "mobile-59\"\nkind = \"moble\"", "kind = \"moble\"", "Input should be"),
    ("code = \"line-b\"", "code = line-b", "code = line-b", "Invalid value")])
def test_what_is_wrong_is_said_with_file_and_line(was: str, now: str, line: str, why: str) -> None:
    assert TEXT.count(was) >= 1
    text = TEXT.replace(was, now, 1)
    with pytest.raises(Refusal, match=why) as error:
        of_text(text, "catalogue.toml")
    number = int(error.value.where.split(":")[1])
    assert text.splitlines()[number - 1].startswith(line)


@pytest.mark.parametrize(("document", "why"), [
    ({"prices": [{"key": "p", "name": {"en": "p", "zh": "p"}, "type": "recurring", "period": "month", "amount": 1.5, "tax": "inclusive", "tax_rate": "0.06"}]},
     "decimal text"),
    ({"prices": [{"key": "p", "name": {"en": "p", "zh": "p"}, "type": "recurring", "amount": "1.5", "tax": "inclusive", "tax_rate": "0.06"}]}, "has a period"),
    ({"valid_to": "2020-01-01T00:00:00+08:00"}, "not after valid_from"), ({"valid_from": "2026-01-01T00:00:00"}, "needs a zone"),
    ({"class": "D"}, "class 'D'"), ({"kind": "leased_line"}, "has rates"), ({"kind": "bundle"}, "a bundle names")])
def test_documents_are_checked(document: dict[str, Any], why: str) -> None:
    from bss.catalogue.document import Offering
    whole = {"code": "x", "kind": "value_added", "class": "C", "name": {"en": "x", "zh": "x"}, "valid_from": "2026-01-01T00:00:00+08:00", **document}
    with pytest.raises(Refusal, match=why):
        checked(Offering, whole)


def test_what_was_published_never_changes_and_what_is_new_begins_later(office: Office, clock: Clock) -> None:
    sold(office)
    assert not any(one.new for one in act(office, lambda desk: publish(desk, read(SAMPLE))))
    dearer = of_text(TEXT.replace("amount = 80.00", "amount = 90.00"), "x")
    with pytest.raises(Refusal, match="what was published does not change"):
        act(office, lambda desk: publish(desk, dearer))
    begin = BEGIN + timedelta(days=10)
    later = dearer.model_copy(update={"sla": (), "offering": (dearer.offering[0].model_copy(update={"valid_from": begin}),)})
    assert [(one.code, one.version, one.new) for one in act(office, lambda desk: publish(desk, later))] == [("line-a", 2, True)]
    with office.reading() as desk:
        for at, version, price in ((begin - timedelta(microseconds=1), 1, "8000.00"), (begin, 2, "9000.00"), (begin + timedelta(days=400), 2, "9000.00")):
            row, frozen = freeze(desk, "line-a", at, 100_000_000)
            assert row.version == version and frozen["lines"][0]["amount"] == price
        assert [row.version for row in desk.session.execute(newest(code="line-a")).scalars()] == [1, 2]
        assert not any(one.new for one in act(office, lambda desk: publish(desk, read(SAMPLE))))       # the old file again is nothing new
    clock.forward(days=20)
    act(office, lambda desk: retire(desk, "line-a", clock.now + timedelta(days=1)))
    with office.reading() as desk:
        with pytest.raises(Refusal, match="no version of 'line-a' is sold then"):
            holding(desk, "line-a", clock.now + timedelta(days=1))
        assert sla_of(desk, "line-a", 1).availability_percent == Decimal("99.99")          # type: ignore[union-attr]


def test_half_a_catalogue_is_not_published(office: Office) -> None:
    broken = of_text(TEXT.replace('{ code = "video-pack" }', '{ code = "audio-pack" }'), "x")
    with pytest.raises(Refusal, match="holds 'audio-pack', which is not sold"):
        act(office, lambda desk: publish(desk, broken))
    with office.reading() as desk:
        assert desk.session.execute(newest()).first() is None
    seller = person(office, "seller", "presales")
    with pytest.raises(Refusal, match="catalogue.write"):
        act(office, lambda desk: publish(desk, read(SAMPLE)), seller)


def test_prices_are_by_rate_tax_and_contract(office: Office) -> None:
    sold(office)
    with office.reading() as desk:
        _row, frozen = freeze(desk, "line-a", desk.now, 150_000_000)
        port, setup = frozen["lines"]
        assert (port["quantity"], port["amount"], port["net"], port["tax_amount"], port["gross"]) == ("150", "12000.00", "12000.00", "720.00", "12720.00")
        assert frozen["monthly"] == "12720.00" and frozen["one_time"] == "3180.00" and setup["period"] == ""
        plan = freeze(desk, "family-199", desk.now)[1]["lines"][0]
        assert (plan["amount"], plan["net"], plan["tax_amount"]) == ("199.00", "182.57", "16.43")       # 199.00 with 9 % in it
        own = freeze(desk, "line-a", desk.now, 150_000_000, terms={"prices": {"line-a": {"port": "70.00"}}})[1]
        assert own["lines"][0]["amount"] == "10500.00" and own["lines"][0]["by_contract"] and not own["lines"][1]["by_contract"]
        assert difference(frozen, own) == {"monthly": "-1590.00", "one_time": "0.00"}
        part = freeze(desk, "mobile-59", desk.now, included_in="family-199")[1]
        assert {one["type"] for one in part["lines"]} == {"usage"} and part["monthly"] == "0.00"
        document = document_of(holding(desk, "line-a", desk.now))
        assert rates_of(document, 50_000_000) == (50_000_000, 50_000_000)
        for wrong in (5_000_000, 20_000_000_000, 50_500_000):
            with pytest.raises(Refusal, match="is sold with 10 to 10000"):
                rates_of(document, wrong)
        assert rates_of(document_of(holding(desk, "home-100", desk.now))) == (100_000_000, 20_000_000)


@given(st.decimals("0", "1000000", places=4), st.sampled_from(["inclusive", "exclusive"]), st.sampled_from(["0", "0.06", "0.09", "0.13"]))
def test_net_and_tax_make_the_whole(amount: Decimal, tax: str, rate: str) -> None:
    net, part = split(amount, tax, Decimal(rate))
    assert net == cents(net) and part == cents(part) and part >= 0
    assert net + part == cents(amount) if tax == "inclusive" else net == cents(amount)
