"""Names and user agents, slowly: the twins of dpi/classify/names.py."""
from __future__ import annotations

from collections.abc import Mapping


def find_name(name: str, suffixes: Mapping[str, int], exact: Mapping[str, int]) -> int:
    """The rule for the whole name, else the longest suffix at a label boundary; 0 none."""
    name = name.lower().removesuffix(".")
    if not name:
        return 0
    if name in exact:
        return exact[name]
    covering = [rule for rule in suffixes if name == rule or name.endswith("." + rule)]
    return suffixes[max(covering, key=len)] if covering else 0


def find_agent(text: bytes, patterns: Mapping[str, int]) -> int:
    """The longest pattern inside the text; of equals the one met first; 0 none."""
    found = [(-len(pattern.encode()), text.index(pattern.encode()), reason) for pattern, reason in patterns.items() if pattern.encode() in text]
    return min(found)[2] if found else 0
