"""Work in the field: what is under way, the dispatches, and one of them."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import func, select

from bss.desk import Desk
from bss.pages.cell import link, tag, text
from bss.pages.listing import listed
from bss.pages.visitor import Visit
from bss.tables import Article, Assurance, Dispatch, Inspection, Ticket, User
from bss.tickets import dispatch

router = APIRouter()
ROOMS = (("dispatches", "ticket.read"), ("inspections", "resource.read"), ("assurances", "ticket.read"), ("knowledge", "knowledge.read"),
         ("scorecards", "scorecard.read"), ("rosters", "ticket.read"), ("calendars", "ticket.read"))


@router.get("/field")
def field(visit: Visit) -> Response:
    """Tiles, and ways to all of it."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")

        def count(query: Any) -> int:
            return desk.session.execute(select(func.count()).select_from(query.subquery())).scalar_one()

        open_ = desk.select(Dispatch).where(Dispatch.state.in_(dispatch.OPEN))
        told = {"open": count(open_), "unanswered": count(open_.where(Dispatch.state == "assigned", Dispatch.due < desk.now))}
        if desk.may("resource.read"):
            due = desk.select(Inspection).where(Inspection.state == "due")
            told |= {"due": count(due), "late": count(due.where(Inspection.due <= desk.now))}
        told["events"] = count(desk.select(Assurance).where(Assurance.state == "approved", Assurance.since <= desk.now, Assurance.until > desk.now))
        if desk.may("knowledge.read"):
            told["articles"] = count(select(Article).where(Article.retired.is_(False)))
        return {"tiles": told, "rooms": [name for name, permission in ROOMS if desk.may(permission)]}

    return visit.page("field", **visit.read(look))


@router.get("/field/dispatches")
def dispatches(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        found = listed(desk, desk.select(Dispatch), visit, {"state": Dispatch.state, "kind": Dispatch.kind, "region": Dispatch.region}, Dispatch.id.desc())
        owners = logins(desk, [one.owner_id for one in found["rows"]])
        found["cells"] = [[link(one.number, f"/field/dispatches/{one.id}"), tag(one.kind), text(visit.say(f"stage.{one.state}")), text(one.region),
                           text(owners.get(one.owner_id, "")), text(visit.time(one.assigned)), text(visit.time(one.due)), text(visit.time(one.done))]
                          for one in found["rows"]]
        return found

    heads = visit.heads("dispatch.number", "list.kind", "list.state", "list.region", "dispatch.owner", "dispatch.assigned", "dispatch.due", "dispatch.done")
    return visit.page("list", what="dispatch", heads=heads, exported="", **visit.read(look))


@router.get("/field/dispatches/{dispatch_id}")
def one(visit: Visit, dispatch_id: str) -> Response:
    """One of them; that it was looked at is put on record, for it says where somebody lives."""
    return visit.page("dispatch", phone=False, said=visit.request.query_params.get("said", ""), **visit.act(lambda desk: shown(desk, dispatch_id)))


@router.post("/field/dispatches/{dispatch_id}/move")
async def move(visit: Visit, dispatch_id: str) -> Response:
    """Move it on."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: dispatch.move(desk, dispatch_id, to, reason))
    return visit.back(f"/field/dispatches/{dispatch_id}", visit.say("dispatch.moved", state=visit.say(f"stage.{row.state}")))


def shown(desk: Desk, dispatch_id: str) -> dict[str, Any]:
    """What the page of a dispatch says."""
    row = dispatch.find(desk, dispatch_id)
    desk.record("dispatch.view", row)
    mine = bool(desk.actor.id) and row.owner_id == desk.actor.id
    found, history = dispatch.judged(desk, row), dispatch.history(desk, row)
    works = mine and (desk.may("ticket.work") or desk.may("order.install")) or desk.may("dispatch.write")
    moves = [to for to in dispatch.TABLE[row.state] if (to == "cancelled" and desk.may("dispatch.write")) or (to != "cancelled" and works)]
    ticket = desk.session.execute(desk.select(Ticket).where(Ticket.id == row.ticket_id)).scalar_one_or_none() if row.ticket_id else None
    return {"one": row, "site": desk.shown(row.site, mine or desk.may("dispatch.write")), "questions": dispatch.questions(desk, row).question,
            "answers": found.answers, "missing": found.missing, "faults": found.faults, "photos": dispatch.photos(desk, row.id), "history": history,
            "moves": moves, "users": logins(desk, [row.owner_id, *(step.user_id for step in history)]), "ticket": ticket,
            "answering": works and row.state in ("accepted", "arrived")}


def logins(desk: Desk, ids: Any) -> dict[str, str]:
    """Log-ins of users by their ids: who works here is named to all who work here."""
    found: dict[str, str] = {key: login for key, login in desk.session.execute(select(User.id, User.login).where(     # type: ignore[var-annotated]
        User.id.in_({one for one in ids if one}))).tuples()}
    return found
