"""What was detected? The alerts of the rows in question, newest state each."""
from __future__ import annotations

from dpi.flow.figures import AlertLine, Detected, Figures
from dpi.reports.question import Question

WORST = 3               # as a replay's summary shows


def answer(ask: Question, out: Figures) -> None:
    """Fill what detectors found. Where there is no alert nothing is said: a store does not know whether anybody looked."""
    inside = f"capture_id IN ({', '.join(str(int(one)) for one in ask.captures)})" if ask.captures else "1"
    names = ("kind", "severity", "state", "first_time", "last_time", "count", "summary", "summary_zh")
    newest = (f"(SELECT src.alert_id AS alert, {', '.join(f'argMax(src.{name}, src.revision) AS {name}' for name in names)} FROM "
              f"(SELECT * FROM alerts WHERE {inside}) AS src GROUP BY src.alert_id)")
    first = "toUnixTimestamp64Micro(first_time)"
    parts = [*([f"{first} >= {int(ask.since)}"] if ask.since is not None else []), *([f"{first} < {int(ask.until)}"] if ask.until is not None else [])]
    where = f"WHERE {' AND '.join(parts)}" if parts else ""
    kinds = {str(kind): int(count) for kind, count in
             ask.store.query(f"SELECT kind, count() AS alerts FROM {newest} {where} GROUP BY kind ORDER BY alerts DESC, kind").rows}
    if not kinds:
        return
    from dpi.security.registry import every

    titles = {one.kind: (one.title.en, one.title.zh) for one in every()}
    rank = "indexOf(['critical', 'high', 'medium', 'low'], toString(severity))"
    worst = ask.store.query(f"SELECT kind, severity, state, {first}, toUnixTimestamp64Micro(last_time), count, summary, summary_zh FROM {newest} {where} "
                            f"ORDER BY {rank}, count DESC, first_time, alert LIMIT {WORST}").rows
    out.detected = Detected(len(kinds), sum(kinds.values()), kinds, {kind: titles.get(kind, (kind, kind)) for kind in kinds},
                            [AlertLine(str(kind), str(severity), str(state), int(begin), int(end), int(count), str(en), str(zh))
                             for kind, severity, state, begin, end, count, en, zh in worst])
