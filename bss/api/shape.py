"""What resources of the API have in common (TMF630): paging, links, times, ETags."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from weakref import WeakKeyDictionary

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic_core import to_json
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from bss.asking import Listing
from bss.moment import iso
from bss.refusal import Refusal

Short = Annotated[str, Query(max_length=64)]         # what a list is narrowed by
T = TypeVar("T")
MOST = 1000                 # rows of a page
AGE = 5.0                   # s that a large total is good for
_totals: WeakKeyDictionary[Any, dict[Any, tuple[int, float]]] = WeakKeyDictionary()        # of an engine
Offset = Annotated[int, Query(ge=0, le=1 << 40, description="rows to pass over")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="rows to give")]
Fields = Annotated[str, Query(max_length=400, description="names of fields to give, separated by commas; empty: all")]


class Told(JSONResponse):
    """An answer in JSON, written by the encoder that pydantic brings along: it takes a quarter of the time."""

    def render(self, content: Any) -> bytes:
        """The same bytes, but for numbers that JSON hasn't: they are null."""
        return to_json(content, inf_nan_mode="null")


def page(session: Session, query: Select[tuple[T]], offset: int, limit: int, shape: Callable[[T], dict[str, Any]], fields: str = "",
         ready: Callable[[Sequence[T]], None] | None = None) -> JSONResponse:
    """A page of rows in `shape`, 206 where there are more, with X-Total-Count and X-Result-Count. ready: is given the rows before they are shaped, to fetch
    what belongs to all of them at once."""
    found: Sequence[Any] = session.execute(query.offset(offset).limit(limit)).unique().scalars().all()
    last = len(found) < limit and (found or not offset)
    total = offset + len(found) if last else max(counted(session, query), offset + len(found) if found else 0)
    if ready is not None and found:
        ready(found)
    return _paged([only(shape(one), fields) for one in found], offset, total)


def sighted(session: Session, listing: Listing, wanted: dict[str, Any], offset: int, limit: int, shape: Callable[[Any], dict[str, Any]], fields: str = "",
            ready: Callable[[Any], Sequence[Any]] | None = None) -> JSONResponse:
    """The same of a listing (asking.py), for its values. ready: makes of its rows what `shape` takes."""
    found: Sequence[Any] = listing.sight.all(session, **wanted, offset=offset, limit=limit)
    last = len(found) < limit and (found or not offset)
    total = offset + len(found) if last else max(_known(session, (listing, repr(wanted)), lambda: int(listing.count.ask(session, **wanted)[0][0])),
                                                 offset + len(found) if found else 0)
    rows = ready(found) if ready is not None else [one[0] for one in found]
    return _paged([only(shape(one), fields) for one in rows], offset, total)


def _paged(shown: list[dict[str, Any]], offset: int, total: int) -> JSONResponse:
    return Told(shown, 206 if offset + len(shown) < total else 200, {"X-Total-Count": str(total), "X-Result-Count": str(len(shown))})


def counted(session: Session, query: Select[Any]) -> int:
    """How many rows a query has. What was more than MOST when it was counted is said again for AGE seconds: to count a hundred thousand rows takes longer than
    to read the page of them."""
    bare = query.order_by(None)
    known = bare._generate_cache_key()
    key = None if known is None else (known.key, repr([one.effective_value for one in known.bindparams]))
    return _known(session, key, lambda: int(session.execute(select(func.count()).select_from(bare.subquery())).scalar_one()))


def _known(session: Session, key: Any, count: Callable[[], int]) -> int:
    kept = _totals.setdefault(session.get_bind(), {})
    now = time.monotonic()
    if key is not None and (found := kept.get(key)) is not None and now < found[1]:
        return found[0]
    total = count()
    if key is not None and total > MOST:
        if len(kept) >= MOST:
            kept.clear()
        kept[key] = total, now + AGE
    return total


def only(told: dict[str, Any], fields: str) -> dict[str, Any]:
    """The fields that were asked for, with id and href."""
    if not fields:
        return told
    wanted = {one.strip() for one in fields.split(",") if one.strip()}
    return {name: value for name, value in told.items() if name in wanted | {"id", "href"}} if wanted else told


def one(told: dict[str, Any], version: int, status: int = 200) -> JSONResponse:
    """One resource, with its ETag."""
    headers = {"ETag": f'"{version}"'}
    if status == 201 and "href" in told:
        headers["Location"] = str(told["href"])
    return Told(told, status, headers)


def version_of(if_match: str | None) -> int | None:
    """The version that If-Match names; None: none. Refusal: it is no ETag of ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    try:
        return int(if_match.strip().removeprefix("W/").strip('"'))
    except ValueError:
        raise Refusal("invalid", f"{if_match!r} is no ETag that was given out", "If-Match", "send the ETag of the resource as it was read") from None


def span(begin: datetime | None, end: datetime | None) -> dict[str, Any] | None:
    """A TimePeriod."""
    return None if begin is None and end is None else {"startDateTime": iso(begin), "endDateTime": iso(end)}
