"""The acceptance sheet (竣工验收单): what was ordered, and the figures that the probe measured of it.

A paper in versions like others, shown in both languages.
"""
from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlalchemy import select

from bss.catalogue.publishing import version_of
from bss.desk import Desk
from bss.moment import iso
from bss.orders.milestone import reached
from bss.orders.paper import issue
from bss.orders.wanted import wanted_of
from bss.refusal import Refusal
from bss.tables import Customer, OrderItem, Paper, ProductOrder, Service

TEMPLATES = Path(__file__).resolve().parents[1] / "samples" / "documents"
MBPS = 10 ** 6
WORDS = {
    "title": ("Acceptance sheet", "竣工验收单"), "operator": ("Operator", "运营商"), "order": ("Order", "订单号"), "customer": ("Customer", "客户"),
    "version": ("Version", "版本"), "acknowledged": ("Accepted for delivery", "受理时间"), "due": ("Due", "应完成时间"), "completed": ("Completed", "完成时间"),
    "on_time": ("In time", "是否按时"), "yes": ("yes", "是"), "no": ("no", "否"), "unknown": ("-", "-"), "circuit": ("Circuit", "电路号"),
    "verified": ("Verified", "验证方式"), "measured": ("measured by the probe", "探针实测"),
    "manual": ("by hand: test sheet and second person", "人工:测试单与二次验收"),
    "none": ("nothing to be measured", "无需测量"), "ordered": ("Ordered rate, down / up", "订购速率 下行/上行"),
    "first": ("First traffic seen", "首次见到流量"),
    "minute": ("Minute of the test", "测试分钟"), "share": ("Share asked for", "要求占比"), "down": ("Downstream, measured", "下行实测"),
    "up": ("Upstream, measured", "上行实测"), "bytes": ("IP bytes", "IP 字节"), "needed": ("asked for", "要求"), "sheet": ("Test sheet", "测试单"),
    "tests": ("Tests", "测试时段"), "for_operator": ("For the operator", "运营商签字"), "for_customer": ("For the customer", "客户签字"),
    "note": ("Rates are IP bytes of one whole minute, 1 Mbit/s = 1,000,000 bit/s. What was not measured is not stated.",
             "速率按一个完整分钟的 IP 字节计算,1 Mbit/s = 1,000,000 bit/s。未测量的不作陈述。"),
}


def make(desk: Desk, order_id: str) -> Paper:
    """Write the sheet of an order that is delivered, or a part of it, as a new version. Who approves it accepts its items."""
    desk.demand("paper.write")
    order = desk.find(ProductOrder, order_id)
    items = [item for item in order.items if item.state == "completed" and item.action in ("add", "modify")]
    if not items:
        raise Refusal("conflict", "no added or changed item of it is completed", f"order {order.number}", "complete it first")
    zone = desk.office.settings.zone
    in_time = "unknown" if order.due is None else "yes" if (order.completed or desk.now) <= order.due else "no"
    content = {"order": order.number, "acknowledged": iso(order.acknowledged, zone), "due": iso(order.due, zone), "completed": iso(order.completed, zone) or "",
               "on_time": in_time, "items": [_item(desk, item) for item in items]}
    return issue(desk, "acceptance", "product_order", order.id, content)


def _item(desk: Desk, item: OrderItem) -> dict[str, Any]:
    wanted, known = wanted_of(item), reached(desk, item)
    service = desk.session.get(Service, item.service_id) if item.service_id else None
    document = version_of(desk, item.offering, item.offering_version).document
    first, rate, hand, installed = (known.get(name) for name in ("firstTrafficSeen", "rateVerified", "accepted", "installed"))
    told: dict[str, Any] = {
        "item": item.id, "place": item.place, "offering": item.offering, "offering_version": item.offering_version, "name": document["name"],
        "circuit": service.circuit if service else "", "verified": item.verified or "none", "ordered_down_mbps": _mbps(wanted.down_bps),
        "ordered_up_mbps": _mbps(wanted.up_bps), "first_traffic": iso(first.reached, desk.office.settings.zone) if first else "", "measured": None,
        "manual": None, "tests": list(installed.evidence.get("tests", [])) if installed else []}
    if rate is not None:
        told["measured"] = {**rate.evidence, "down_mbps": _mbps(rate.evidence["down_bytes"] * 8 // 60), "up_mbps": _mbps(rate.evidence["up_bytes"] * 8 // 60),
                            "until": iso(rate.reached + timedelta(minutes=1))}
    if item.verified == "manual" and hand is not None:
        told["manual"] = {"paper": hand.evidence.get("paper", ""), "reason": hand.evidence.get("reason", "")}
    return told


def _mbps(bps: int) -> str:
    return f"{bps / MBPS:.2f}".rstrip("0").rstrip(".")


def shown(desk: Desk, paper_id: str, lang: str = "") -> str:
    """The sheet as a page to print, in one language. The customer's name is masked, as everywhere; a person signs the sheet by hand."""
    desk.demand("paper.read")
    paper = desk.find(Paper, paper_id)
    lang = lang or desk.office.settings.lang
    if paper.kind != "acceptance" or lang not in ("en", "zh"):
        raise Refusal("invalid", "it is no acceptance sheet, or the language is neither en nor zh", "paper")
    customer = desk.session.execute(select(Customer).where(Customer.id == paper.customer_id)).scalar_one()
    environment = ImmutableSandboxedEnvironment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True)
    return environment.get_template("acceptance.j2").render(
        lang=lang, word={name: both[lang == "zh"] for name, both in WORDS.items()}, sheet={**paper.content, "number": paper.number},
        operator=desk.office.settings.operator, customer=f"{customer.number} {desk.shown(customer.party.name)}")
