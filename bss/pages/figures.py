"""What was wanted and what was measured, as people read it: words for names, the operator's time, resources by their names."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bss.language import catalogue
from bss.pages.visitor import Visitor, bits

HIDDEN = ("change", "bundle", "count")         # of what is wanted, where it is as usual
_USUAL: tuple[Any, ...] = (None, "", 0, 1, [], {}, ())


def figures(visit: Visitor, told: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, str]]:
    """(what it is, its value) of each. names: of rows by their ids."""
    words = catalogue(visit.lang)
    return [(words.get(f"field.{name}", name), _text(visit, name, value, names)) for name, value in told.items()
            if value not in (None, "", [], {}) and not (name in HIDDEN and value in _USUAL)]


def _text(visit: Visitor, name: str, value: Any, names: Mapping[str, str]) -> str:
    if isinstance(value, bool):
        return visit.say("service.yes" if value else "service.no")
    if isinstance(value, list | tuple):
        return ", ".join(_text(visit, name, one, names) for one in value)
    if isinstance(value, dict):
        if {"begin", "end"} <= value.keys():
            return f"{_text(visit, 'begin', value['begin'], names)} – {_text(visit, 'end', value['end'], names)}"
        return ", ".join(f"{one} {_text(visit, one, inner, names)}" for one, inner in value.items())
    if isinstance(value, int | float):
        return bits(value) if name.endswith("bps") else f"{value:,}" if name.endswith("bytes") else str(value)
    try:
        return visit.time(datetime.fromisoformat(value), seconds=True) if "T" in value else names.get(value, visit.state(value))
    except ValueError:
        return names.get(value, str(value))
