"""Pages of the business layer that derive from the code: docs/business-formats.md and docs/business-permissions.md."""
from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NOTE = "<!-- Written by docs/generate.py: change the code, not this page. -->\n"


def permissions() -> str:
    """Who may what, in both languages."""
    from bss.people.permission import PERMISSIONS
    from bss.tables.person import ROLES

    lines = [_NOTE, "# Who may what · 权限表\n",
             "Which rows one sees is limited besides: by regions, by own work, and of a customer's user by his customers.\n",
             "可见数据另受区域、本人工作范围（以及客户用户的所属客户）限制。\n", "`*`: a second person · 须由第二人执行\n",
             _row("permission", "", "", *ROLES), _row(*["---"] * (3 + len(ROLES)))]
    for name, one in PERMISSIONS.items():
        lines.append(_row(f"`{name}`{' *' if one.two else ''}", one.en, one.zh, *("✓" if role in one.roles else "" for role in ROLES)))
    return "\n".join(lines) + "\n"


def formats() -> str:
    """Settings, the catalogue's fields, the columns of files that are brought in."""
    from bss.catalogue import document
    from bss.running import batch
    from bss.settings import Settings

    lines = [_NOTE, "# Formats of the business layer · 格式\n", "## Settings\n", "`bss.toml`; `FULLSPAN_BSS_NAME`, and `FULLSPAN_BSS_TABLE__NAME`, override.\n",
             *_fields(Settings)]
    for kind in sorted({one for one in vars(document).values() if isinstance(one, type) and issubclass(one, document.Written) and one is not document.Written},
                       key=lambda one: one.__name__):
        lines += [f"## Catalogue: {kind.__name__}\n", (kind.__doc__ or "").strip() + "\n", *_fields(kind)]
    for name, kind_of_file in batch.KINDS.items():
        lines += [f"## Import: {name}\n", _row("column", "列", "needed", ""), _row("---", "---", "---", "---")]
        lines += [_row(f"`{one[0]}`", one[1], "yes" if one[2] else "", one[3]) for one in kind_of_file.columns]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _fields(kind: type[BaseModel]) -> Iterator[str]:
    yield _row("name", "kind", "default", "")
    yield _row("---", "---", "---", "---")
    for name, field in kind.model_fields.items():
        yield _row(f"`{name}`", _kind(field.annotation), _default(field), field.description or "")
    yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if value is None or isinstance(value, BaseModel) or field.default_factory is not None:
        return ""
    return f"`{value!r}`" if not isinstance(value, str) else f"`{value}`" if value else ""


def _kind(kind: Any) -> str:
    """A type as people read it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _kind(inner[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(one) for one in inner if one is not type(None))
    if origin is typing.Literal:
        return ", ".join(map(str, inner))
    if origin in (list, tuple, dict):
        return f"{'table' if origin is dict else 'list'} of {', '.join(_kind(one) for one in inner if one is not Ellipsis)}" if inner else "list"
    name = getattr(kind, "__name__", str(kind))
    return {"str": "text", "int": "whole number", "bool": "true or false", "Decimal": "number", "datetime": "time"}.get(name, name)


def _row(*cells: str) -> str:
    return "| " + " | ".join(one.replace("|", "\\|").replace("\n", " ") for one in cells) + " |"
