"""Tables of what was detected: each firing, the alerts that firings became, and what people said of them. See docs/detection.md."""
from __future__ import annotations

from dpi.columns import Column as C
from dpi.columns import Table
from dpi.custody import WHO, WHY

_STORED = C("stored_time", "time", "when the row was written; partitions and retention follow it")
_PROBE = C("probe", "code", "name of the probe that saw it", "", "IPFIX 144 exportingProcessId")
_CAPTURE = C("capture_id", "id", "the capture's row in `captures`, 0 for live traffic")
_KIND = (
    C("kind", "code", "what was detected: name of the detector"),
    C("signature_id", "u32", "number of the rule, 0 of a detector"),
    C("severity", "code", "low, medium, high or critical"),
)
_TECHNIQUE = C("technique", "code", "MITRE ATT&CK technique, empty of a fault", "", "attack.mitre.org")
_ENDS = (C("source", "text", "address it came from, empty where there are several"),
         C("target", "text", "address or network that it hit, empty where there are several"))
_WHOSE = (
    C("customer_id", "code", "customer who is hit, else who caused it; empty where several share the target"),
    C("service_id", "code", "service of that customer"),
    C("shared_by", "u32", "customers who share the target"),
)
_EVIDENCE = C("evidence", "text", "what was counted against which limit, and the condition in SQL of its rows in `flows`")

DETECTIONS = (
    C("time", "time", "first packet that was counted"),
    *_KIND, _TECHNIQUE,
    C("flow_id", "id", "one of the flows: the one with the lowest number"),
    C("packet_number", "u64", "number of that flow's first packet in its capture, 0 of live traffic"),
    *_ENDS,
    C("port", "u16", "port that it is about, 0 where several are"),
    C("slot_begin", "time", "begin of the time that was counted together"),
    C("slot_end", "time", "its end"),
    C("last_time", "time", "last packet that was counted"),
    C("packets", "u64", "packets counted", "packets"),
    C("bytes", "u64", "octets of their innermost IP packets", "bytes"),
    C("flows", "u64", "flows opened", "flows"),
    C("distinct_values", "u64", "distinct addresses or ports, as the detector counts them; more than 64 are an estimate"),
    C("learned", "flag", "what is usual for the target was exceeded, not the fixed limit"),
    *_WHOSE,
    C("alert_id", "text", "the alert it became part of"),
    _EVIDENCE, _PROBE, _CAPTURE, _STORED,
)
ALERTS = (
    C("alert_id", "text", "the alert; of its rows the one with the highest revision holds"),
    C("dedup_key", "text", "what detections of one alert have in common"),
    *_KIND,
    C("state", "code", "raised, updated or cleared"),
    C("first_time", "time", "first packet"),
    C("last_time", "time", "last packet"),
    C("count", "u64", "detections folded"),
    *_ENDS, *_WHOSE, _TECHNIQUE,
    C("summary", "text", "what happened, in English"),
    C("summary_zh", "text", "the same in Chinese"),
    _EVIDENCE, _PROBE, _CAPTURE,
    C("revision", "u32", "number of this state of the alert, from 1"),
    _STORED,
)
ACTIONS = (
    C("action_id", "id", "number of the action"),
    C("time", "time", "when it was done"),
    C("alert_id", "text", "the alert"),
    C("dedup_key", "text", "its key: a mute holds for alerts to come as well"),
    C("action", "code", "ack, mute or unmute"),
    C("until_time", "time?", "end of a mute; NULL: it has none"),
    *WHY, *WHO, _STORED,
)

ALERTING = (
    Table("detections", "A row for each key of a detector that had too much in one slot of time.", DETECTIONS, ("time", "kind")),
    Table("alerts", "A row for each state of an alert; of its rows the highest revision holds.", ALERTS, ("alert_id",), "ReplacingMergeTree(revision)"),
    Table("alert_actions", "A row for each thing that a person did about an alert.", ACTIONS, ("alert_id", "action_id")),
)
