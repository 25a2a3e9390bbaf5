"""Speed tests that somebody recorded: one below the floor makes its minute degraded."""
from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select

from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.services.inventory import FASTEST
from bss.tables import Service, SpeedTest

OLDEST = timedelta(days=35)         # that is recorded after the fact


def record(desk: Desk, service_id: str, at: datetime, down_bps: int, up_bps: int, note: str = "") -> SpeedTest:
    """Record a test of a service, bit/s. Refusal: it is to come, too long ago, or its rates are none."""
    desk.demand("ticket.work")
    row = desk.find(Service, service_id)
    if not desk.now - OLDEST <= at <= desk.now:
        raise Refusal("invalid", f"a test is recorded within {OLDEST.days} days", "time", "say when it was made")
    if not 0 <= down_bps <= FASTEST or not 0 <= up_bps <= FASTEST:
        raise Refusal("invalid", "not rates in bit/s", "down_bps", "write 95000000 for 95 Mbit/s")
    made = desk.add(SpeedTest(service_id=row.id, time=at, down_bps=down_bps, up_bps=up_bps, note=note.strip()[:400], user_id=desk.actor.id or None))
    desk.record("speedTest.record", made, after={"service": row.id, "time": iso(at), "down_bps": down_bps, "up_bps": up_bps}, reason=note)
    return made


def listed(desk: Desk, service_id: str = "") -> Select[tuple[SpeedTest]]:
    """A query of them, the newest first."""
    desk.demand("sla.read")
    query = desk.select(SpeedTest)
    if service_id:
        query = query.where(SpeedTest.service_id == service_id)
    return query.order_by(SpeedTest.time.desc(), SpeedTest.id.desc())
