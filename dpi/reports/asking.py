"""From the operator's settings and what was typed to a report."""
from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from dpi.errors import UserError
from dpi.reports.document import Report, Words
from dpi.reports.language import Language
from dpi.reports.named import make
from dpi.reports.period import period
from dpi.reports.request import MINUTE, Place, Request, held
from dpi.settings import Settings
from dpi.store import Store


def zone_of(settings: Settings) -> ZoneInfo:
    """The operator's time zone. UserError for one that is not known."""
    try:
        return ZoneInfo(settings.report.timezone)
    except (ValueError, OSError, KeyError):
        raise UserError(f"no such time zone: {settings.report.timezone!r}", "[report] timezone", "write one as Asia/Shanghai or UTC") from None


def make_asked(store: Store, settings: Settings, name: str, since: str | None = None, until: str | None = None, *, by: str = "", top: int = 20,
               filters: Mapping[str, str] | None = None, now: int = 0) -> tuple[Report, ZoneInfo]:
    """The report and the zone it is made in. An empty store and an empty period give a report that says so; UserError for what was typed wrongly."""
    now, zone = now or time.time_ns() // 1000, zone_of(settings)
    known = held(store)
    begin, end = period(since, until, zone, now, known if known[1] else (now // MINUTE * MINUTE - MINUTE, now // MINUTE * MINUTE))
    places = tuple(Place(key, one.capacity_bps, one.role, one.site, one.interface, one.probe) for key, one in settings.links.items())
    # all of them, those of the period first: trends compare with times before it
    found = store.query("SELECT capture_id, source FROM captures FINAL ORDER BY toUnixTimestamp64Micro(last_time) >= {begin:Int64} "
                        "AND toUnixTimestamp64Micro(first_time) < {end:Int64} DESC, first_time DESC LIMIT 10000", {"begin": begin, "end": end})
    captures = {int(number): str(source) for number, source in found}
    report = make(name, Request(store, begin, end, by, top, zone, filters or {}, places, captures, bool(settings.report.mask), now))
    if report.empty and not report.notes:
        report.notes.insert(0, Words(*(_nothing(known, Language(code, zone)) for code in ("en", "zh"))))
    return report, zone


def _nothing(known: tuple[int, int], say: Language) -> str:
    what: Any = say("report.empty_known", begin=say.time(known[0]), end=say.time(known[1])) if known[1] else say("report.empty_store")
    return say("report.empty", what=what)
