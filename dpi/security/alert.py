"""An alert: detections folded into one thing that a person acts on."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Alert:
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
