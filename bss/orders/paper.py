"""Papers: solutions, quotes, test and acceptance sheets, contracts. In versions; who approves one did not write it; an approved one replaces the one before.

A paper belongs to an enquiry, an order or an item of one. What it says is a document (JSON) that does not change once it is decided.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, func, select

from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Enquiry, OrderItem, Paper, ProductOrder
from bss.tables.paper import PAPERS

ENTITIES = {"enquiry": Enquiry, "product_order": ProductOrder, "order_item": OrderItem}
LARGEST = 256 << 10             # bytes of a paper's document


def subject_of(desk: Desk, entity: str, entity_id: str) -> Enquiry | ProductOrder:
    """The enquiry or order that a paper belongs to. Refusal: there is none for who acts."""
    if entity not in ENTITIES:
        raise Refusal("invalid", f"a paper belongs to one of {', '.join(ENTITIES)}", "entity")
    if entity == "enquiry":
        return desk.find(Enquiry, entity_id)
    if entity == "order_item":
        return desk.find(ProductOrder, desk.find(OrderItem, entity_id).order_id)
    return desk.find(ProductOrder, entity_id)


def write(desk: Desk, kind: str, entity: str, entity_id: str, content: Mapping[str, Any]) -> Paper:
    """A new version, as a draft. One that was a draft still is replaced by it."""
    desk.demand("paper.write")
    if kind == "acceptance":
        raise Refusal("invalid", "an acceptance sheet says what was measured, and is written by the program", "kind", "make the acceptance of the order")
    return issue(desk, kind, entity, entity_id, content)


def issue(desk: Desk, kind: str, entity: str, entity_id: str, content: Mapping[str, Any]) -> Paper:
    """The same for who is not asked whether he may: the program writes the sheet of what somebody did who may do that."""
    if kind not in PAPERS:
        raise Refusal("invalid", f"{kind!r} is no kind of paper", "kind", f"kinds are {', '.join(PAPERS)}")
    subject = subject_of(desk, entity, entity_id)
    text = json.dumps(content, ensure_ascii=False, default=str)
    if len(text.encode()) > LARGEST:
        raise Refusal("large", f"a paper's document has {LARGEST >> 10} kB at most", "content", "attach a file instead")
    query = select(Paper).where(Paper.entity == entity, Paper.entity_id == entity_id, Paper.kind == kind).order_by(Paper.number.desc())
    known = desk.session.execute(query).scalars().all()
    for one in known:
        if one.state == "draft":
            one.state = "superseded"
    paper = desk.add(Paper(kind=kind, entity=entity, entity_id=entity_id, customer_id=subject.customer_id, number=known[0].number + 1 if known else 1,
                           content=json.loads(text), written=desk.now, written_by=desk.actor.id or None))
    desk.record("paper.write", paper, after={"kind": kind, "number": paper.number, "of": entity_id})
    desk.emit("document.create", paper.id, {"id": paper.id, "kind": kind, "number": paper.number, "of": entity_id})
    return paper


def decide(desk: Desk, paper_id: str, approve: bool, reason: str = "") -> Paper:
    """Approve a draft or reject it: somebody who did not write it. The one that was approved before is superseded."""
    desk.demand("paper.approve")
    paper = desk.find(Paper, paper_id, lock=True)
    where = f"{paper.kind} {paper.number}"
    if paper.state != "draft":
        raise Refusal("conflict", f"it is {paper.state}", where, "write a new version")
    desk.another(paper.written_by, "approving a paper")
    if not approve and not reason.strip():
        raise Refusal("invalid", "a reason is needed to reject it", "reason", "give one sentence")
    if approve:
        query = select(Paper).where(Paper.entity == paper.entity, Paper.entity_id == paper.entity_id, Paper.kind == paper.kind, Paper.state == "approved")
        for one in desk.session.execute(query).scalars():
            one.state = "superseded"
            desk.record("paper.supersede", one, {"state": "approved"}, {"state": "superseded"}, f"by number {paper.number}")
    paper.state = "approved" if approve else "rejected"
    paper.decided, paper.decided_by, paper.reason = desk.now, desk.actor.id or None, reason[:400]
    desk.record("paper.decide", paper, {"state": "draft"}, {"state": paper.state}, reason)
    desk.emit("document.stateChange", paper.id, {"id": paper.id, "kind": paper.kind, "state": paper.state, "of": paper.entity_id})
    _follow(desk, paper)
    return paper


def _follow(desk: Desk, paper: Paper) -> None:
    """What an approved paper brings about: a quote moves its enquiry on, an acceptance sheet is the acceptance of its items."""
    from bss.orders.milestone import reach, reached

    if paper.state != "approved":
        return
    if paper.kind == "quote" and paper.entity == "enquiry":
        enquiry = desk.find(Enquiry, paper.entity_id)
        if enquiry.state in ("open", "surveyed"):
            from bss.orders.enquiry import step
            step(desk, enquiry, "quoted", f"quote {paper.number} is approved")
    elif paper.kind == "acceptance" and paper.entity == "product_order":
        named = {one["item"] for one in paper.content.get("items", [])}
        for item in desk.find(ProductOrder, paper.entity_id).items:
            if item.id in named and item.state == "completed" and "accepted" not in reached(desk, item):
                reach(desk, item, "accepted", {"verified": item.verified, "paper": paper.id})


def listed(desk: Desk, kind: str = "", entity_id: str = "", state: str = "") -> Select[tuple[Paper]]:
    """A query of papers, the newest first."""
    desk.demand("paper.read")
    query = desk.select(Paper)
    for column, wanted in ((Paper.kind, kind), (Paper.entity_id, entity_id), (Paper.state, state)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(Paper.written.desc(), Paper.id.desc())


def count(desk: Desk, entity_id: str, kind: str, state: str) -> int:
    """How many papers of a kind are in a state."""
    return desk.session.execute(select(func.count()).select_from(Paper).where(
        Paper.entity_id == entity_id, Paper.kind == kind, Paper.state == state)).scalar_one()
