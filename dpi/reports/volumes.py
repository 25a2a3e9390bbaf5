"""Measures of volume that several reports have: each is defined once."""
from __future__ import annotations

from dpi.reports.breakdown import Measure, of_total, rate_of
from dpi.reports.document import Column, Words

FLOWS = Measure(Column("flows", "count", Words("Flows", "会话数"), Words("flows that were opened in the period", "周期内新建的会话数")), "sum({flows})")
PACKETS = Measure(Column("packets", "count", Words("Packets", "包数"), Words("packets both ways", "双向数据包数")), "sum({packets})")
BYTES = Measure(Column("bytes", "bytes", Words("Volume", "流量"), Words("octets of the innermost IP packets both ways", "双向最内层 IP 报文字节数")), "sum({bytes})")
WIRE = Measure(Column("wire_bytes", "bytes", Words("On the wire", "线路字节"), Words("frames without FCS both ways", "双向以太帧字节数（不含 FCS）")), "sum({wire})")
UP = Measure(Column("up_bytes", "bytes", Words("Up", "上行"),
                    Words("of the volume, what the customer's side sent; where no customer is meant, the side that opened the flow",
                          "流量中由客户侧发送的部分；不涉及客户时为会话发起方发送的部分")), "sum({up})")
DOWN = Measure(Column("down_bytes", "bytes", Words("Down", "下行"), Words("of the volume, what was sent to that side", "流量中发往该侧的部分")), "sum({down})")
SHARE = Measure(Column("share", "share", Words("Share", "占比"), Words("share of the total volume of the report", "占报表总流量的比例")), derive=of_total("bytes"))
MEAN = Measure(Column("mean_bps", "rate", Words("Mean rate", "平均速率"), Words("volume in bits over the length of the line's period", "流量（比特）除以该行时段长度")),
               derive=rate_of("bytes"))
ELSEWHERE = Measure(Column("duplicate_bytes", "bytes", Words("Metered elsewhere", "他处计量"),
                           Words("seen at another point than the one at which the service is metered: in none of the other columns",
                                 "在该业务计量点以外的位置看到的流量，不计入其他各列")), "sum({elsewhere})")
