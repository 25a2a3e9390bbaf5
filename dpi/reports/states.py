"""What pings found: how long each target was up, its round trip and loss, where the probe has `[ping]`."""
from __future__ import annotations

from dpi.reports.document import Column, Table, Words
from dpi.reports.request import Request

_COLUMNS = (
    Column("target", "text", Words("Target", "测试目标"), Words("name of the address that is pinged", "被 ping 地址的名称")),
    Column("probe", "text", Words("Probe", "探针"), Words("who asked", "发起方")),
    Column("state", "text", Words("Last", "最近状态"), Words("its state when it was last told", "最近一次上报的状态")),
    Column("up_share", "share", Words("Up", "可达率"), Words("share of the minutes told in which it answered", "有应答的分钟占比")),
    Column("changes", "count", Words("Went down", "中断次数"), Words("how often it went down", "由通到断的次数")),
    Column("rtt_p50_us", "delay", Words("Median", "时延中位数"), Words("median round trip", "往返时延中位数")),
    Column("loss", "share", Words("Loss", "丢包率"), Words("mean share of requests without an answer", "无应答请求的平均比例")),
)


def states(ask: Request) -> list[Table]:
    """A table of the targets, none where nothing is pinged."""
    found = ask.store.query(
        f"SELECT target, probe, argMax(state, time), avg(state = 'up'), countIf(changed AND state = 'down'), "
        "if(count(rtt_us) = 0, NULL, toFloat64(quantileExact(0.5)(rtt_us))), avg(loss_permille) / 1000 "
        f"FROM link_state WHERE {ask.of('time', True)} GROUP BY target, probe ORDER BY target, probe LIMIT 1000").rows
    if not found:
        return []
    table = Table("states", Words("Reachability", "可达性"), _COLUMNS)
    table.rows = [(str(target), str(probe), str(state), float(up), int(changes), None if rtt is None else float(rtt), float(loss))
                  for target, probe, state, up, changes, rtt, loss in found]
    return [table]
