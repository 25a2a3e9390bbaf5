"""Bills as data: JSON in the shape of TMF678, CSV by lines, and rows for e-invoices (数电发票), which a tax program takes over; filing is not ours."""
from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import select

from bss.billing.bill import find, lines_of, taxes_of
from bss.billing.document import parties_of, percent
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Bill, BillLine, CreditNote, Service

ROOT = "/tmf-api/customerBillManagement/v4"
LINES = ("bill", "line", "kind", "service", "circuit", "item", "item_zh", "period_from", "period_before", "original_period", "quantity", "unit", "net",
         "tax_rate", "tax", "gross", "currency", "source")
#: Columns of an e-invoice row, by the names that tax programs know.
INVOICE: dict[str, str] = {
    "serial": "单据编号", "type": "发票类型", "buyer_name": "购买方名称", "buyer_number": "购买方纳税人识别号", "buyer_address": "购买方地址、电话",
    "buyer_bank": "购买方开户行及账号", "seller_name": "销售方名称", "seller_number": "销售方纳税人识别号", "line": "行号", "item": "项目名称",
    "unit": "单位", "quantity": "数量", "price": "单价(不含税)", "net": "金额(不含税)", "rate": "税率", "tax": "税额", "gross": "价税合计",
    "original": "原单据编号", "note": "备注"}


def told(desk: Desk, row: Bill, lines: bool = False) -> dict[str, Any]:
    """A bill in the shape of TMF678 CustomerBill. lines: with its AppliedCustomerBillingRates."""
    def amount(value: Any) -> dict[str, str]:
        return {"unit": row.currency, "value": f"{value:.2f}"}
    found: dict[str, Any] = {
        "id": row.id, "href": f"{ROOT}/customerBill/{row.id}", "billNo": row.number, "state": row.state, "stateReason": row.reason,
        "billDate": iso(row.issued), "paymentDueDate": row.due.isoformat() if row.due else None, "runType": "onCycle", "category": "normal",
        "billingPeriod": {"startDateTime": row.begin.isoformat(), "endDateTime": row.end.isoformat(), "name": row.period}, "revision": row.revision,
        "billingAccount": {"id": row.account_id, "href": f"/tmf-api/accountManagement/v4/billingAccount/{row.account_id}"},
        "relatedParty": [{"role": "customer", "id": row.customer_id}], "taxExcludedAmount": amount(row.net), "taxIncludedAmount": amount(row.gross),
        "amountDue": amount(row.gross), "remainingAmount": amount(0 if row.credited else row.gross - row.paid), "credited": row.credited,
        "replaces": {"id": row.replaces_id} if row.replaces_id else None, "billRun": {"id": row.run_id}, "@type": "CustomerBill",
        "billDocument": [{"url": f"{ROOT}/customerBill/{row.id}/document?format={kind}", "mimeType": mime}
                         for kind, mime in (("html", "text/html"), ("pdf", "application/pdf"), ("csv", "text/csv"))]}
    if lines:
        rows = lines_of(desk, row.id)
        found["appliedCustomerBillingRate"] = [rate_told(one, row) for one in rows]
        found["taxItem"] = [{"taxCategory": "VAT", "taxRate": str(one["rate"]), "taxAmount": amount(one["tax"])} for one in taxes_of(rows)]
    return found


def rate_told(line: BillLine, bill: Bill) -> dict[str, Any]:
    """A line in the shape of TMF678 AppliedCustomerBillingRate."""
    def amount(value: Any) -> dict[str, str]:
        return {"unit": bill.currency, "value": f"{value:.2f}"}
    return {"id": f"{line.bill_id}-{line.number}", "href": f"{ROOT}/appliedCustomerBillingRate/{line.bill_id}-{line.number}", "name": line.name["en"],
            "nameZh": line.name["zh"], "type": line.kind, "isBilled": bill.number is not None, "bill": {"id": line.bill_id, "billNo": bill.number},
            "service": {"id": line.service_id} if line.service_id else None, "quantity": f"{line.quantity.normalize():f}", "unitOfMeasure": line.unit or None,
            "periodCoverage": {"startDateTime": line.begin.isoformat(), "endDateTime": line.end.isoformat()}, "originalPeriod": line.original_period or None,
            "taxExcludedAmount": amount(line.net), "taxIncludedAmount": amount(line.gross), "taxIncluded": line.tax_mode == "inclusive",
            "appliedTax": [{"taxCategory": "VAT", "taxRate": str(line.tax_rate), "taxAmount": amount(line.tax)}], "source": line.source, "live": line.live,
            "evidence": line.evidence, "@type": "AppliedCustomerBillingRate"}


def as_csv(desk: Desk, key: str) -> str:
    """A bill's lines as CSV."""
    row = find(desk, key)
    desk.record("bill.read", row)
    lines = lines_of(desk, row.id)
    circuits = _circuits(desk, lines)
    return table(LINES, ({
        "bill": row.number or row.id, "line": one.number, "kind": one.kind, "service": one.service_id or "", "circuit": circuits.get(one.service_id or "", ""),
        "item": one.name["en"], "item_zh": one.name["zh"], "period_from": one.begin, "period_before": one.end, "original_period": one.original_period,
        "quantity": f"{one.quantity.normalize():f}", "unit": one.unit, "net": f"{one.net:.2f}", "tax_rate": one.tax_rate, "tax": f"{one.tax:.2f}",
        "gross": f"{one.gross:.2f}", "currency": row.currency, "source": one.source} for one in lines))


def invoices(desk: Desk, since: date, until: date, reason: str) -> str:
    """Rows for e-invoices of all bills that were issued, and of credit notes, on days from `since` on and before `until`: CSV with Chinese heads. Buyers are in
    it as they are, so that it takes a reason, and taking it is put on record."""
    desk.demand("journal.read")
    if not reason.strip():
        raise Refusal("invalid", "a reason is needed: buyers are in it unmasked", "reason", "name the filing that it is for")
    if until < since:
        raise Refusal("invalid", "the time ends before it begins", "until")
    zone = desk.office.settings.zone
    from bss.moment import begin_of

    span = begin_of(since, zone), begin_of(until, zone)
    bills: list[Any] = list(desk.session.execute(desk.select(Bill).where(Bill.issued >= span[0], Bill.issued < span[1]).order_by(Bill.number)).scalars())
    notes: list[Any] = list(desk.session.execute(desk.select(CreditNote).where(
        CreditNote.state == "issued", CreditNote.decided >= span[0], CreditNote.decided < span[1]).order_by(CreditNote.number)).scalars())
    rows = [row for bill in bills for row in _invoice(desk, bill)]
    for note in notes:
        bill = desk.session.get_one(Bill, note.bill_id)
        rows += [row for row in _invoice(desk, bill, note)]
    desk.record("invoice.export", ("bill", f"{since} {until}"), after={"bills": len(bills), "credit_notes": len(notes), "rows": len(rows)}, reason=reason)
    return "\ufeff" + table(tuple(INVOICE.values()), ({INVOICE[name]: value for name, value in row.items()} for row in rows))


def _invoice(desk: Desk, bill: Bill, note: CreditNote | None = None) -> Iterable[Mapping[str, Any]]:
    """A row a line that is not nothing; of a credit note each with the other sign."""
    parties, sign = parties_of(desk, bill, unmasked=True), -1 if note else 1
    for one in lines_of(desk, bill.id):
        if not one.gross:
            continue
        net, tax, gross = sign * one.net, sign * one.tax, sign * one.gross
        quantity = sign * one.quantity
        yield {"serial": note.number if note else bill.number, "type": "红字" if note else "蓝字", "buyer_name": parties["buyer"]["name"],
               "buyer_number": parties["buyer"]["number"], "buyer_address": parties["buyer"]["address"], "buyer_bank": parties["buyer"]["bank"],
               "seller_name": parties["seller"]["name"], "seller_number": parties["seller"]["number"], "line": one.number, "item": one.name["zh"],
               "unit": one.unit, "quantity": f"{quantity.normalize():f}", "price": f"{net / quantity:.6f}" if quantity else "", "net": f"{net:.2f}",
               "rate": f"{percent(one.tax_rate)}%", "tax": f"{tax:.2f}", "gross": f"{gross:.2f}", "original": bill.number if note else "",
               "note": f"{bill.period} {one.original_period}".strip()}


def _circuits(desk: Desk, lines: Sequence[BillLine]) -> dict[str, str]:
    return dict(desk.session.execute(select(Service.id, Service.circuit).where(Service.id.in_({one.service_id for one in lines if one.service_id})))
                .tuples().all())


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV. A cell that a spreadsheet would calculate begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _plain(value) for name, value in row.items()})
    return out.getvalue()


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+@\t\r" and value else value
