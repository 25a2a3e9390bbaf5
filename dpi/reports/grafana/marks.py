"""Annotations that dashboards share: when figures are not whole. A table of alerts joins them here."""
from __future__ import annotations

from dpi.reports.grafana.panels import Mark, Say
from dpi.reports.grafana.sql import TIME

_LOST = "dropped_nic + dropped_kernel + dropped_ring + dropped_store"


def losses(say: Say) -> tuple[Mark, ...]:
    """Minutes of coverage in which something was lost, or nothing was read."""
    text = (f"concat({say(chr(39) + 'lost: ' + chr(39), chr(39) + '丢失：' + chr(39))}, toString(sum({_LOST})), "
            f"{say(chr(39) + ', not read: ' + chr(39), chr(39) + '，未读取：' + chr(39))}, toString(intDiv(sum(unread_us), 1000000)), ' s')")
    return (Mark(say("Lost or not read", "丢失或未读取"),
                 f"SELECT at AS time, at + INTERVAL 1 MINUTE AS timeEnd, {text} AS text, probe AS tags FROM (SELECT time AS at, * FROM coverage WHERE {TIME}) "
                 f"GROUP BY at, probe HAVING sum({_LOST}) > 0 OR sum(unread_us) > 1000000 ORDER BY time LIMIT 500"),)


def alerts(say: Say) -> tuple[Mark, ...]:
    """Alerts of medium and higher severity, from their first packet to the last."""
    hit = "if(target = '', if(source = '', '', concat(' < ', source)), concat(' > ', target))"
    return (Mark(say("Alerts", "告警"),
                 f"SELECT at AS time, greatest(last_time, at + INTERVAL 1 SECOND) AS timeEnd, concat(severity, ': ', kind, {hit}) AS text, "
                 f"toString(kind) AS tags FROM (SELECT time AS at, * FROM grafana_alerts WHERE {TIME} AND severity != 'low') "
                 f"ORDER BY at, text LIMIT 500", "purple"),)
