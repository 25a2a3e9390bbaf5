"""What a report says of its coverage, in sentences: what was lost, not read or given up; that nothing was; that it is not known."""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.flow.figures import Coverage, Figures
from dpi.reports.language import Language


@dataclass(frozen=True)
class Told:
    """One sentence of coverage. `state`: good, bad, or unknown."""
    text: str
    state: str


def verdict(f: Figures, say: Language) -> Told:
    """All of it in one sentence."""
    c = f.coverage
    if any((c.lost, c.store, c.unread, f.interrupted, f.skipped)) or any(capture.damage for capture in f.captures):
        return Told(say("coverage.some", what=say("unit.comma").join(_amounts(f, say))), "bad")
    if c.minutes and not c.unknown and not f.captures:
        return Told(say("coverage.none"), "good")
    if c.unknown:
        return Told(say("coverage.gaps", count=say.count(c.unknown)), "unknown")
    return Told(say("coverage.captured" if f.captures else "coverage.unknown"), "unknown")


def _amounts(f: Figures, say: Language) -> list[str]:
    """What is missing, in amounts."""
    c = f.coverage
    damaged = sum(bool(capture.damage) for capture in f.captures)
    every = [(c.lost, "coverage.amount_frames", say.count(c.lost)), (c.unread, "coverage.amount_unread", say.span(c.unread / 1e6)),
             (c.store, "coverage.amount_rows", say.count(c.store)), (c.unknown, "coverage.amount_unknown", say.count(c.unknown)),
             (damaged, "coverage.amount_damaged", say.count(damaged)), (len(f.skipped), "coverage.amount_skipped", say.count(len(f.skipped))),
             (f.interrupted, "coverage.amount_interrupted", "")]
    return [say(key, amount=amount) if amount else say(key) for count, key, amount in every if count]


def sentences(f: Figures, say: Language) -> list[Told]:
    """Place by place, from the wire to the store."""
    return [*_live(f.coverage, say), *_captured(f, say), *_given_up(f.coverage, say)]


def _live(c: Coverage, say: Language) -> list[Told]:
    """Of traffic that a probe read."""
    if not c.minutes:
        return []
    out = [Told(say("coverage.frames_none", frames=say.count(c.frames)), "good")]
    if c.lost:
        places = [say(f"coverage.at_{name}", count=say.count(getattr(c, name))) for name in ("nic", "kernel", "ring") if getattr(c, name)]
        out = [Told(say("coverage.frames_lost", lost=say.count(c.lost), share=say.percent(c.lost / (c.lost + c.frames)), places=say("unit.comma").join(places)),
                    "bad")]
    out.append(Told(say("coverage.unread", span=say.span(c.unread / 1e6)), "bad") if c.unread else Told(say("coverage.always"), "good"))
    if c.unknown:
        out.append(Told(say("coverage.minutes_unknown", count=say.count(c.unknown), told=say.count(c.minutes)), "unknown"))
    out.append(Told(say("coverage.rows_lost", count=say.count(c.store)), "bad") if c.store else Told(say("coverage.rows_none"), "good"))
    out.append(Told(say("coverage.mirror"), "unknown"))
    return out


def _captured(f: Figures, say: Language) -> list[Told]:
    """Of captures."""
    if not f.captures:
        return [] if f.coverage.minutes else [Told(say("coverage.unknown"), "unknown")]
    packets, damaged = sum(capture.packets for capture in f.captures), sum(bool(capture.damage) for capture in f.captures)
    out = [Told(say("coverage.read_part", packets=say.count(packets)), "bad") if f.interrupted else
           Told(say("coverage.read_damaged", packets=say.count(packets), count=say.count(damaged)), "bad") if damaged else
           Told(say("coverage.read_all", packets=say.count(packets)), "good")]
    return [*out, *([Told(say("coverage.skipped", count=say.count(len(f.skipped))), "bad")] if f.skipped else []), Told(say("coverage.before"), "unknown")]


def _given_up(c: Coverage, say: Language) -> list[Told]:
    """What there was no room or no time for. No packet of it is lost: counts, not names."""
    out = []
    if c.evicted:
        out.append(Told(say("coverage.evicted", count=say.count(c.evicted)), "bad"))
    if c.folded:
        out.append(Told(say("coverage.folded", count=say.count(c.folded), coarser=say.count(c.folded_coarser)), "bad"))
    if c.arena_refused:
        out.append(Told(say("coverage.arena", count=say.count(c.arena_refused)), "bad"))
    if c.rows_given_up:
        out.append(Told(say("coverage.given_up", count=say.count(c.rows_given_up)), "bad"))
    if c.pressed:
        out.append(Told(say("coverage.pressed", count=say.count(c.pressed)), "bad"))
    return out or [Told(say("coverage.nothing_given_up"), "good")]
