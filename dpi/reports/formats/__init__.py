"""What a named report can be written as. A file here is a format, found by the registry: `SUFFIX`, and `write(report, say)` that gives its bytes."""
from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from dpi.errors import UserError
from dpi.reports.document import Report
from dpi.reports.language import Language


def formats() -> list[str]:
    """Names of the formats, without importing what they need."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def written(report: Report, form: str, say: Language) -> bytes:
    """The report in a format, whole."""
    content: bytes = import_module(f"{__name__}.{form}").write(report, say)
    return content


def suffix(form: str) -> str:
    """How a file of the format ends."""
    ending: str = import_module(f"{__name__}.{form}").SUFFIX
    return ending


def save(content: bytes, path: Path, option: str = "--out") -> None:
    """Write beside the final name, then move there: whole or not at all. UserError where that cannot be."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"the report cannot be written: {error.strerror or error}", str(path), f"give another path with {option}") from error
