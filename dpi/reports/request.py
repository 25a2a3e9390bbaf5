"""What is asked of a named report: of which store, of which time, by what, and of whose traffic."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from zoneinfo import ZoneInfo

from dpi.dataclass import dataclass
from dpi.reports.period import local, microseconds, start_of
from dpi.store import Store

MINUTE = 60_000_000
#: Dimensions that are slots of time: their lines come in order, all of them.
SLOTS = ("hour", "day", "week", "month")


@dataclass(frozen=True)
class Place:
    """A link as the operator's settings describe it; '' and 0: not given."""
    name: str
    capacity_bps: int = 0
    role: str = ""
    site: str = ""
    interface: str = ""
    probe: str = ""


@dataclass(frozen=True)
class Request:
    """begin, end: us since the epoch, half-open. filters: of `customer`, `service`, `application` and `tag`, those given."""
    store: Store
    begin: int
    end: int
    by: str = ""
    top: int = 20
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    filters: Mapping[str, str] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    captures: Mapping[int, str] = field(default_factory=dict)       # number and name
    masked: bool = True
    now: int = 0
    true: dict[tuple[str, int, int], bool] = field(default_factory=dict, compare=False)     # rollups of usage that were held against it: are they as it is?

    @property
    def seconds(self) -> float:
        return (self.end - self.begin) / 1e6

    def of(self, column: str, micro: bool = False) -> str:
        """The condition that a time column lies in the period. micro: of a column with microseconds, in integers (times before 1970 among them)."""
        if micro:
            return (f"{column} >= fromUnixTimestamp64Micro(toInt64({self.begin}), 'UTC') AND {column} < fromUnixTimestamp64Micro(toInt64({self.end}), 'UTC')")
        return f"{column} >= toDateTime64({self.begin // 1_000_000}, 0, 'UTC') AND {column} < toDateTime64({-(-self.end // 1_000_000)}, 0, 'UTC')"

    def interface(self, rolled: bool = False) -> str:
        """The interface that a row was seen on; of a capture its name, which rollups (rolled) have only the number of."""
        if not rolled:
            return "if(capture_id = 0, interface, source)"
        if not self.captures:
            return "interface"
        numbers, names = ", ".join(map(str, self.captures)), ", ".join(quoted(name) for name in self.captures.values())
        return f"transform(capture_id, [{numbers}], [{names}], toString(interface))"

    def aligned(self, step: int) -> bool:
        """Both ends of the period lie on slots of `step` s, and so do those of the zone."""
        offset = local(self.begin, self.zone).utcoffset()
        return not (self.begin % (step * 1_000_000) or self.end % (step * 1_000_000) or round(offset.total_seconds() if offset else 0) % step)

    def slot(self, key: int, unit: str) -> float:
        """Seconds of the period in the slot that begins at `key` (us)."""
        from dpi.reports.period import following

        end = microseconds(following(unit, start_of(unit, local(key, self.zone))))
        return (min(end, self.end) - max(key, self.begin)) / 1e6


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def held(store: Store) -> tuple[int, int]:
    """First and end (us) of what the store has coverage or flows of, in whole minutes; (0, 0): of nothing."""
    found = store.query("SELECT min(first), max(last), sum(many) FROM (SELECT min(toUnixTimestamp64Micro(time)) AS first, "
                        "max(toUnixTimestamp64Micro(time)) AS last, count() AS many FROM coverage "
                        "UNION ALL SELECT toInt64(min(toUnixTimestamp64Second(time))) * 1000000, "
                        "toInt64(max(toUnixTimestamp64Second(time))) * 1000000, count() FROM flows_1m) WHERE many > 0").rows
    if not found or not int(found[0][2] or 0):
        return 0, 0
    return int(found[0][0]) // MINUTE * MINUTE, int(found[0][1]) // MINUTE * MINUTE + MINUTE
