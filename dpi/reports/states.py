"""What pings found: how long each target was up, its round trip and loss, where the probe has `[ping]`."""
from __future__ import annotations

from dpi.reports.document import Column, Table, Words
from dpi.reports.request import Request

_COLUMNS = (
    Column("target", "text", Words("Target", "测试目标"), Words("name of the address that is pinged", "被 ping 地址的名称")),
    Column("probe", "text", Words("Probe", "探针"), Words("who asked", "发起方")),
    Column("state", "text", Words("Last", "最近状态"), Words("its state when it was last told", "最近一次上报的状态")),
    Column("up_share", "share", Words("Up", "可达率"), Words("share of the minutes told at a time of which it answered", "有应答的分钟占比")),
    Column("changes", "count", Words("Went down", "中断次数"), Words("how often it went down", "由通到断的次数")),
    Column("rtt_p50_us", "delay", Words("Median", "时延中位数"), Words("median of the round trips of rounds", "各轮往返时延的中位数")),
    Column("loss", "share", Words("Loss", "丢包率"), Words("share of the requests that had no answer", "无应答请求的占比")),
)


def states(ask: Request) -> list[Table]:
    """A table of the targets, none where nothing is pinged, or where only some traffic is asked for: a ping is nobody's."""
    if ask.filters:
        return []
    minute = "intDiv(toUnixTimestamp64Micro(time), 60000000)"       # a change is told at once: a minute may have several rows
    found = ask.store.query(
        f"SELECT target, probe, argMax(state, time), uniqExactIf({minute}, state = 'up') / uniqExact({minute}), countIf(changed AND state = 'down'), "
        "if(count(rtt_us) = 0, NULL, toFloat64(quantileExact(0.5)(rtt_us))), if(sum(sent) = 0, NULL, sum(loss_permille * sent) / sum(sent) / 1000) "
        f"FROM link_state WHERE {ask.of('time', True)} GROUP BY target, probe ORDER BY target, probe LIMIT 1000").rows
    if not found:
        return []
    table = Table("states", Words("Reachability", "可达性"), _COLUMNS)
    table.rows = [(str(target), str(probe), str(state), float(up), int(changes), None if rtt is None else float(rtt), None if loss is None else float(loss))
                  for target, probe, state, up, changes, rtt, loss in found]
    return [table]
