"""Which rows a person may see: the one place where a query gets its limits. A row outside of them is as if it were not there."""
from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, false, or_, select

from bss.database import Table
from bss.tables import (
    Bill,
    BillFinding,
    BillLine,
    Binding,
    Bucket,
    Configuration,
    Contact,
    Customer,
    Draw,
    Merge,
    Milestone,
    OrderItem,
    Party,
    PaymentMatch,
    ProductOrder,
    RatedUsage,
    Reclassification,
    Relation,
    Service,
    SlaMinute,
    SpeedTest,
    ThresholdEvent,
)


class Actor(NamedTuple):
    """Who acts. roles as of his user or token; regions: empty for all; customers: of a customer's user, who sees nobody else; own_work: only what he owns."""
    id: str
    login: str
    roles: frozenset[str]
    regions: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    own_work: bool = False

    @property
    def limited(self) -> bool:
        """Whether there are rows that he may not see."""
        return bool(self.regions) or self.own_work or "customer" in self.roles

    @property
    def outside(self) -> bool:
        """Whether he is a customer, and sees his own customers alone whatever else he is."""
        return "customer" in self.roles


#: The program itself: the worker, `bss init`, imports at cut-over.
SYSTEM = Actor("", "system", frozenset({"manager", "provisioning", "presales", "assurance", "billing", "administrator", "auditor"}))
#: Tables whose rows are seen where the row they belong to is: column -> of what.
BELONGS: dict[type[Table], tuple[Any, type[Table]]] = {}


def visible(query: Select[Any], table: type[Table], actor: Actor | None) -> Select[Any]:
    """The query, of rows of `table` that the actor may see; None: somebody who may see all."""
    limit = condition(table, actor)
    return query if limit is None else query.where(limit)


def condition(table: type[Table], actor: Actor | None) -> ColumnElement[bool] | None:
    """What holds of rows of a table that the actor may see; None: all."""
    if actor is None or not actor.limited:
        return None
    if table in BELONGS:
        column, owner = BELONGS[table]
        inner = condition(owner, actor)
        key: Any = owner.__table__.c.id
        return None if inner is None else column.in_(select(key).where(inner))
    if table is Party:
        inner = condition(Customer, actor)
        return None if inner is None else Party.id.in_(select(Customer.party_id).where(inner))
    parts: list[ColumnElement[bool]] = []
    columns: dict[str, Any] = {name: getattr(table, column) for name, column in table.SCOPE.items()}
    if actor.outside:
        parts.append(columns["customer"].in_(actor.customers) if "customer" in columns else false())
    if actor.regions:
        if "region" in columns:
            parts.append(columns["region"].in_(actor.regions))
        elif "customer" in columns:
            parts.append(or_(columns["customer"].is_(None), columns["customer"].in_(select(Customer.id).where(Customer.region.in_(actor.regions)))))
    if actor.own_work:
        if "owner" in columns:
            parts.append(columns["owner"] == actor.id)
        elif "customer" in columns:
            parts.append(columns["customer"].in_(select(Customer.id).where(Customer.manager_id == actor.id)))
    if not parts:
        return false() if not table.SCOPE else None
    limit = parts[0]
    for part in parts[1:]:
        limit &= part
    return limit


BELONGS.update({
    OrderItem: (OrderItem.order_id, ProductOrder), Binding: (Binding.service_id, Service), Contact: (Contact.party_id, Party),
    Merge: (Merge.kept_id, Customer), Relation: (Relation.from_id, Party),
    Milestone: (Milestone.item_id, OrderItem), Configuration: (Configuration.item_id, OrderItem),
    Reclassification: (Reclassification.service_id, Service), SlaMinute: (SlaMinute.service_id, Service), SpeedTest: (SpeedTest.service_id, Service),
    RatedUsage: (RatedUsage.service_id, Service), Draw: (Draw.bucket_id, Bucket), ThresholdEvent: (ThresholdEvent.bucket_id, Bucket),
    BillLine: (BillLine.bill_id, Bill), BillFinding: (BillFinding.bill_id, Bill), PaymentMatch: (PaymentMatch.bill_id, Bill),
})
