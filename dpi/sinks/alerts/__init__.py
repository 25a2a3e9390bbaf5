"""Kinds of receivers of alerts. A file here is a kind, found by the registry: `KIND`, and `sender(receiver)` that gives what sends to one of them."""
from __future__ import annotations

from importlib import import_module
from pathlib import Path

from dpi.settings import Settings
from dpi.sinks.receiver import Kind, Receiver, Sender, read


def kinds() -> dict[str, Kind]:
    """Name of each kind and what its file declares."""
    return {path.stem: import_module(f"{__name__}.{path.stem}").KIND for path in sorted(Path(__file__).parent.glob("[!_]*.py"))}


def receivers(settings: Settings) -> list[Receiver]:
    """Those of the settings. UserError for one with a fault."""
    known = kinds() if settings.alert else {}       # what they need is not loaded for nobody
    return [read(name, asked, settings, known) for name, asked in settings.alert.items()]


def sender(receiver: Receiver) -> Sender:
    """What sends to a receiver. UserError where its certificate authorities can't be read."""
    made: Sender = import_module(f"{__name__}.{receiver.kind}").sender(receiver)
    return made
