"""Thresholds: when 80 % and when all of a bucket was used others are told, once, and not two times within an hour of the same bucket."""
from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from bss.desk import Desk
from bss.tables import Bucket, ThresholdEvent

PERCENTS = (80, 100)
GAP = timedelta(hours=1)        # between two events of a bucket


def look(desk: Desk, bucket: Bucket) -> None:
    """Note what a bucket has crossed. It is told later (`tell`), if nothing of the act is undone."""
    crossed = [one for one in PERCENTS if one > bucket.crossed and bucket.quantity > 0 and bucket.used * 100 >= one * bucket.quantity]
    if not crossed:
        return
    bucket.crossed = crossed[-1]
    desk.session.flush()
    insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(ThresholdEvent)
    desk.session.execute(insert.on_conflict_do_nothing(), [{"bucket_id": bucket.id, "percent": one, "crossed": desk.now, "told": None} for one in crossed])


def tell(desk: Desk) -> int:
    """Tell what was crossed and not told of, in the shape of an alarm (TMF642); how many events. Of a bucket that crossed several the highest is told of."""
    last = dict(desk.session.execute(select(ThresholdEvent.bucket_id, func.max(ThresholdEvent.told)).group_by(ThresholdEvent.bucket_id)
                                     .where(ThresholdEvent.bucket_id.in_(select(ThresholdEvent.bucket_id).where(ThresholdEvent.told.is_(None))))).tuples().all())
    waiting: dict[str, list[ThresholdEvent]] = {}
    for row in desk.session.execute(select(ThresholdEvent).where(ThresholdEvent.told.is_(None)).order_by(ThresholdEvent.bucket_id, ThresholdEvent.percent)
                                    .with_for_update(skip_locked=True)).scalars():
        waiting.setdefault(row.bucket_id, []).append(row)
    count = 0
    for bucket_id, rows in waiting.items():
        before = last.get(bucket_id)
        if before is not None and desk.now - before < GAP:
            continue
        bucket = desk.session.get_one(Bucket, bucket_id)
        highest = rows[-1].percent
        desk.emit("usage.threshold", bucket.id, {
            "id": bucket.id, "customer": bucket.customer_id, "period": bucket.period, "bucket": bucket.key, "perceivedSeverity":
            "warning" if highest < 100 else "minor", "crossedThresholdInformation": {
                "indicatorName": "usedShare", "observedValue": f"{bucket.used * 100 / bucket.quantity:.1f}", "thresholdValue": str(highest),
                "usedBytes": str(bucket.used), "bucketBytes": str(bucket.quantity)}})
        for row in rows:
            row.told = desk.now
        count += 1
    return count
