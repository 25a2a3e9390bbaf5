"""How well do connections do: round trips, loss, what is sent again, handshakes without an answer?"""
from __future__ import annotations

from dpi.reports.breakdown import Measure, breakdown, per
from dpi.reports.closing import opened
from dpi.reports.document import Column, Report, Words
from dpi.reports.named import Named
from dpi.reports.request import SLOTS, Request
from dpi.reports.sources import DELAYS
from dpi.reports.states import states

C = Column
_LOSS = (
    Measure(C("tcp_packets", "count", Words("TCP packets", "TCP 包数"), Words("TCP packets both ways", "双向 TCP 数据包数")), "sum({tcp})"),
    Measure(C("retransmissions", "count", Words("Sent again", "重传包数"), Words("segments that were sent again, both ways", "双向重传的 TCP 段数")), "sum({again})"),
    Measure(C("retransmission_share", "share", Words("Sent again %", "重传率"), Words("of the TCP packets: a measure of loss between the point of capture and the receiver, or before it", "重传段占 TCP 包的比例，反映采集点前后的丢包")),
            derive=per("retransmissions", "tcp_packets")),
    Measure(C("out_of_order", "count", Words("Late", "乱序包数"), Words("segments that came late: lost before the point of capture, or overtaken", "迟到的 TCP 段数：在采集点之前丢失或被超越")), "sum({late})"),
    Measure(C("out_of_order_share", "share", Words("Late %", "乱序率"), Words("of the TCP packets", "乱序段占 TCP 包的比例")), derive=per("out_of_order", "tcp_packets")),
    Measure(C("handshakes", "count", Words("Handshakes", "握手数"), Words("connections whose SYN was seen", "看到 SYN 的连接数")), "sum({opened})"),
    Measure(C("unanswered", "count", Words("Unanswered", "未应答"), Words("of them, those without a SYN-ACK in the row in which they began", "其中首行记录内没有 SYN-ACK 的连接数")), "sum({unanswered})"),
    Measure(C("unanswered_share", "share", Words("Unanswered %", "未应答率"), Words("of the handshakes", "未应答占握手数的比例")), derive=per("unanswered", "handshakes")),
)


def _delay(name: str, en: str, zh: str, what: str, whose: str, of: str) -> tuple[Measure, ...]:
    return (
        Measure(C(f"{name}_measured", "count", Words(f"{en} measured", f"{zh}样本"), Words(f"how often {what} was measured", f"{whose}的样本数")), f"{{n_{of}}}"),
        Measure(C(f"{name}_p50_us", "delay", Words(f"{en} median", f"{zh}中位数"), Words(f"half of {what} took no longer", f"{whose}的中位数")), f"{{p50_{of}}}"),
        Measure(C(f"{name}_p95_us", "delay", Words(f"{en} 95th", f"{zh} 95 分位"), Words(f"95 % of {what} took no longer", f"{whose}的 95 分位")), f"{{p95_{of}}}"),
    )


_DELAYS = (*_delay("client_rtt", "Client side", "客户侧", "the round trips between the probe and the client (with customers: the customer)", "探针与客户端（涉及客户时为客户侧）之间往返时延", "near"),
           *_delay("server_rtt", "Far side", "远端侧", "the round trips between the probe and the other side", "探针与另一端之间往返时延", "far"),
           *_delay("response", "Response", "响应", "the first answers of servers", "服务器首次响应时间", "response"))
_BYS = ("application", "customer", "service", "category", "protocol", "site", "link", "interface", "probe", "tag", *SLOTS)


def make(ask: Request, out: Report) -> None:
    """Loss by the dimension, delays by it, and what pings found."""
    loss, source = breakdown(ask, "loss", Words("Loss and handshakes", "丢包与握手"), ask.by, _LOSS, "tcp_packets")
    delays, second = breakdown(ask, "delays", Words("Delays", "时延"), ask.by, _DELAYS, "client_rtt_measured", sources=DELAYS)
    out.tables += [loss, delays]
    out.sources += [source.name, second.name]
    out.notes += opened(ask, second)
    # lines of which nothing was measured say nothing
    for table, columns in ((loss, (1, 6)), (delays, (1, 4, 7))):
        table.rows = [row for row in table.rows if any(row[at] for at in columns)]
    if "delays_" in second.name:
        delays.notes.append(Words("Out of histograms with two bins a doubling: a delay is told as the least of its bin.", "取自直方图，每倍程两档，按所在档的下限显示。"))
    if second.name.startswith("usage_1m"):
        delays.notes.append(Words("Out of the histograms of usage, a bin a doubling: a delay is told as the greatest of its bin.", "取自用量直方图，每倍程一档，按所在档的上限显示。"))
    out.tables += states(ask)


REPORT = Named(Words("Quality", "网络质量"), Words("How well do connections do: round trips, loss, what is sent again, handshakes without an answer?", "连接质量如何：往返时延、丢包、重传、未应答的握手？"),
               _BYS, ("customer", "service", "application", "tag"), tuple(one.column for one in (*_LOSS, *_DELAYS)), make)
