"""The protocol files: found in dpi/classify/protocols/, numbered in order of file name. Nothing is registered by hand."""
from __future__ import annotations

import importlib
from pathlib import Path

from dpi.classify import protocols
from dpi.classify.inspection import Protocol
from dpi.dataclass import dataclass
from dpi.jit import Entry

ALSO_MAX = 16           # further names one parser can give


@dataclass(frozen=True)
class Parser:
    """One protocol file: its declaration, its entry, its file (as shown to people)."""
    protocol: Protocol
    parse: Entry
    file: str


def sources() -> list[Path]:
    """The protocol files, by name."""
    return sorted(path for folder in protocols.__path__ for path in Path(folder).glob("*.py") if not path.name.startswith("_"))


def parsers() -> list[Parser]:
    """Every protocol file's parser, in order of file name. A file that breaks the contract is a fault of the program: ValueError."""
    found: list[Parser] = []
    for path in sources():
        module = importlib.import_module(f"{protocols.__name__}.{path.stem}")
        file = f"dpi/classify/protocols/{path.name}"
        protocol, parse = getattr(module, "PROTOCOL", None), getattr(module, "parse", None)
        if not isinstance(protocol, Protocol) or not isinstance(parse, Entry):
            raise ValueError(f"{file}: a protocol file declares PROTOCOL = Protocol(...) and @parser def parse(...)")
        if not protocol.claims:
            raise ValueError(f"{file}: a protocol without claims is never asked")
        if len(protocol.also) > ALSO_MAX:
            raise ValueError(f"{file}: at most {ALSO_MAX} names in `also`")
        found.append(Parser(protocol, parse, file))
    return found
