"""Bills by their ways in and out: the API from a run to a payment, commands, the document in both languages and as PDF, rows for e-invoices, the journal."""
from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pypdf import PdfReader

from bss.billing import account, bill, data, document, journal, payment
from bss.cli import command
from bss.language import LANGUAGES
from bss.office import Office
from bss.refusal import Refusal
from bss.tables import Bill, Service
from tests.bss.belongings import token
from tests.bss.client import Client
from tests.bss.paying import completed, issued, people, serving
from tests.bss.selling import act, customer, sold

RUN, BILL = "/fullspan/v1/billRun", "/tmf-api/customerBillManagement/v4/customerBill"


def test_the_api_from_a_run_to_a_payment(office: Office) -> None:
    sold(office)
    one = customer(office, "K1")
    serving(office, one, "2026-11-10")
    clerk, chief = Client(office, token(office, "billing", [])), Client(office, token(office, "manager", []))
    made = clerk.post(RUN, json={"period": "2026-11", "customers": [one]}, headers={"Idempotency-Key": "a"})
    assert made.status_code == 201 and made.json()["state"] == "built" and made.json()["bills"] == {"new": 1}, made.text
    assert clerk.post(RUN, json={"period": "2026-11", "customers": [one]}, headers={"Idempotency-Key": "a"}).json()["id"] == made.json()["id"]
    at = f"{RUN}/{made.json()['id']}"
    assert clerk.post(f"{at}/step", json={"step": "audit"}).json()["findings"] == {"first": 1}
    assert clerk.get(f"{at}/finding").json()[0]["kind"] == "first"
    assert clerk.post(f"{at}/clear", json={"kind": "first", "reason": "begins"}).json()["findings"] == {}
    refused = clerk.post(f"{at}/step", json={"step": "approve"})
    assert refused.status_code == 403 and "second person" in refused.json()["reason"]
    assert chief.post(f"{at}/step", json={"step": "approve"}).json()["state"] == "approved"
    assert chief.post(f"{at}/step", json={"step": "issue"}).json()["state"] == "issued"
    found = clerk.get(BILL, params={"customer": one}).json()[0]
    assert found["billNo"] == "ZD0000000001" and found["remainingAmount"] == {"unit": "CNY", "value": "9116.00"}
    whole = clerk.get(f"{BILL}/{found['id']}")
    assert [row["type"] for row in whole.json()["appliedCustomerBillingRate"]] == ["recurring", "one_time"] and whole.json()["taxItem"][0]["taxRate"] == "0.06"
    line = clerk.get(f"/tmf-api/customerBillManagement/v4/appliedCustomerBillingRate/{found['id']}-1").json()
    assert line["evidence"]["days"] == "21" and line["evidence"]["of"] == 30
    assert clerk.get("/tmf-api/customerBillManagement/v4/appliedCustomerBillingRate", params={"type": "one_time"}).json()[0]["quantity"] == "1"
    assert clerk.patch(f"{BILL}/{found['id']}", json={"state": "void", "stateReason": "x"}).status_code == 409
    key = found["billingAccount"]["id"]
    paid = clerk.post("/tmf-api/payment/v4/payment", json={"amount": "9116.00", "account": {"id": key}, "payer": "云上公司"})
    assert paid.status_code == 201 and paid.json()["paymentItem"][0]["item"]["id"] == found["id"] and paid.json()["payer"]["name"] == "云***"
    assert clerk.get(BILL, params={"state": "settled"}).json()[0]["id"] == found["id"] and clerk.get("/fullspan/v1/ageing").json() == []
    sums = {row["account"]: row["debit"] for row in clerk.get("/fullspan/v1/journal/sum", params={"since": "2026-11-01", "until": "2027-01-01"}).json()}
    assert sums["1122"] == "9116.00" and sums["1002"] == "9116.00"
    bank = {"content": "交易日期,金额,对方户名,摘要\n2026-12-02,5.00,谁,\n"}
    assert clerk.post("/fullspan/v1/bankFile", json=bank).json() == {"posted": 0, "suggested": 0, "received": 1, "known": 0}
    taken = clerk.get("/tmf-api/payment/v4/payment", params={"status": "received"}).json()[0]
    assert clerk.post(f"/fullspan/v1/payment/{taken['id']}/assign", json={"account": {"id": key}}, headers={"If-Match": '"9"'}).status_code == 412
    assert clerk.post(f"/fullspan/v1/payment/{taken['id']}/assign", json={"account": {"id": key}}).json()["remainingAmount"]["value"] == "5.00"
    refund = clerk.post(f"/fullspan/v1/payment/{taken['id']}/refund", json={"amount": "5.00", "reason": "not ours"})
    assert chief.post(f"/fullspan/v1/refund/{refund.json()['id']}/decision", json={"state": "approved"}).json()["state"] == "approved"
    for bad in ({"amount": "NaN"}, {"amount": "-1"}, {"amount": "1.001"}, {"amount": "1e400"}):
        assert clerk.post("/tmf-api/payment/v4/payment", json=bad).status_code == 400, bad
    accounts = clerk.get("/tmf-api/accountManagement/v4/billingAccount", params={"customer": one}).json()
    assert accounts[0]["accountBalance"][1]["amount"]["value"] == "0.00"
    rate = chief.post("/fullspan/v1/taxRate", json={"charge": "usage", "validFrom": "2027-01-01", "rate": "0.05"})
    assert rate.status_code == 201 and clerk.get("/fullspan/v1/taxRate").json()[0]["rate"] == "0.05"


def test_the_api_of_accounts_that_pay_and_of_write_offs(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office, "K1")
    service = serving(office, one, "2026-11-01", "home-100")
    found = issued(office)[0]
    clock.forward(days=40)
    clerk, chief = Client(office, token(office, "billing", [])), Client(office, token(office, "manager", []))
    other = clerk.post("/tmf-api/accountManagement/v4/billingAccount", json={"customer": {"id": one}}).json()["id"]
    assert clerk.get(f"/fullspan/v1/billingAccount/{other}/service").json() == []
    assert clerk.post(f"/fullspan/v1/billingAccount/{other}/service", json={"services": [service]}).json() == {"moved": 1}
    assert [row["id"] for row in clerk.get(f"/fullspan/v1/billingAccount/{other}/service").json()] == [service]
    assert clerk.post(f"/fullspan/v1/billingAccount/{other}/service", json={"services": ["S404"]}).status_code == 404
    asked = clerk.post(f"/fullspan/v1/customerBill/{found.id}/writeOff", json={"reason": "dissolved"})
    assert asked.status_code == 201 and (asked.json()["amount"], asked.json()["state"]) == ("179.00", "proposed")
    key = asked.json()["id"]
    assert clerk.post(f"/fullspan/v1/writeOff/{key}/decision", json={"state": "approved"}).status_code == 403
    assert chief.post(f"/fullspan/v1/writeOff/{key}/decision", json={"state": "approved"}, headers={"If-Match": '"9"'}).status_code == 412
    assert chief.post(f"/fullspan/v1/writeOff/{key}/decision", json={"state": "approved"}).json()["state"] == "approved"
    assert clerk.get("/fullspan/v1/writeOff", params={"bill": found.id}).json()[0]["id"] == key
    assert clerk.get(f"{BILL}/{found.id}").json()["state"] == "settled"
    mine = Client(office, token(office, "customer", [], customers=[one]))
    given = clerk.get("/tmf-api/payment/v4/payment", params={"customer": one}).json()
    assert [row["paymentMethod"]["@type"] for row in given] == ["write_off"] and mine.get("/tmf-api/payment/v4/payment").json() == []
    assert mine.get(f"/tmf-api/payment/v4/payment/{given[0]['id']}").status_code == 404
    assert mine.get("/fullspan/v1/writeOff").status_code == 403 and mine.get(f"/fullspan/v1/billingAccount/{other}/service").status_code == 200


def told(office: Office) -> Bill:
    """A bill with an invoice's buyer, a change of plan and something once."""
    sold(office)
    one = customer(office, "K1")
    act(office, lambda desk: account.open_(desk, one, tax={"name": "贵州云上数据有限公司", "number": "91520100MA6DXXXX0X", "address": "中华北路 1 号",
                                                           "bank": "工商银行 2402"}))
    service = serving(office, one, "2026-11-01", "home-100")
    act(office, lambda desk: completed(desk, one, service, "home-500", "2026-11-12", action="modify", change="price"))
    return issued(office)[0]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_document_says_the_same_in_both_languages(office: Office, lang: str) -> None:
    row = told(office)
    page = act(office, lambda desk: document.shown(desk, row.id, lang))
    assert row.number is not None and row.number in page and "壹佰玖拾捌元整" in page and "198.00" in page
    assert ("-50.03" in page or "-45.90" in page) and {"en": "By rate of tax", "zh": "按税率汇总"}[lang] in page
    assert "贵州云上" not in page and "贵****" in page
    whole = act(office, lambda desk: document.shown(desk, row.id, lang, desk.unmask(desk.find(Bill, row.id), "T-1")))
    assert "贵州云上数据有限公司" in whole and "91520100MA6DXXXX0X" in whole
    with pytest.raises(Refusal, match="no language"):
        act(office, lambda desk: document.shown(desk, row.id, "fr"))


def test_a_bill_is_a_pdf_that_holds_its_figures(office: Office) -> None:
    row = told(office)
    reader = PdfReader(io.BytesIO(act(office, lambda desk: document.pdf(desk, row.id, "en"))))
    text = "\n".join(page.extract_text() for page in reader.pages)
    assert str(row.number) in text and "198.00" in text and "Installation" in text


def test_rows_for_e_invoices_come_to_the_bills_and_credit_notes(office: Office) -> None:
    row = told(office)
    clerk, chief = people(office)
    note = act(office, lambda desk: bill.write_credit(desk, row.id, "wrong plan"), clerk)
    act(office, lambda desk: bill.decide_credit(desk, note.id, True), chief)
    with pytest.raises(Refusal, match="a reason is needed"):
        act(office, lambda desk: data.invoices(desk, date(2026, 12, 1), date(2027, 1, 1), ""), clerk)
    content = act(office, lambda desk: data.invoices(desk, date(2026, 12, 1), date(2027, 1, 1), "December"), clerk)
    rows = list(csv.DictReader(io.StringIO(content.removeprefix("\ufeff"))))
    for kind, sign in (("蓝字", 1), ("红字", -1)):
        some = [one for one in rows if one["发票类型"] == kind]
        assert sum(D(one["价税合计"]) for one in some) == sign * row.gross and sum(D(one["税额"]) for one in some) == sign * row.tax
        assert all(D(one["金额(不含税)"]) + D(one["税额"]) == D(one["价税合计"]) for one in some)
    assert rows[0]["购买方纳税人识别号"] == "91520100MA6DXXXX0X" and {one["原单据编号"] for one in rows} == {"", row.number}
    entries = list(csv.DictReader(io.StringIO(act(office, lambda desk: journal.export(desk, date(2026, 12, 1), date(2027, 1, 1)), clerk))))
    assert sum(D(one["debit"]) for one in entries) == sum(D(one["credit"]) for one in entries) == 2 * row.gross + 2 * D("45.90")
    lines = list(csv.DictReader(io.StringIO(act(office, lambda desk: data.as_csv(desk, row.id), clerk))))
    assert sum(D(one["gross"]) for one in lines) == row.gross and data.table(("a",), [{"a": "=1+1"}]) == "a\n'=1+1\n"


def test_the_commands_from_a_run_to_the_journal(office: Office, tmp_path: Path) -> None:
    sold(office)
    one = customer(office, "K1")
    serving(office, one, "2026-11-10", "home-100")
    people(office)
    settings = {name: value for name, value in office.settings.model_dump().items() if name in ("database", "keys", "attachments", "bindings", "store")}
    (config := tmp_path / "bss.toml").write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items()))

    def run(*words: str, who: str = "bill-1", code: int = 0) -> Any:
        answer = CliRunner().invoke(command, ["--config", str(config), "--as", who, *words])
        assert answer.exit_code == code, (words, answer.output)
        return json.loads(answer.stdout) if "--json" in words and not code else answer.output
    key = run("bill", "run", "2025-11", "--json")[0]["id"]          # nothing was there then
    assert "cancelled" in run("bill", "cancel", key, "--reason", "the wrong year") and "2025-11" in run("bill", "runs")
    made = run("bill", "run", "2025-12", "--customer", one, "--json")[0]
    assert made["state"] == "built" and made["bills"] == ""
    act(office, lambda desk: None)
    found = issued(office)[0]
    assert run("bill", "list", "--json")[0]["number"] == found.number and "recurring" in run("bill", "show", str(found.number))
    for name in ("b.html", "b.pdf", "b.csv", "b.json"):
        run("bill", "show", found.id, "--out", str(tmp_path / name))
        assert (tmp_path / name).stat().st_size > 200 and (tmp_path / name).stat().st_mode & 0o077 == 0
    assert "is not written as 'doc'" in run("bill", "show", found.id, "--out", str(tmp_path / "b.doc"), code=2)
    (bank := tmp_path / "bank.csv").write_text(f"serial,date,amount,remark\nS1,2026-12-02,100.00,{found.number}\n", encoding="utf-8")
    assert run("payment", "bring", str(bank), "--json")[0]["posted"] == 1
    paid = run("payment", "list", "--json")[0]
    assert paid["matched"] == "100.00" and "100.00" in run("bill", "ageing") or paid
    assert "posted" in run("payment", "add", "60.00", "--account", found.account_id)
    asked = run("payment", "refund", run("payment", "list", "--json")[0]["id"], "--amount", "0.01", "--reason", "x", "--json", code=2)
    assert "left" in asked
    assert "reversed" in run("payment", "reverse", paid["id"], "--reason", "bounced")
    assert "none" in run("dunning", "list") and "1122" in run("journal", "--since", "2026-11-01", "--until", "2027-12-01", "--out", str(tmp_path / "j.csv"))
    assert "借" not in (tmp_path / "j.csv").read_text() and "应收账款" in (tmp_path / "j.csv").read_text()
    with office.reading() as desk:
        service = desk.session.query(Service).one().id
    second = run("account", "open", one, "--json")[0]["id"]
    assert service in run("account", "pays", second, service) and service not in run("account", "pays", found.account_id)
    assert "is due on" in run("dunning", "write-off", found.id, "--reason", "gone", code=2)
    note = run("bill", "credit", found.id, "--reason", "wrong", "--json")[0]["id"]
    assert "issued" in run("bill", "credit", note, "--issue", who="bill-2")
    assert "1.25" not in run("account", "list") and found.account_id in run("account", "list")
    assert "prepaid" in run("account", "change", found.account_id, "--kind", "prepaid") and "0.05" in run(
        "account", "rate", "0.05", "--charge", "usage", "--since", "2027-01-01", who="bill-2")
    with office.reading() as desk:
        assert desk.find(Bill, found.id).credited and payment.listed(desk) is not None
