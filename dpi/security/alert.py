"""An alert: detections folded into one thing that a person acts on."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dpi.dataclass import dataclass

Word = Callable[[str], str]


class Worded:
    """What has texts, as fields, that are made when one is first asked for: of most alerts of a replay none ever is."""
    TEXTS = frozenset({"summary", "summary_zh", "evidence"})

    @classmethod
    def worded(cls, word: Word, **given: Any) -> Any:
        """One with all fields given but TEXTS, which `word` makes of their names."""
        made = cls.__new__(cls)
        vars(made).update(given, _word=word)
        return made

    def text(self, name: str) -> str:
        """One of TEXTS."""
        held = vars(self)
        if name not in held:
            held[name] = held["_word"](name)
        found: str = held[name]
        return found

    if not TYPE_CHECKING:
        def __getattr__(self, name):
            if name not in Worded.TEXTS:
                raise AttributeError(f"{type(self).__name__} has no {name}")
            return self.text(name)


@dataclass(frozen=True)
class Alert(Worded):
    """One state of an alert. Times us; `revision` grows with every state of one alert."""
    alert_id: str
    dedup_key: str
    kind: str
    signature_id: int
    severity: str           # low, medium, high, critical
    state: str              # raised, updated, cleared
    first_time: int
    last_time: int
    count: int              # detections folded
    source: str
    target: str
    customer_id: str
    service_id: str
    shared_by: int          # customers who share the target
    technique: str          # MITRE ATT&CK id, '' for a fault
    summary: str            # English
    summary_zh: str
    evidence: str
    probe: str
    capture_id: int
    revision: int
