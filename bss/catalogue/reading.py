"""A catalogue read from TOML. What is wrong is said with the file and its line, and nothing of the file is taken."""
from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bss.catalogue.document import Catalogue
from bss.refusal import Refusal

D = TypeVar("D", bound=BaseModel)
LARGEST = 8 << 20


def read(path: Path) -> Catalogue:
    """A file's catalogue. Refusal: it is not there, or something in it is wrong."""
    try:
        if path.stat().st_size > LARGEST:
            raise Refusal("large", f"the catalogue is larger than {LARGEST >> 20} MB", str(path), "split it")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("invalid", f"the catalogue can't be read: {error}", str(path)) from None
    return of_text(text, str(path))


def of_text(text: str, name: str) -> Catalogue:
    """A text's. name: what it is called where something is wrong."""
    try:
        told = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise Refusal("invalid", str(error), f"{name}:{line[1]}" if line else name, "write it as TOML") from None
    try:
        return Catalogue.model_validate(told)
    except ValidationError as error:
        first = _first(error)
        line_number = line_of(text, first["loc"])
        where = f"{name}:{line_number}" if line_number else name
        raise Refusal("invalid", said(first), f"{where}: {'.'.join(map(str, first['loc']))}", "see bss/samples/catalogue.toml") from None


def checked(form: type[D], told: Any, where: str = "") -> D:
    """A document out of what somebody sent. Refusal: the first thing that is wrong."""
    try:
        return form.model_validate(told)
    except ValidationError as error:
        first = _first(error)
        raise Refusal("invalid", said(first), ".".join(filter(None, (where, *map(str, first["loc"])))), "see the catalogue's document") from None


def _first(error: ValidationError) -> Any:
    """The error to tell of: a name that is misspelled says more than that the right one is missing."""
    found = error.errors()
    return next((one for one in found if one["type"] == "extra_forbidden"), found[0])


def said(error: Any) -> str:
    """What is wrong, in a sentence."""
    if error["type"] == "extra_forbidden":
        return f"there is no {error['loc'][-1]!r} here"
    return str(error["msg"]).removeprefix("Value error, ")


def line_of(text: str, place: Sequence[str | int]) -> int | None:
    """The line that a place of a document (names and numbers of tables) is written in, as far as it can be told: of the key, else of its table."""
    lines, at, found = text.splitlines(), 0, None
    path: list[str] = []
    for step, following in zip(place, [*place[1:], None]):
        if isinstance(step, int):
            continue
        path.append(step)
        header = re.compile(rf"^\s*\[{{1,2}}\s*{re.escape('.'.join(path))}\s*\]{{1,2}}")
        key = re.compile(rf"^\s*\"?{re.escape(step)}\"?\s*[=.]")
        left = following if isinstance(following, int) else 0
        beyond = re.compile(rf"^\s*\[{{1,2}}\s*{re.escape('.'.join(path[:-1]))}\s*\]") if len(path) > 1 else None
        for number in range(at, len(lines)):
            if number > at and beyond and beyond.match(lines[number]):
                break
            if header.match(lines[number]):
                if left == 0:
                    at, found = number, number + 1
                    break
                left -= 1
            elif key.match(lines[number]):
                at, found = number, number + 1
                break
    return found
