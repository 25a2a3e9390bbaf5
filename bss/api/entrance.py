"""Who asks, and one transaction for what he asks. A route takes `Caller` and does everything inside of `read` or `write`."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bss.desk import Desk
from bss.office import Office
from bss.people.entry import of_request, remembered
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.tables import Idempotency

R = TypeVar("R")


_KEYS: Any = Idempotency.__table__
#: A key is noted, unless it is there: by whether the database is SQLite.
_MARKS: dict[bool, Any] = {True: sqlite.insert(_KEYS).on_conflict_do_nothing().returning(_KEYS.c.key),
                           False: postgresql.insert(_KEYS).on_conflict_do_nothing().returning(_KEYS.c.key)}
_ANSWER = update(_KEYS).where(_KEYS.c.user_id == bindparam("by"), _KEYS.c.key == bindparam("its"))


class Caller:
    """One request by somebody who is known."""

    def __init__(self, office: Office, actor: Actor, key: str | None = None, digest: str = "") -> None:
        self.office, self.actor, self._key, self._digest = office, actor, key, digest

    def read(self, what: Callable[[Desk], R]) -> R:
        """Look at something; what must be on record of it is."""
        return self.office.look(self.actor, what)

    def audited(self, what: Callable[[Desk], R]) -> R:
        """Look at something whose reading is put on record."""
        return self.office.look(self.actor, what, recorded=True)

    def within(self, what: Callable[[Desk], R]) -> R:
        """Look at so much that it is read piece by piece, which takes a transaction."""
        return self.office.act(self.actor, what)

    def write(self, what: Callable[[Desk], Response]) -> Response:
        """Do something once: asked again with the same Idempotency-Key it answers as before, and does nothing."""
        if self._key is None:
            return self.office.act(self.actor, what)
        key: str = self._key

        def once(desk: Desk) -> Response:
            # another one with the same key waits here, and then finds the answer
            connection = desk.session.connection()
            mark = connection.execute(_MARKS[self.office.database.lite], {
                "user_id": self.actor.id, "key": key, "digest": self._digest, "status": 0, "time": desk.now})
            if mark.first() is None:
                known = desk.session.execute(select(Idempotency).where(Idempotency.user_id == self.actor.id, Idempotency.key == key)).scalar_one()
                if known.digest != self._digest:
                    raise Refusal("unprocessable", "this Idempotency-Key was used for another request", "Idempotency-Key", "use a new key for a new request")
                answer = json.loads(known.answer or "null")
                if known.status == 204:         # has no body, not even `null`
                    return Response(status_code=204, headers=answer["headers"])
                return JSONResponse(answer["body"], known.status, answer["headers"])
            made = what(desk)
            kept = {name: value for name, value in made.headers.items() if name in ("etag", "location")}
            told = json.dumps({"body": json.loads(bytes(made.body) or b"null"), "headers": kept})
            connection.execute(_ANSWER, {"by": self.actor.id, "its": key, "status": made.status_code, "answer": told})
            return made

        return self.office.act(self.actor, once)


async def caller(request: Request, idempotency_key: Annotated[str | None, Header(max_length=200)] = None) -> Caller:
    """Who asks: by a token (Authorization: Bearer) or a log-in's cookie. Refusal `unauthorised`."""
    office: Office = request.app.state.office
    actor: Actor | None = remembered(office, request.headers)
    if actor is None:
        actor = await run_in_threadpool(of_request, office, request.headers, request.cookies, request.method)
    body = await request.body() if idempotency_key else b""         # of nobody who is not known
    # a token with other roles is another one who asks: he does not get the answer that the first one might have
    asked = f"{request.method} {request.url.path}?{request.url.query}\0{','.join(sorted(actor.roles))}\0".encode()
    digest = hashlib.sha256(asked + body).hexdigest() if idempotency_key else ""
    return Caller(office, actor, idempotency_key, digest)


Who = Annotated[Caller, Depends(caller)]
IfMatch = Annotated[str | None, Header(description="the ETag that was read: it is refused where the resource has changed since")]
