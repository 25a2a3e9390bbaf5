"""Files of tag rules: tags/*.toml in the package's rules and in each further directory, read and checked."""
from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpi.errors import UserError
from dpi.tagging import Rule, Tagging
from dpi.tagging.grammar import BUILT_IN, BadExpression, parse

KEYS = ("name", "when", "note")
MOST = 200              # rules; each is asked of every row
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_HEADER = re.compile(r"\s*\[\[\s*tag\s*\]\]")


def files_of(directory: Path, package: bool = False) -> list[tuple[Path, str]]:
    """The files of tag rules in a directory of rules: (path, name shown to people), sorted."""
    return [(path, f"rules/tags/{path.name}" if package else str(path)) for path in sorted((directory / "tags").glob("*.toml"))]


def load(files: Sequence[tuple[Path, str]], errors: list[UserError] | None = None) -> Tagging:
    """The rules of these files. Raises UserError naming file, line, column and the fix; with `errors` all of them are put there instead."""
    rules: list[Rule] = []
    for path, shown in files:
        for one in _read(path, shown):
            if isinstance(one, UserError):
                if errors is None:
                    raise one
                errors.append(one)
            else:
                rules.append(one)
    if len(rules) > MOST:
        wrong = UserError(f"{len(rules)} tag rules, {MOST} are taken", rules[MOST].file, "join conditions of the same tag with or")
        if errors is None:
            raise wrong
        errors.append(wrong)
    return Tagging(rules)


def _read(path: Path, shown: str) -> list[Rule | UserError]:
    """Rules and errors of a file, in order."""
    try:
        text = path.read_bytes().decode()
        document = tomllib.loads(text)
    except OSError as error:
        return [UserError(f"can't be read: {error.strerror}", shown, "check that it exists and may be read")]
    except UnicodeDecodeError:
        return [UserError("not UTF-8 text", shown, "save it as UTF-8")]
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+), column (\d+)", str(error))
        what = re.sub(r" \(at .*\)$", "", str(error))
        return [UserError(f"not TOML: {what[:1].lower()}{what[1:]}", f"{shown}:{line.group(1)}:{line.group(2)}" if line else shown,
                          "mend the line; docs/tags.md shows the format")]
    stanzas = document.pop("tag", [])
    if document or not isinstance(stanzas, list) or not all(isinstance(one, dict) for one in stanzas):
        return [UserError(f"a file of tags holds no '{next(iter(document), 'tag = ...')}'", shown, "stanzas begin with [[tag]]")]
    heads = [number for number, line in enumerate(text.splitlines()) if _HEADER.match(line)]
    if len(heads) != len(stanzas):          # written inline, or inside of a text
        heads = [0] * len(stanzas)
    return [_rule(stanza, _Source(shown, text.splitlines(), head)) for stanza, head in zip(stanzas, heads, strict=True)]


class _Source:
    """Where a stanza stands; lines and columns count from 0 within, from 1 in what people are told."""

    def __init__(self, shown: str, lines: list[str], head: int) -> None:
        self.shown, self.head, self._lines = shown, head, lines

    def key(self, key: str) -> tuple[int, int]:
        """Line and column of a key; of the stanza where it has none."""
        for number in range(self.head, len(self._lines)):
            if number > self.head and _HEADER.match(self._lines[number]):
                break
            found = re.match(rf"\s*(?:\"{re.escape(key)}\"|'{re.escape(key)}'|{re.escape(key)})\s*=\s*", self._lines[number])
            if found:
                return number, found.end()
        return self.head, 0

    def inside(self, key: str, at: int) -> tuple[int, int]:
        """Line and column of the character `at` of a key's text."""
        line, column = self.key(key)
        rest = "\n".join([self._lines[line][column:], *self._lines[line + 1:]])
        quote = next((one for one in ('"""', "'''", '"', "'") if rest.startswith(one)), "")
        place = len(quote) + (1 if len(quote) == 3 and rest[3:4] == "\n" else 0)
        for _ in range(at):
            if quote[:1] == '"' and rest[place:place + 1] == "\\":
                place += {"u": 5, "U": 9}.get(rest[place + 1:place + 2], 1)
                if rest[place:place + 1] == "\n":           # a line that goes on
                    place += len(rest[place:]) - len(rest[place:].lstrip()) - 1
            place += 1
        before = rest[:place]
        return line + before.count("\n"), place - before.rfind("\n") - 1 + (0 if "\n" in before else column)

    def wrong(self, what: str, mend: str, at: tuple[int, int]) -> UserError:
        return UserError(what, f"{self.shown}:{at[0] + 1}:{at[1] + 1}", mend)


def _rule(stanza: dict[str, Any], source: _Source) -> Rule | UserError:
    for key in stanza:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            return source.wrong(f"[[tag]] knows no key '{key}'", f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(KEYS)}", source.key(key))
    for key in KEYS:
        if not isinstance(stanza.get(key, "" if key == "note" else None), str):
            return source.wrong(f"'{key}' must be a text" if key in stanza else f"'{key}' is missing", f'write {key} = "..."', source.key(key))
    name = stanza["name"]
    if not _NAME.fullmatch(name):
        return source.wrong(f"'{name}' is no name of a tag", "lower-case letters, digits, _ . - and at most 64 of them", source.key("name"))
    if name in BUILT_IN:
        return source.wrong(f"the tag '{name}' has a meaning of its own", "choose another name; docs/tags.md lists these", source.key("name"))
    try:
        return Rule(name, parse(stanza["when"]), stanza.get("note", ""), source.shown, source.key("when")[0] + 1)
    except BadExpression as bad:
        return source.wrong(bad.what, bad.mend, source.inside("when", bad.at))
