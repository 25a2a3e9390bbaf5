"""What waits for who is in the field: his dispatches and inspections, on a page as wide as a telephone. He accepts, says that he is there, answers, takes a
photo, is done."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from bss.desk import Desk
from bss.orders.attachment import attach
from bss.pages.field import shown
from bss.pages.listing import named
from bss.pages.visitor import Visit, Visitor
from bss.refusal import Refusal
from bss.tables import Dispatch, Inspection, InspectionPlan
from bss.tickets import dispatch, inspection
from bss.tickets.checklist import Checklist

router = APIRouter()
MOST = 100


@router.get("/work")
def work(visit: Visit) -> Response:
    """His list: what is due first first."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.work" if not desk.may("order.install") else "order.install")
        mine = desk.select(Dispatch).where(Dispatch.owner_id == desk.actor.id, Dispatch.state.in_(dispatch.OPEN)).order_by(Dispatch.due).limit(MOST)
        due = desk.select(Inspection).where(Inspection.owner_id == desk.actor.id, Inspection.state == "due").order_by(Inspection.due).limit(MOST)
        looked: list[Inspection] = list(desk.session.execute(due).scalars()) if desk.may("resource.read") else []      # type: ignore[arg-type]
        plans = named(desk, InspectionPlan, [one.plan_id for one in looked], lambda one: str(one.name))
        return {"dispatches": list(desk.session.execute(mine).scalars()), "inspections": looked, "plans": plans, "now": desk.now}

    return visit.page("work", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.get("/work/dispatch/{dispatch_id}")
def one(visit: Visit, dispatch_id: str) -> Response:
    """One dispatch, on a telephone."""
    return visit.page("dispatch", phone=True, said=visit.request.query_params.get("said", ""), **visit.act(lambda desk: shown(desk, dispatch_id)))


@router.post("/work/dispatch/{dispatch_id}/move")
async def move(visit: Visit, dispatch_id: str) -> Response:
    """Move it on, with the answers that the form has."""
    to, reason, form = visit.form.get("to", ""), visit.form.get("reason", ""), visit.form

    def act(desk: Desk) -> Dispatch:
        row = dispatch.find(desk, dispatch_id)
        given = answers_of(dispatch.questions(desk, row), form) if row.state in ("accepted", "arrived") else None
        return dispatch.move(desk, dispatch_id, to, reason, given)
    row = await run_in_threadpool(visit.act, act)
    return visit.back(f"/work/dispatch/{dispatch_id}", visit.say("dispatch.moved", state=visit.say(f"stage.{row.state}")))


@router.post("/work/dispatch/{dispatch_id}/answer")
async def answer(visit: Visit, dispatch_id: str) -> Response:
    """Save answers."""
    form = visit.form
    await run_in_threadpool(visit.act, lambda desk: dispatch.answer(desk, dispatch_id, answers_of(
        dispatch.questions(desk, dispatch.find(desk, dispatch_id)), form)))
    return visit.back(f"/work/dispatch/{dispatch_id}", visit.say("dispatch.saved"))


@router.post("/work/dispatch/{dispatch_id}/photo")
async def photo(visit: Visit, dispatch_id: str) -> Response:
    """Attach a photo."""
    await run_in_threadpool(visit.read, lambda desk: dispatch.find(desk, dispatch_id))
    name, content = await _file(visit)
    await run_in_threadpool(visit.act, lambda desk: attach(desk, "dispatch", dispatch_id, name, content))
    return visit.back(f"/work/dispatch/{dispatch_id}", visit.say("dispatch.saved"))


@router.post("/work/dispatch/{dispatch_id}/restored")
async def restored(visit: Visit, dispatch_id: str) -> Response:
    """He says that it works again; whether it does, the traffic says."""
    from bss.tickets.transition import claim

    def act(desk: Desk) -> None:
        row = dispatch.find(desk, dispatch_id)
        if row.ticket_id is None:
            raise Refusal("conflict", "it is for no ticket", f"dispatch {row.number}")
        claim(desk, row.ticket_id)
    await run_in_threadpool(visit.act, act)
    return visit.back(f"/work/dispatch/{dispatch_id}", visit.say("dispatch.restored_said"))


@router.get("/work/inspection/{inspection_id}")
def looked(visit: Visit, inspection_id: str) -> Response:
    """One inspection, on a telephone."""
    def look(desk: Desk) -> dict[str, Any]:
        row = inspection.find(desk, inspection_id)
        plan = desk.find(InspectionPlan, row.plan_id)
        may = row.state == "due" and (row.owner_id == desk.actor.id or desk.may("dispatch.write"))
        return {"one": row, "plan": plan, "questions": inspection.questions(desk, row).question, "answers": row.answers, "answering": may,
                "photos": inspection.photos(desk, row.id)}

    return visit.page("inspection", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/work/inspection/{inspection_id}")
async def filled(visit: Visit, inspection_id: str) -> Response:
    """Fill it in; with `finish` it is done."""
    form = visit.form
    await run_in_threadpool(visit.act, lambda desk: inspection.fill(
        desk, inspection_id, answers_of(inspection.questions(desk, inspection.find(desk, inspection_id)), form), form.get("note", ""), "finish" in form))
    return visit.back(f"/work/inspection/{inspection_id}", visit.say("inspection.saved"))


@router.post("/work/inspection/{inspection_id}/photo")
async def inspection_photo(visit: Visit, inspection_id: str) -> Response:
    """Attach a photo."""
    await run_in_threadpool(visit.read, lambda desk: inspection.find(desk, inspection_id))
    name, content = await _file(visit)
    await run_in_threadpool(visit.act, lambda desk: attach(desk, "inspection", inspection_id, name, content))
    return visit.back(f"/work/inspection/{inspection_id}", visit.say("inspection.saved"))


def answers_of(checklist: Checklist, form: Mapping[str, str]) -> dict[str, Any]:
    """The answers that a form has."""
    given: dict[str, Any] = {}
    for one in checklist.question:
        text = form.get(f"answer.{one.key}")
        if text is not None and one.kind != "photo":
            given[one.key] = None if not text.strip() else text == "yes" if one.kind == "check" else text
    return given


async def _file(visit: Visitor) -> tuple[str, bytes]:
    """The file of a form. Refusal: there is none, or it is larger than is taken."""
    found = (await visit.request.form()).get("file")
    if not isinstance(found, UploadFile) or not found.filename:
        raise Refusal("invalid", "no file was sent", "file", "choose one")
    most = visit.office.settings.attachment_mb << 20
    content = await found.read(most + 1)
    if len(content) > most:
        raise Refusal("large", f"it is larger than {most >> 20} MB", "file", "take a smaller photo")
    return found.filename, content
