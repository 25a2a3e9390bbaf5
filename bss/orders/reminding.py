"""Reminders: to who is responsible for an order that is due tomorrow, overdue, or waits for its customer; and the end of waiting after 30 days. At most one a
working day and order. Each is an event, and a mail where the owner has an address; a mail names the order, and no person."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from bss.desk import Desk
from bss.moment import iso
from bss.orders import clock, states
from bss.orders.transition import TIMEOUT, move
from bss.tables import ProductOrder, User
from bss.working import mail as post

PENDING_DAYS = (1, 3, 5)            # working days of waiting on which the owner is reminded; then every fifth
MOST = 20_000
WORDS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "dueTomorrow": (("Order {number} is due tomorrow", "订单 {number} 明日到期"), ("It is due {due} and is {state}.", "到期时间 {due},当前状态 {state}。")),
    "overdue": (("Order {number} is overdue", "订单 {number} 已超时"), ("It was due {due} and is {state}.", "应于 {due} 完成,当前状态 {state}。")),
    "pending": (("Order {number} waits for its customer", "订单 {number} 等待客户处理"),
                ("It waits since {since}; it is cancelled on {until}.", "自 {since} 起等待客户,{until} 将自动撤销。")),
    "jeopardy": (("Order {number} is at risk", "订单 {number} 有超时风险"), ("It is due {due}: {why}.", "到期时间 {due}:{why}。")),
    "timeout": (("Order {number} was cancelled", "订单 {number} 已撤销"), ("Its customer did not act for 30 days.", "客户 30 天未处理。")),
}


def remind(desk: Desk, argument: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Look at every open order; how many reminders of each kind were made. A job: asked again on the same day it makes none."""
    desk.demand("system.run")
    made: dict[str, int] = {}
    query = select(ProductOrder).where(ProductOrder.state.in_([one for one in states.OPEN if one != "draft"])).order_by(ProductOrder.due, ProductOrder.id)
    for order in desk.session.execute(query.limit(MOST)).scalars().all():
        if order.state == "pending" and order.pending_since is not None and desk.now - order.pending_since >= TIMEOUT \
                and not any(item.state == "completed" for item in order.items):            # what is delivered is not cancelled: somebody looks at it
            move(desk, order.id, "cancelled", "the customer did not act for 30 days")
            mail(desk, order, "timeout")
            made["timeout"] = made.get("timeout", 0) + 1
            continue
        kind = due_reminder(desk, order)
        if kind and not _today(desk, order):
            order.reminded = desk.now
            desk.record("order.remind", order, after={"kind": kind, "owner": order.owner_id})
            desk.emit("productOrder.reminder", order.id, {"id": order.id, "number": order.number, "kind": kind, "owner": order.owner_id, "due": order.due})
            mail(desk, order, kind)
            made[kind] = made.get(kind, 0) + 1
    return made


def due_reminder(desk: Desk, order: ProductOrder) -> str:
    """Which reminder an order needs today; '' none."""
    settings, calendar = desk.office.settings, clock.days(desk)
    today = desk.now.astimezone(settings.zone).date()
    if not calendar.works(today):
        return ""
    if order.state == "pending":
        if order.pending_since is None:
            return ""
        days = sum(calendar.works(order.pending_since.astimezone(settings.zone).date() + timedelta(days=n))
                   for n in range(1, (today - order.pending_since.astimezone(settings.zone).date()).days + 1))
        return "pending" if days in PENDING_DAYS or (days > PENDING_DAYS[-1] and days % 5 == 0) else ""
    if order.due is None:
        return ""
    if order.due <= desk.now:
        return "overdue"
    following = today + timedelta(days=1)
    while not calendar.works(following):
        following += timedelta(days=1)
    return "dueTomorrow" if order.due.astimezone(settings.zone).date() <= following else ""


def _today(desk: Desk, order: ProductOrder) -> bool:
    zone = desk.office.settings.zone
    return order.reminded is not None and order.reminded.astimezone(zone).date() == desk.now.astimezone(zone).date()


def words(desk: Desk, order: ProductOrder, kind: str, why: str = "") -> tuple[str, str]:
    """Subject and text of a reminder, in the operator's language."""
    settings = desk.office.settings
    lang, zone, since = int(settings.lang == "zh"), settings.zone, order.pending_since
    values = {"number": order.number, "state": order.state, "due": iso(order.due, zone), "why": why, "since": iso(since, zone),
              "until": iso(since + TIMEOUT, zone) if since else ""}
    subject, text = (one[lang].format(**values) for one in WORDS[kind])
    return subject, text


def mail(desk: Desk, order: ProductOrder, kind: str, why: str = "") -> bool:
    """A mail to the owner, to be sent by the worker; whether there is one: not where no mail server is named, there is no owner, or he has no address."""
    user = desk.session.get(User, order.owner_id) if order.owner_id else None
    if not desk.office.settings.mail.server or user is None or user.disabled or not user.email:
        return False

    day = desk.now.astimezone(desk.office.settings.zone).date()
    return bool(post.write(desk, user.email, *words(desk, order, kind, why), f"{order.id}/{kind}/{day}"))
