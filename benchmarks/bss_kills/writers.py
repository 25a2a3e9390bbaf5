"""The processes that are killed. Each does one kind of acts again and again, and says each on a pipe once it is committed: which rows of the audit log and
which events it wrote, and what it left behind. What was said is what nobody may lose."""
from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from fastapi.responses import JSONResponse, Response
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from benchmarks.bss_kills import bills
from benchmarks.bss_kills.crediting import credits
from benchmarks.bss_kills.ground import REGION, Ground
from bss import audit
from bss.api.entrance import Caller
from bss.desk import Desk
from bss.keeping import keys
from bss.office import Office
from bss.orders import fulfilment, order, qualification, states, transition
from bss.orders.wanted import Line
from bss.parties import merging
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.running import batch, reading, undoing
from bss.services import binding
from bss.tables import Binding, Customer, ImportBatch, Merge, Outbox, ProductOrder, Ticket, Transition
from bss.tickets import alarm, storm, ticket
from bss.tickets import states as ticket_states
from bss.tickets import transition as transition_of
from bss.working import job, kinds, worker

R = TypeVar("R")
LEASE = timedelta(seconds=1)            # after which a job of a killed worker is another's
NETWORKS = 12                           # that the binders compete for
kinds.KINDS["proof.deed"] = kinds.Kind("benchmarks.bss_kills.writers:deed")


class Life:
    """One life of a writer, until it is killed. told: how many acts earlier lives of it have said."""

    def __init__(self, office: Office, ground: Ground, name: str, told: int, pipe: int) -> None:
        self.office, self.ground, self.name, self.told, self._pipe = office, ground, name, told, pipe
        self.actor: Actor = ground.actors[name]
        self.chance = random.Random(os.getpid() * 1_000_003 + time.time_ns())
        self._wrote: tuple[list[list[str]], list[str]] = ([], [])
        event.listen(Session, "before_commit", _recorded, insert=True)          # before the log itself takes what waits for it
        for moment, listener in (("after_flush", _told), ("after_rollback", _forgotten), ("after_commit", self._kept)):
            event.listen(Session, moment, listener)

    def _kept(self, session: Session) -> None:
        recorded, told = session.info.pop("recorded", None), session.info.pop("told", [])
        if recorded:
            self._wrote = recorded, told

    def act(self, what: Callable[[Desk], R], left: Callable[[R], Mapping[str, Any]] = lambda _made: {}) -> R | None:
        """Do something and say so; None where it is refused, which others may be the reason of."""
        return self.say(lambda: self.office.act(self.actor, what), left)

    def say(self, what: Callable[[], R], left: Callable[[R], Mapping[str, Any]]) -> R | None:
        """Do something that commits by itself, and say so."""
        self.rest()
        self._wrote = ([], [])
        try:
            made = what()
        except Refusal as refusal:
            if refusal.kind not in ("conflict", "missing"):
                os.write(self._pipe, (json.dumps({"wrong": f"{self.name}: {refusal.kind}: {refusal}"}) + "\n").encode())
            return None
        recorded, told = self._wrote
        os.write(self._pipe, (json.dumps({"audit": recorded, "events": told, **left(made)}) + "\n").encode())
        return made

    def rest(self) -> None:
        """Let others at the database: SQLite has no queue of those who wait for it."""
        time.sleep(self.chance.uniform(0, 0.02))


def _recorded(session: Session) -> None:
    session.info["recorded"] = [[row["time"].isoformat(), row["actor"], row["action"], row["entity_id"]] for row in session.info.get(audit.WAITING, ())]


def _told(session: Session, _context: Any) -> None:
    session.info.setdefault("told", []).extend(row.id for row in session.new if isinstance(row, Outbox))


def _forgotten(session: Session) -> None:
    session.info.pop("recorded", None)
    session.info.pop("told", None)


# ---- orders

def orders(life: Life) -> None:
    """Step by step, orders of this life and of those before it: entered, amended, acknowledged, checked, moved, reserved and bound for, cancelled."""
    chance = life.chance
    mine = select(ProductOrder).where(ProductOrder.owner_id == life.actor.id, ProductOrder.state.not_in(states.TERMINAL))
    while True:
        with life.office.reading(life.actor) as desk:
            held = desk.session.scalars(mine.order_by(ProductOrder.created.desc()).limit(6)).all()
            one = chance.choice(held) if held and chance.random() < 0.85 else None
            items = [] if one is None else [item.id for item in one.items if item.state == "inProgress" and item.service_id is None]
        if one is None:
            customer = chance.choice(chance.choice(life.ground.pairs))
            life.act(lambda desk: order.enter(desk, customer, _lines(chance), owner_id=life.actor.id), _state)         # noqa: B023
        else:
            _step(life, one.id, one.state, items)


def _step(life: Life, key: str, state: str, items: list[str]) -> None:
    """What may follow a state, by chance."""
    chance = life.chance
    after: dict[str, tuple[Callable[[Desk], Any], ...]] = {
        "draft": (lambda desk: order.amend(desk, key, _lines(chance))[0], lambda desk: order.acknowledge(desk, key), lambda desk: order.acknowledge(desk, key)),
        "acknowledged": (lambda desk: order.amend(desk, key, _lines(chance), "they want more")[0], lambda desk: _begun(desk, key),
                         lambda desk: _begun(desk, key), lambda desk: transition.move(desk, key, chance.choice(("pending", "held")), "waits")),
        "pending": (lambda desk: _begun(desk, key),), "held": (lambda desk: _begun(desk, key),),
        "inProgress": (lambda desk: order.cancel(desk, key, "they want it no more"), lambda desk: transition.move(desk, key, "held", "waits")),
    }
    if items and chance.random() < 0.8:
        life.act(lambda desk: _delivered(desk, chance.choice(items), chance, life.ground))
    else:
        ways = after.get(state, (lambda desk: order.cancel(desk, key, "they want it no more"),))
        life.act(chance.choice(ways), _state)


def _state(one: ProductOrder) -> Mapping[str, Any]:
    return {"orders": {one.id: one.state}}


def _begun(desk: Desk, key: str) -> ProductOrder:
    qualification.of_order(desk, key)
    return transition.move(desk, key, "inProgress")


def _lines(chance: random.Random) -> list[Line]:
    return [Line.model_validate({"action": "add", "offering": "line-a", "wanted": {"down_bps": chance.choice((1, 2, 5)) * 10 ** 8}})
            for _ in range(chance.randint(1, 3))]


def _delivered(desk: Desk, item: str, chance: random.Random, ground: Ground) -> None:
    fulfilment.reserve(desk, item, [chance.choice(ground.ports)])
    fulfilment.connect(desk, item, [{"prefix": f"100.{chance.randrange(64, 128)}.{chance.randrange(256)}.{chance.randrange(256)}/32"}])


def keyed(life: Life) -> None:
    """Orders by requests with an Idempotency-Key. A new life asks again what the last one asked: its answer may not have come through."""
    n = max(0, life.told - 1)
    while True:
        key, n = f"request {n}", n + 1

        def enter(desk: Desk) -> Response:
            made = order.enter(desk, life.ground.steady, _lines(random.Random(7)), owner_id=life.actor.id)
            return JSONResponse({"id": made.id}, 201)

        life.say(lambda: Caller(life.office, life.actor, key, "d" * 64).write(enter), lambda answer: {"keyed": {key: json.loads(bytes(answer.body))["id"]}})   # noqa: B023


# ---- bindings

def bindings(life: Life) -> None:
    """Networks that two such processes compete for: bound, ended, and moved to another service with all that the first has."""
    chance, services = life.chance, life.ground.services
    while True:
        service, other = chance.sample(services, 2)
        how = chance.random()
        if how < 0.5:
            life.act(lambda desk: binding.bind(desk, service, prefix=f"198.51.100.{8 * chance.randrange(NETWORKS)}/29").id, _bound)        # noqa: B023
        elif how < 0.65:
            life.act(lambda desk: [one.id for one in binding.end(desk, service)])              # noqa: B023
        elif how < 0.8:
            life.act(lambda desk: binding.end_one(desk, chance.choice(_open(desk, service)) if _open(desk, service) else "B").id)          # noqa: B023
        else:
            life.act(lambda desk: [one.id for one in binding.move(desk, service, other)])      # noqa: B023


def _bound(key: str) -> Mapping[str, Any]:
    return {"bindings": [key]}


def _open(desk: Desk, service: str) -> list[str]:
    return list(desk.session.scalars(select(Binding.id).where(Binding.service_id == service, Binding.valid_to.is_(None), Binding.withdrawn.is_(None))))


# ---- imports

def imports(life: Life) -> None:
    """Files of customers, of their services and of these' bindings; and batches taken back."""
    chance, n = life.chance, 0
    while True:
        n += 1
        mark = f"{os.getpid()}-{time.time_ns() % 10 ** 9}-{n}"
        customers = [f"I{mark}-{k}" for k in range(chance.randint(3, 25))]
        if _brought(life, "customers", ("number,name,kind,class,region,phone", [f"{one},客户{one},individual,home,{REGION},138{chance.randrange(10 ** 8):08d}"
                                                                              for one in customers])) is not None and chance.random() < 0.6:
            if _brought(life, "services", ("circuit,customer,offering,down_rate", [f"S{one},{one},home-100,100M" for one in customers])) is not None:
                net = chance.randrange(1 << 15) << 8
                _brought(life, "bindings", ("service,prefix", [f"S{one},10.{net + k >> 16}.{net + k >> 8 & 255}.{net + k & 255}"
                                                               for k, one in enumerate(customers)]))
        with life.office.reading(life.actor) as desk:
            held = list(desk.session.scalars(select(ImportBatch.id).where(ImportBatch.state == "imported").order_by(ImportBatch.time.desc()).limit(6)))
        if held and chance.random() < 0.6:
            one = chance.choice(held[:3])
            life.act(lambda desk: undoing.undo(desk, one).id, lambda key: {"undone": [key]})                       # noqa: B023


def _brought(life: Life, kind: str, table: tuple[str, list[str]]) -> str | None:
    content = "\n".join([table[0], *table[1]]).encode()
    sheet = reading.parse(content, f"{kind}.csv", batch.kind_of(kind).columns)
    cut = datetime.now(UTC) - timedelta(days=1)
    return life.act(lambda desk: batch.bring(desk, kind, sheet, cut)[0].id, lambda key: {"brought": {key: len(sheet.lines)}})


# ---- merges

def merges(life: Life) -> None:
    """Pairs of customers merged, now the one into the other and now the other way, and parted."""
    while True:
        one, other = life.chance.sample(life.chance.choice(life.ground.pairs), 2)

        def turn(desk: Desk) -> str:
            pair = {row.id: row for row in desk.session.query(Customer).filter(Customer.id.in_((one, other)))}      # noqa: B023
            if all(row.merged_into is None for row in pair.values()):
                return merging.merge(desk, one, other, {"name": life.chance.choice(("kept", "gone"))}).id          # noqa: B023
            last = select(Merge.id).where(Merge.kept_id.in_(pair), Merge.undone.is_(None))
            return merging.unmerge(desk, desk.session.scalars(last).one()).id

        life.act(turn, lambda key: {"merges": [key]})


# ---- tickets

def alarms(life: Life) -> None:
    """Alarms of services that two such processes tell, the same ones too: taken once, each with its ticket."""
    chance = life.chance
    while True:
        told = []
        for _ in range(chance.randint(1, 4)):
            service, key = chance.choice(life.ground.services), chance.randrange(4)
            at, state = datetime.now(UTC), chance.choice(("raised", "raised", "cleared"))
            told.append(alarm.Event("tmf642", f"{chance.randrange(1 << 20)}", f"{service}/{key}", state, chance.choice(("link_down", "loss")), "major", at, "x",
                                    service=service))

        def take(desk: Desk) -> list[str]:
            alarm.take(desk, told)              # noqa: B023
            storm.gather(desk)
            return [one.event_id for one in told]           # noqa: B023

        life.act(take, lambda keys: {"alarms": keys})


def tickets(life: Life) -> None:
    """Tickets of people: opened, noted on, claimed, moved from state to state, overridden."""
    chance = life.chance
    while True:
        with life.office.reading(life.actor) as desk:
            held = desk.session.execute(select(Ticket.id, Ticket.state).where(
                Ticket.state.not_in(ticket_states.TERMINAL), Ticket.channel == "phone").order_by(Ticket.created.desc()).limit(12)).all()
        key, state = chance.choice(held) if held and chance.random() < 0.85 else ("", "")
        if not key:
            service = chance.choice(life.ground.services)
            life.act(lambda desk: ticket.open_(desk, kind="complaint", service_id=service, severity="minor", summary="x", channel="phone"), _ticket)     # noqa: B023
        elif chance.random() < 0.3:
            life.act(lambda desk: ticket.note(desk, key, "seen").id)         # noqa: B023
        elif chance.random() < 0.3:
            life.act(lambda desk: transition_of.claim(desk, key), _ticket)           # noqa: B023
        else:
            to = chance.choice(ticket_states.TICKET[state])
            life.act(lambda desk: transition_of.move(desk, key, to, "because"), _ticket)           # noqa: B023


def _ticket(one: Ticket) -> Mapping[str, Any]:
    return {"tickets": {one.id: one.state}}


# ---- keys and jobs

def rotations(life: Life) -> None:
    """New keys, and all that is sealed sealed anew."""
    while True:
        life.act(keys.rotate, lambda number: {"key": number})
        keys.reseal(life.office, life.actor)
        time.sleep(0.2)


def jobs(life: Life) -> None:
    """Jobs asked for, and done by whichever of two such processes comes first."""
    while True:
        if life.chance.random() < 0.3:
            names = [f"{time.time_ns() % 10 ** 13}-{k}" for k in range(4)]
            life.act(lambda desk: [job.add(desk, "proof.deed", one, {"n": one}) for one in names], lambda _: {"jobs": names})       # noqa: B023
        life.rest()
        worker.step(life.office, f"{life.name}-{os.getpid()}", LEASE)


def deed(desk: Desk, argument: Mapping[str, Any]) -> None:
    """A job of two halves."""
    for half in ("first", "second"):
        desk.add(Transition(entity="deed", entity_id=str(argument["n"])[-16:], from_state=str(os.getpid()), to_state=half, time=desk.now))
        time.sleep(0.002)


WRITERS: dict[str, Callable[[Life], None]] = {
    "orders": orders, "keyed": keyed, "bindings-1": bindings, "bindings-2": bindings, "imports": imports, "merges": merges, "rotations": rotations,
    "jobs-1": jobs, "jobs-2": jobs, "alarms-1": alarms, "alarms-2": alarms, "tickets": tickets, "credits": credits, "bills-1": bills.bills,
    "bills-2": bills.bills, "payments": bills.payments}
