"""An alert in words, English or Chinese, for what people read: chats, mail."""
from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dpi.flow.figures import iso
from dpi.reports.language import Language
from dpi.reports.terminal import clean
from dpi.security.alert import Alert
from dpi.sinks.receiver import Receiver

_SEVERITY = {"low": ("low", "低"), "medium": ("medium", "中"), "high": ("high", "高"), "critical": ("critical", "严重")}
_STATE = {"raised": ("raised", "已触发"), "updated": ("updated", "已更新"), "cleared": ("cleared", "已解除")}
_LINES = (("Severity", "级别"), ("Kind", "类型"), ("Source", "来源"), ("Target", "目标"), ("Customer", "客户"), ("Service", "业务"),
          ("Customers who share the target", "共用目标的客户数"), ("First seen", "首次发现"), ("Last seen", "最近一次"), ("Count", "次数"),
          ("ATT&CK technique", "ATT&CK 技术"), ("Evidence", "依据"), ("Probe", "探针"), ("Alert", "告警编号"))
#: Characters by which chats format, link, or call upon people, and others that look like them.
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "[": "［", "]": "］", "*": "∗", "`": "ˋ", "#": "＃", "|": "｜", "~": "∼", "@": "＠", "\\": "＼", "!": "！"})


def title(alert: Alert, language: str, longest: int = 150) -> str:
    """What it is in one line."""
    at = language == "zh"
    severity, state = _SEVERITY.get(alert.severity, (alert.severity,) * 2)[at], _STATE.get(alert.state, (alert.state,) * 2)[at]
    words = f"【{severity}】{state}：{said(alert, language)}" if at else f"[{severity}] {state}: {said(alert, language)}"
    return shortened(words, longest)


def said(alert: Alert, language: str, longest: int = 1000) -> str:
    """Its summary; in the other language where there is none in this one."""
    words = (alert.summary_zh or alert.summary) if language == "zh" else (alert.summary or alert.summary_zh)
    return shortened(one_line(words) or alert.kind, longest)


def lines(alert: Alert, receiver: Receiver, longest: int = 500) -> list[tuple[str, str]]:
    """What is known of it: (name, value), without those that are empty."""
    at, say = receiver.language == "zh", Language(receiver.language, receiver.zone)
    severity = _SEVERITY.get(alert.severity, (alert.severity,) * 2)[at]
    values = (severity, alert.kind, alert.source, alert.target, alert.customer_id, alert.service_id, str(alert.shared_by) if alert.shared_by > 1 else "",
              say.time(alert.first_time), say.time(alert.last_time), str(alert.count), alert.technique, alert.evidence, alert.probe, alert.alert_id)
    return [(names[at], shortened(one_line(value), longest)) for names, value in zip(_LINES, values, strict=True) if value]


def record(alert: Alert) -> dict[str, Any]:
    """It as JSON: every field, times as text, and capture_id too, whose 64 bits are more than a number of JSON holds everywhere."""
    return asdict(alert) | {"first_time": iso(alert.first_time), "last_time": iso(alert.last_time), "capture_id": str(alert.capture_id)}


def one_line(text: str) -> str:
    """Without line breaks or anything that can't be seen: names off the wire may be in it."""
    return clean(" ".join(text.split()))


def harmless(text: str) -> str:
    """For chats that take Markdown: nothing in it formats, links or calls upon anybody."""
    return text.translate(_HARMLESS)


def shortened(text: str, longest: int) -> str:
    """At most so many characters."""
    return text if len(text) <= longest else f"{text[:longest - 1]}…"


def fitting(text: str, longest: int) -> str:
    """At most so many bytes of UTF-8."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= longest else f"{data[:longest - 3].decode('utf-8', 'ignore')}…"
