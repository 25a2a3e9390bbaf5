"""Kinds of jobs: one line each. A file of any domain declares what it can do later.

Inside (as most are): `function(desk, argument)` runs in one transaction with the mark that the job is done, so that what it writes is written once, whatever
dies when. It must not wait for others. Outside: `function(office, argument)` talks to others; it runs in no transaction, and again where a worker dies between
the talk and the mark: at least once. every: a duty, done once in each slot of so many seconds by whichever worker comes first; its argument is {"slot": time}.
All act as the system.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """function: `module:name`; every: seconds between two of a duty, 0 none; outside: it talks to others."""
    function: str
    every: int = 0
    outside: bool = False


KINDS: dict[str, Kind] = {
    "mail.send": Kind("bss.working.mail:send", outside=True),
    "orders.remind": Kind("bss.orders.reminding:remind", every=3600),
    "orders.jeopardy": Kind("bss.orders.jeopardy:watch", every=900),
    "bindings.keep": Kind("bss.services.export:keep", every=60, outside=True),
    "leakage.daily": Kind("bss.services.leakage:daily", every=86400, outside=True),
    "resource.expire": Kind("bss.services.resource:expire", every=3600),
    "rating.hours": Kind("bss.rating.hours:hourly", every=300, outside=True),
    "rating.months": Kind("bss.rating.closing:monthly", every=3600, outside=True),
    "usage.reguide": Kind("bss.services.correction:reguide", outside=True),
    "sla.hourly": Kind("bss.sla.measuring:hourly", every=3600, outside=True),
    "sla.daily": Kind("bss.sla.measuring:daily", every=86400, outside=True),
    "sla.close": Kind("bss.sla.measuring:close_job", outside=True),
    "tickets.tend": Kind("bss.tickets.tending:tend", every=60),
    "tickets.remind": Kind("bss.tickets.tending:remind", every=3600),
    "alarms.sweep": Kind("bss.tickets.sweeping:sweep", every=60, outside=True),
    "alarms.sheet": Kind("bss.tickets.sheet:later", outside=True),
    "billing.build": Kind("bss.billing.run:build_job", outside=True),
    "billing.keep": Kind("bss.billing.run:keep", every=3600),
    "billing.issue": Kind("bss.billing.issuing:issue_job", outside=True),
    "billing.dunning": Kind("bss.billing.dunning:daily", every=86400),
    "billing.resume": Kind("bss.billing.dunning:resume"),
    "calendar.follow": Kind("bss.tickets.timetable:follow"),
    "tickets.escalate": Kind("bss.tickets.escalation:watch", every=60),
    "inspections.make": Kind("bss.tickets.inspection:make", every=3600),
    "assurance.watch": Kind("bss.tickets.watching:watch", every=120, outside=True),
    "assurance.report": Kind("bss.tickets.bulletin:hourly", every=300, outside=True),
    "tidy": Kind("bss.working.tidy:tidy", every=3600),
}


def function_of(kind: Kind) -> Callable[..., Any]:
    """What a kind does."""
    module, _, name = kind.function.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
