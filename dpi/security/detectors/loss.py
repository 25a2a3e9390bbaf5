"""A line loses packets: TCP sends again, or what comes is out of order.

Counted: of the TCP packets that one side sent in flows with payload, the share of retransmissions and of segments out of order, for each direction of each
link, VLAN and service in slots of 30 s. `percent` is too much while nothing is known; after 20 slots, what is more than `floor_permille`, than `times` what is
usual of the line and than four of its mean deviations above. Told for two slots running, or at once at four times the limit. What the probe sees twice was
lost behind it, what comes late was lost before it. What several customers of a link have is one alert of the link, with how many use it; what one has is told
of that customer's line.
False alarms: paths that reorder (bundled links), until that is what is usual; a mirror that drops (`dropped_*` of coverage) or copies twice (--dedup); a
capture of one host on a poor radio, which does lose; a backup over a bad path far away, which is the other end's loss.
To tune: `percent`, `floor_permille` and `packets`. Cleared when the share is below for [detect] quiet seconds; a loss that stays is usual after an hour or so.
"""
from __future__ import annotations

import numpy as np

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Words, option
from dpi.security.fault import Found, Look

FAR = 4             # times the limit that is told at once


@dataclass(frozen=True)
class Options:
    """Of one direction of a line in a slot."""
    percent: int = option(3, "of the packets of a direction lost, while nothing is known of the line", 1, 100)
    floor_permille: int = option(20, "of the packets lost, what is never told below once the line is known", 1, 1000)
    times: int = option(4, "so many times what is usual is too much", 2, 1000)
    packets: int = option(300, "TCP packets of a direction, the least of which anything is said", 50, 1 << 40)


def faults(options: Options, look: Look) -> Found:
    """The worse of the two directions."""
    sides = [look.lossy(side, options.percent, options.floor_permille / 10, options.times, options.packets) for side in ("near", "far")]
    over = Found.worst([Found(*one, np.zeros(len(one[0]), np.int64)) for one in sides], [value for _, value, _ in sides])
    if not len(over):
        return over
    told, before = look.lasting("over", over.lines, over.value >= FAR * over.limit)
    return Found(over.lines, over.value, over.limit, before, over.lines).only(told)


DETECTOR = Detector(
    kind="loss", title=Words("Packet loss", "丢包"), severity="medium", technique="", technique_name="",
    summary=Words("{line} loses packets: {value} % of the TCP packets of one direction were sent again or came out of order (limit {limit} %) in {seconds} s",
                  "{line}丢包：{seconds} 秒内某一方向有 {value}% 的 TCP 报文重传或乱序（限值 {limit}%）"),
    options=Options, faults=faults)
