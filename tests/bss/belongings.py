"""One row of every table that has limits, in a region, with words in it that nobody else may read."""
from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from bss.desk import Desk
from bss.office import Office
from bss.people.entry import digest_of
from bss.people.scope import SYSTEM
from bss.tables import (
    Agreement,
    Alarm,
    ApiToken,
    Assurance,
    AssuredService,
    Attachment,
    Bill,
    BilledOn,
    BillFinding,
    BillingAccount,
    BillLine,
    BillRun,
    Binding,
    Bucket,
    Configuration,
    Contact,
    Credit,
    CreditNote,
    Customer,
    Dispatch,
    DunningCase,
    Enquiry,
    Inspection,
    InspectionPlan,
    Interaction,
    JournalEntry,
    LinkState,
    OrderItem,
    Paper,
    Party,
    Payment,
    ProductOrder,
    Qualification,
    RatedCharge,
    RatedUsage,
    Reclassification,
    Recycled,
    Refund,
    Resource,
    Roster,
    Service,
    ServiceResource,
    SlaMinute,
    SlaMonth,
    SpeedTest,
    Ticket,
    TicketNote,
    User,
    Window,
    WindowSubject,
    WriteOff,
)


def fill(office: Office, region: str, mark: str) -> dict[str, str]:
    """Ids by table. mark: in all names and texts."""
    def make(desk: Desk) -> dict[str, str]:
        party = desk.add(Party(kind="organization", name=f"{mark} Ltd", created=desk.now))
        desk.add(Contact(party_id=party.id, medium="phone", value=f"{mark}-13800138000"))
        customer = desk.add(Customer(number=f"K-{mark}", party_id=party.id, class_="A", region=region, created=desk.now))
        agreement = desk.add(Agreement(number=f"G-{mark}", customer_id=customer.id, name=mark, valid_from=desk.now))
        interaction = desk.add(Interaction(customer_id=customer.id, time=desk.now, channel="phone", subject=mark))
        enquiry = desk.add(Enquiry(number=f"E-{mark}", customer_id=customer.id, region=region, channel="web", created=desk.now,
                                   need={"kind": "leased_line", "offering": "", "down_bps": 0, "up_bps": 0, "count": 1, "note": mark}))
        check = desk.add(Qualification(enquiry_id=enquiry.id, customer_id=customer.id, region=region, asked={"note": mark}, created=desk.now))
        order = desk.add(ProductOrder(number=f"O-{mark}", customer_id=customer.id, region=region, channel="web", class_="A", created=desk.now,
                                      state="acknowledged"))
        service = desk.add(Service(circuit=f"CIR-{mark}", customer_id=customer.id, offering="x", offering_version=1, kind="leased_line", class_="A",
                                   region=region, state="active", demarcation=mark, created=desk.now))
        item = desk.add(OrderItem(order_id=order.id, place=1, action="add", offering="x", offering_version=1, price={},
                                  wanted={"down_bps": 10 ** 8, "up_bps": 10 ** 8, "user": mark}, service_id=service.id))
        paper = desk.add(Paper(kind="quote", entity="product_order", entity_id=order.id, customer_id=customer.id, number=1, content={"note": mark},
                               written=desk.now))
        attachment = desk.add(Attachment(entity="product_order", entity_id=order.id, customer_id=customer.id, name=mark, media_type="text/plain", size=1,
                                         digest="0" * 64, time=desk.now))
        configuration = desk.add(Configuration(item_id=item.id, version=1, template="x", text=mark, inverse=mark, created=desk.now))
        octet = sum(mark.encode()) % 250
        binding = desk.add(Binding(service_id=service.id, key=f"203.0.113.{octet}/32||", prefix=f"203.0.113.{octet}/32",
                                   low=f"{'0' * 20}ffffcb0071{octet:02x}", high=f"{'0' * 20}ffffcb0071{octet:02x}", valid_from=desk.now, created=desk.now))
        resource = desk.add(Resource(kind="port", name=f"port {mark}", region=region, capacity_bps=10**9))
        desk.add(ServiceResource(service_id=service.id, resource_id=resource.id))
        ticket = desk.add(Ticket(kind="outage", severity="major", priority=1, customer_id=customer.id, service_id=service.id, region=region, class_="A",
                                 summary=mark, channel="phone", began=desk.now, created=desk.now, updated=desk.now, reason=mark,
                                 proposal={"action": "block", "target": mark, "state": "proposed"}, claimed=desk.now))
        desk.add(TicketNote(ticket_id=ticket.id, time=desk.now, internal=False, text=mark))
        alarm = desk.add(Alarm(source="tmf642", key=f"a-{mark}", kind="link_down", severity="major", state="raised", service_id=service.id, region=region,
                               customer_id=customer.id, summary=mark, raised=desk.now, changed=desk.now, ticket_id=ticket.id))
        desk.add(LinkState(source="tmf642", subject=service.id, service_id=service.id, customer_id=customer.id, region=region, state="down", since=desk.now,
                           seen=desk.now, evidence={"note": mark}))
        window = desk.add(Window(kind="customer", region=region, since=desk.now, reason=mark, made=desk.now))
        desk.add(WindowSubject(window_id=window.id, subject=service.id, service_id=service.id))
        owed = _owed(desk, customer.id, service.id, mark)
        counted = {"service_id": service.id, "customer_id": customer.id, "region": region, "month": f"{desk.now:%Y-%m}"}
        month = desk.add(SlaMonth(**counted, verdict="breached", total=1000, down=100, measured_until=desk.now, made=desk.now, evidence={"note": mark}))
        said = desk.add(Reclassification(service_id=service.id, since=desk.now, until=desk.now + timedelta(minutes=5), to_state="up", reason=mark,
                                         evidence={"note": mark}, asked=desk.now))
        desk.add(SlaMinute(service_id=service.id, since=desk.now, until=desk.now + timedelta(minutes=9), state="down", measured="down", reason="link",
                           evidence={"note": mark}))
        desk.add(SpeedTest(service_id=service.id, time=desk.now, down_bps=1, up_bps=1, note=mark))
        credit = desk.add(Credit(**counted, amount=Decimal("1.00"), currency="CNY", tax_mode="exclusive", tax_rate=Decimal("0.06"), why={"note": mark},
                                 drafted=desk.now, reason=mark))
        sent = desk.add(User(login=f"sent-{mark}", name=mark, roles=["contractor"], regions=[region], created=desk.now))
        dispatch = desk.add(Dispatch(number=f"PD-{mark}", kind="repair", ticket_id=ticket.id, customer_id=customer.id, region=region, owner_id=sent.id,
                                     task=mark, site=mark, checklist="repair", assigned=desk.now, due=desk.now, reason=mark))
        plan = desk.add(InspectionPlan(name=mark, region=region, resource_id=resource.id, checklist="site", every="month", days=28, owner_id=sent.id,
                                       since=desk.now, created=desk.now))
        inspection = desk.add(Inspection(plan_id=plan.id, period="2026-12", region=region, owner_id=sent.id, due=desk.now, checklist="site",
                                         checklist_version=0, note=mark))
        assurance = desk.add(Assurance(name=mark, region=region, owner_id=sent.id, since=desk.now, until=desk.now + timedelta(days=1), made=desk.now))
        desk.add(AssuredService(assurance_id=assurance.id, service_id=service.id))
        roster = desk.add(Roster(level="duty", region=region, user_id=sent.id, since=desk.now, until=desk.now + timedelta(days=1)))
        rows = (party, customer, agreement, interaction, enquiry, check, order, service, item, paper, attachment, configuration, binding, resource, ticket,
                alarm, window, month, said, credit, dispatch, plan, inspection, assurance, roster, *owed, *metered(desk, customer, service, mark))
        return {row.__tablename__: str(row.id) for row in rows}
    return office.act(SYSTEM, make)


def _owed(desk: Desk, customer: str, service: str, mark: str) -> list[Any]:
    """What is owed and paid."""
    account = desk.add(BillingAccount(number=f"ZH-{mark}", customer_id=customer, name=mark, created=desk.now))
    run = desk.add(BillRun(period="2026-11", whole=False, customers=[customer], state="issued", begun=desk.now, reason=mark))
    bill = desk.add(Bill(number=f"ZD-{mark}", account_id=account.id, customer_id=customer, run_id=run.id, period="2026-11", begin=date(2026, 11, 1),
                         end=date(2026, 12, 1), state="sent", net=Decimal("1.00"), tax=Decimal("0.06"), gross=Decimal("1.06"), created=desk.now,
                         issued=desk.now, due=date(2026, 12, 1), parties=f'{{"buyer": {{"name": "{mark}"}}}}'))
    desk.add(BillLine(bill_id=bill.id, number=1, kind="recurring", service_id=service, name={"en": mark, "zh": mark}, quantity=Decimal(1),
                      begin=bill.begin, end=bill.end, amount=bill.net, tax_mode="exclusive", tax_rate=Decimal("0.06"), net=bill.net, tax=bill.tax,
                      gross=bill.gross, source=f"x/{mark}", evidence={"note": mark}))
    desk.add(BillFinding(run_id=run.id, bill_id=bill.id, kind="first", detail={"note": mark}, made=desk.now))
    note = desk.add(CreditNote(bill_id=bill.id, customer_id=customer, reason=mark, gross=bill.gross, written=desk.now))
    payment = desk.add(Payment(source=f"bank/{mark}", account_id=account.id, customer_id=customer, method="bank", state="posted", amount=Decimal("5.00"),
                               matched=Decimal(0), refunded=Decimal(0), received=desk.now, payer=mark, remark=mark, created=desk.now))
    refund = desk.add(Refund(payment_id=payment.id, customer_id=customer, amount=Decimal("1.00"), reason=mark, asked=desk.now))
    off = desk.add(WriteOff(bill_id=bill.id, customer_id=customer, amount=Decimal("1.00"), reason=mark, why=mark, proposed=desk.now))
    desk.add(BilledOn(subject=service, account_id=account.id, customer_id=customer, made=desk.now))
    case = desk.add(DunningCase(bill_id=bill.id, account_id=account.id, customer_id=customer, opened=desk.now, reason=mark, state="disputed",
                                prior_state="warned", services=[], windows=[]))
    desk.add(JournalEntry(posting=f"x/{mark}", line=1, day=date(2026, 12, 1), account="receivable", debit=bill.gross, customer_id=customer, entity="bill",
                          entity_id=bill.id))
    return [account, run, bill, note, payment, refund, case, off]
def metered(desk: Desk, customer: Customer, service: Service, mark: str) -> list[Any]:
    """Usage of a service, what is included, a charge, and what waits for a person."""
    name, words = {"en": mark, "zh": mark}, mark.encode().ljust(24, b"-")
    desk.add(RatedUsage(service_id=service.id, day="2026-11-30", revision=1, period="2026-11", up_bytes=1, down_bytes=1, lines=words, digest=words,
                        rated=desk.now))
    bucket = desk.add(Bucket(customer_id=customer.id, owner=service.id, period="2026-12", origin="2026-12", key=mark, name=name, quantity=1, expires=desk.now))
    charge = desk.add(RatedCharge(customer_id=customer.id, service_id=service.id, period="2026-11", original_period="2026-11", price_key=mark, name=name,
                                  unit="GB", quantity=Decimal(1), amount=Decimal(3), currency="CNY", tax="inclusive", tax_rate=Decimal("0.09"), made=desk.now,
                                  evidence={"owner": service.id, "services": {service.id: 1}, "computed": {"note": mark}}))
    recycled = desk.add(Recycled(service_id=service.id, customer_id=customer.id, day="2026-07-01", period="2026-07", reason="late", octets=1, lines=words,
                                 digest=words, made=desk.now))
    return [bucket, charge, recycled]


def token(office: Office, role: str, regions: list[str], **given: Any) -> str:
    """A token of a new user with one role."""
    secret = f"token-{role}-{len(regions)}-{len(given)}"

    def make(desk: Desk) -> None:
        user = desk.add(User(login=secret, name=secret, roles=[role], regions=regions, created=desk.now, **given))
        desk.add(ApiToken(user_id=user.id, name="test", digest=digest_of(secret), created=desk.now, expires=desk.now + timedelta(days=1)))
    office.act(SYSTEM, make)
    return secret


def kind_of(path: str, ids: dict[str, str]) -> str:
    """Of which kind the things of a path are; '' where it can't be told."""
    told = path.lower()
    for named, kind in (("orderitem", "order_item"), ("productorder", "product_order"), ("servicequalification", "qualification"), ("workorder", "dispatch")):
        told = told.replace(named, kind)
    return max((kind for kind in ids if kind in told.replace("management", "") or kind.replace("_", "") in told.replace("management", "")), key=len, default="")


def body_of(document: dict[str, Any], path: str, method: str, ids: dict[str, str]) -> Any:
    """A body as the OpenAPI document wants it, about the things in `ids`; None where there is none."""
    wanted = document["paths"].get(path, {}).get(method.lower(), {}).get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return None if wanted is None else _value(document, wanted, "", ids)


def _value(document: dict[str, Any], schema: dict[str, Any], name: str, ids: dict[str, str]) -> Any:
    if "$ref" in schema:
        return _value(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], name, ids)
    if "anyOf" in schema:
        return _value(document, next(one for one in schema["anyOf"] if one.get("type") != "null"), name, ids)
    if "enum" in schema or "const" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        needed = {*schema.get("required", ()), *(one for one in schema.get("properties", ()) if one.lower().endswith(("id", "item", "by", "customer", "order",
                                                                                                                 "service", "reason")))}
        return {key: _value(document, one, name if key == "id" else key, ids) for key, one in schema.get("properties", {}).items() if key in needed}
    if kind == "array":
        return [_value(document, schema.get("items", {}), name, ids)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    if kind == "boolean":
        return True
    if schema.get("format") == "date-time":
        return "2026-12-24T08:00:00+08:00"
    lower = name.lower().removesuffix("id").removesuffix("_")
    lower = {"kept": "customer", "gone": "interaction", "fromservice": "service", "toservice": "binding"}.get(lower, lower)         # two that are not one
    return next((ids[one] for one in ids if lower and lower in (one, one.replace("_", ""), one.rpartition("_")[2])), {
        "region": "贵阳", "class": "A", "prefix": "192.0.2.0/30", "kind": "port", "channel": "web", "state": "cancelled"}.get(lower, "x"))
