"""The detector files: found in dpi/security/detectors/, by name; and their options, as a person gave them."""
from __future__ import annotations

import importlib
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.security import detectors
from dpi.security.detector import SEVERITIES, Detector, Given, Rule

COMMON = ("enabled", "severity")        # options of every kind


@dataclass(frozen=True)
class Asked:
    """A detector with the options in force."""
    detector: Detector
    options: Any
    rules: tuple[Rule, ...]


def sources() -> list[Path]:
    """The detector files, by name."""
    return sorted(path for folder in detectors.__path__ for path in Path(folder).glob("*.py") if not path.name.startswith("_"))


def kinds() -> frozenset[str]:
    """What they are called: as their files."""
    return frozenset(path.stem for path in sources())


def every() -> list[Detector]:
    """Every file's detector, in order of file name. A file that breaks the contract is a fault of the program: ValueError."""
    found: list[Detector] = []
    for path in sources():
        module = importlib.import_module(f"{detectors.__name__}.{path.stem}")
        file, one = f"dpi/security/detectors/{path.name}", getattr(module, "DETECTOR", None)
        if not isinstance(one, Detector) or not is_dataclass(one.options):
            raise ValueError(f"{file}: a detector file declares DETECTOR = Detector(...) with a dataclass of options")
        if one.kind != path.stem or not re.fullmatch(r"[a-z][a-z0-9_]*", one.kind):
            raise ValueError(f"{file}: its kind is {one.kind}, not the file's name")
        if one.severity not in SEVERITIES or not module.__doc__:
            raise ValueError(f"{file}: severity is one of {', '.join(SEVERITIES)}, and the file begins with what it sees")
        found.append(replace(one, words=module.__doc__.strip(), file=file))
    return found


def configured(given: Given, where: str = "") -> list[Asked]:
    """The detectors that are on, with their options. where: the file the options came from. UserError names file, line and what would be right."""
    known = {one.kind: one for one in every()}
    for kind in given:
        if kind not in known:
            raise UserError(f"there is no detector {kind!r}", _place(where, kind, ""), f"detectors are {', '.join(known)}")
    out: list[Asked] = []
    for kind, one in known.items():
        told = dict(given.get(kind, {}))
        if not _among("enabled", told.pop("enabled", 1), (0, 1), where, kind):
            continue
        severity = str(_among("severity", told.pop("severity", one.severity), SEVERITIES, where, kind))
        options = one.options(**{name: _checked(one, name, value, where) for name, value in told.items()})
        out.append(Asked(one if severity == one.severity else replace(one, severity=severity), options, tuple(one.rules(options))))
    return out


def read(path: str) -> dict[str, dict[str, Any]]:
    """A file of options: a table for each kind, named as it or `detect.KIND`. UserError: it can't be read, is no TOML, or has something else."""
    import tomllib

    try:
        with open(path, "rb") as file:
            held = tomllib.load(file)
    except OSError as error:
        raise UserError(f"the options of detectors cannot be read: {error.strerror}", path, "name another file in [detect] options") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not TOML: {error}", path, "write tables as in docs/detection.md") from None
    inner = held.pop("detect", {})
    tables = {**held, **(inner if isinstance(inner, dict) else {"detect": inner})}
    for kind, values in tables.items():
        if not isinstance(values, dict):
            raise UserError(f"{kind!r} is no table of options", _place(path, "", kind), "begin a table for each kind: [detect.port_scan]")
    return tables


def _among(name: str, value: Any, allowed: tuple[Any, ...], where: str, kind: str) -> Any:
    if value not in allowed:
        raise UserError(f"{name} of {kind} is {value!r}", _place(where, kind, name), f"it may be {' or '.join(map(str, allowed))}")
    return value


def _checked(one: Detector, name: str, value: Any, where: str) -> Any:
    known = {each.name: each for each in fields(one.options)}
    if name not in known:
        raise UserError(f"{one.kind} has no option {name!r}", _place(where, one.kind, name), f"its options are {', '.join((*COMMON, *known))}")
    rule = known[name].metadata
    if rule["least"] is None:
        if not isinstance(value, str):
            raise UserError(f"{name} of {one.kind} is {value!r}", _place(where, one.kind, name), "write words in quotes, separated by commas")
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{name} of {one.kind} is {value!r}", _place(where, one.kind, name), f"use a whole number, {rule['least']} to {rule['most']}")
    if not rule["least"] <= value <= rule["most"]:
        raise UserError(f"{name} of {one.kind} is {value}", _place(where, one.kind, name), f"it may be {rule['least']} to {rule['most']}")
    return value


def _place(where: str, kind: str, name: str) -> str:
    """file:line of an option, or of its table, as far as it is found in the file's text."""
    try:
        lines = Path(where).read_text(encoding="utf-8").splitlines() if where else []
    except (OSError, UnicodeDecodeError):
        lines = []
    table = 0
    for number, line in enumerate(lines, 1):
        head = re.match(r"\s*\[\s*(?:\"?detect\"?\s*\.\s*)?\"?([^\]\"\s]+)\"?\s*\]", line)
        if head:
            if table and kind:
                break
            table = number if head.group(1) == kind else 0
            if table and not name:
                return f"{where}:{number}"
        elif name and (table or not kind) and re.match(rf"\s*\"?{re.escape(name)}\"?\s*=", line):
            return f"{where}:{number}"
    return f"{where}:{table}" if table else where or f"[detect.{kind}]"
