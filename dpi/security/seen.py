"""What detection has seen so far, for people: how many detections and alerts of each kind, and the worst alerts."""
from __future__ import annotations

from dataclasses import field

from dpi.dataclass import dataclass
from dpi.flow.figures import AlertLine, Detected
from dpi.security.alert import Alert
from dpi.security.detector import SEVERITIES

SHOWN, WORST = 256, 3       # alerts that are remembered for people; those of them that a summary shows


@dataclass
class Seen:
    """What was seen so far, for people."""
    detectors: int = 0
    titles: dict[str, tuple[str, str]] = field(default_factory=dict)
    detections: dict[str, int] = field(default_factory=dict)        # firings by kind
    kinds: dict[str, int] = field(default_factory=dict)             # alerts by kind
    alerts: dict[str, Alert] = field(default_factory=dict)          # newest state by id, of SHOWN or more
    ignored: int = 0        # firings that a person has excepted

    def note(self, alert: Alert) -> None:
        """A new state of an alert."""
        if alert.revision == 1:
            self.kinds[alert.kind] = self.kinds.get(alert.kind, 0) + 1
        self.alerts[alert.alert_id] = alert
        if len(self.alerts) >= 2 * SHOWN:
            self.alerts = {one.alert_id: one for one in sorted(self.alerts.values(), key=_rank)[SHOWN:]}

    def told(self) -> Detected:
        """As figures of a summary."""
        worst = sorted(self.alerts.values(), key=_rank, reverse=True)[:WORST]
        kinds = dict(sorted(self.kinds.items(), key=lambda one: (-one[1], one[0])))
        return Detected(self.detectors, sum(kinds.values()), kinds, {kind: self.titles[kind] for kind in kinds},
                        [AlertLine(one.kind, one.severity, one.state, one.first_time, one.last_time, one.count, one.summary, one.summary_zh) for one in worst])


def _rank(alert: Alert) -> tuple[int, int, int, str]:
    """The more severe, the greater."""
    return SEVERITIES.index(alert.severity), alert.count, -alert.first_time, alert.alert_id
