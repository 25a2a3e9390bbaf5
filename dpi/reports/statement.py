"""What every named report says of its coverage: minutes read, lost, unread, duplicates; of captures, whether they were read whole."""
from __future__ import annotations

from dpi.flow.figures import CaptureLine, Figures
from dpi.reports import completeness, coverage
from dpi.reports.document import Statement, Told, Words
from dpi.reports.language import Language
from dpi.reports.question import Question
from dpi.reports.request import Request


def statement(ask: Request) -> Statement:
    """Coverage of the period, of all probes and captures: a filter narrows what is counted, not what was seen."""
    question, figures = Question(ask.store, (), ask.begin, ask.end), Figures()
    coverage.answer(question, figures)
    found = ask.store.query("SELECT source, path, packets, damage FROM captures FINAL WHERE toUnixTimestamp64Micro(last_time) >= {begin:Int64} "
                            "AND toUnixTimestamp64Micro(first_time) < {end:Int64} ORDER BY first_time LIMIT 10000", {"begin": ask.begin, "end": ask.end})
    figures.captures = [CaptureLine(str(name), str(path), packets=int(packets), damage=str(damage)) for name, path, packets, damage in found]
    more = ask.store.query(f"SELECT sum(duplicates), sum(refused), sum(frames), sum(wire_bytes) FROM coverage {question.where('coverage')}").rows[0]
    duplicates, refused, frames, octets = (int(value) for value in more)
    c = figures.coverage
    told = {"minutes": c.minutes, "minutes_unknown": c.unknown, "unread_us": c.unread, "frames": frames, "wire_bytes": octets, "lost_frames": c.lost,
            "lost_nic": c.nic, "lost_kernel": c.kernel, "lost_ring": c.ring, "lost_rows": c.store, "duplicates": duplicates, "refused": refused,
            "minutes_pressed": c.pressed, "captures": len(figures.captures), "captures_damaged": sum(bool(one.damage) for one in figures.captures)}
    both = [(completeness.verdict(figures, say), completeness.sentences(figures, say)) for say in (Language("en"), Language("zh"))]
    sentences = [Told(Words(en.text, zh.text), en.state) for en, zh in zip(both[0][1], both[1][1], strict=True)]
    if duplicates:
        sentences.append(Told(Words(f"{duplicates:,} copies that a mirror sent were left out and counted.",
                                    f"镜像重复发送的 {duplicates:,} 个数据包已剔除并计数。"), "good"))
    if refused:
        sentences.append(Told(Words(f"{refused:,} frames are in no flow (not IP, cut or broken) and only in the load of links.",
                                    f"{refused:,} 帧不属于任何会话（非 IP、截断或损坏），只计入链路负荷。"), "unknown"))
    return Statement(told, Told(Words(both[0][0].text, both[1][0].text), both[0][0].state), sentences)
