"""Event assurance: the list, and one event with its services, thresholds, roster and reports by hour."""
from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from bss.desk import Desk
from bss.pages.cell import link, tag, text
from bss.pages.field import logins
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit
from bss.tables import Assurance, Service
from bss.tickets import assurance, bulletin

router = APIRouter()
SHOWN = 48              # reports of a page


@router.get("/field/assurances")
def assurances(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        found = listed(desk, desk.select(Assurance), visit, {"state": Assurance.state, "region": Assurance.region}, Assurance.since.desc())
        found["cells"] = [[link(one.name, f"/field/assurances/{one.id}"), tag(one.state), text(one.region), text(visit.time(one.since)),
                           text(visit.time(one.until)), text(visit.say("assurance.freeze") if one.freeze else visit.say("assurance.no_freeze"))]
                          for one in found["rows"]]
        return found

    heads = visit.heads("assurance.name", "list.state", "list.region", "assurance.since", "assurance.until", "assurance.freeze")
    return visit.page("list", what="assurance", heads=heads, exported="", **visit.read(look))


@router.get("/field/assurances/{assurance_id}")
def one(visit: Visit, assurance_id: str) -> Response:
    """One of them."""
    def look(desk: Desk) -> dict[str, Any]:
        row = assurance.find(desk, assurance_id)
        services = assurance.services_of(desk, row.id)
        seen = bulletin.reports(desk, row.id)[:SHOWN]
        lines = [(report.hour, line, [(visit.say(f"assurance.{kind}"), datetime.fromisoformat(at), value, limit) for kind, at, value, limit in line["beyond"]])
                 for report in seen for line in report.content["services"]]
        moves = [*(["approved", "rejected"] if row.state == "draft" and desk.may("window.approve") else []),
                 *(["cancelled"] if row.state in ("draft", "approved") and row.until > desk.now and desk.may("window.write") else [])]
        return {"one": row, "circuits": named(desk, Service, services, lambda one: str(one.circuit)), "services": services, "lines": lines, "moves": moves,
                "users": logins(desk, [*row.roster, row.made_by, row.decided_by]), "tickets": seen[0].content["tickets"] if seen else []}

    return visit.page("assurance", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/field/assurances/{assurance_id}/move")
async def move(visit: Visit, assurance_id: str) -> Response:
    """Approve it, reject it, call it off."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: assurance.cancel(desk, assurance_id, reason) if to == "cancelled" else assurance.decide(
        desk, assurance_id, to == "approved", reason))
    return visit.back(f"/field/assurances/{assurance_id}", visit.say("assurance.moved", state=visit.state(row.state)))
