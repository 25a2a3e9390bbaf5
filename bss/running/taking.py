"""Lists taken away as files: XLSX and CSV, of what the actor may see, by the filters that the list has. Taking one is put on record.

Personal fields are masked unless they are asked for with a reason. In CSV a cell that a spreadsheet would calculate (it begins with = + - @, a tab or a return)
gets an apostrophe before it; in XLSX text is written as text.
"""
from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select
from sqlalchemy.orm import selectinload

from bss.desk import Desk
from bss.moment import iso
from bss.parties import agreement, customer, interaction
from bss.refusal import Refusal
from bss.tables import Agreement, Binding, Customer, Interaction, Party, ProductOrder, Resource, Service, Ticket

MOST = 200_000              # rows of a file
LOT = 1000                  # rows that are read at a time
MEDIA = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
CALCULATED = tuple("=+-@\uff1d\uff0b\uff0d\uff20")         # some spreadsheets take the wide ones for the others
Cell = str | int | bool | None


class List(NamedTuple):
    """permission: to see it; columns: name, Chinese name, value; query: with the filters given; filters: their names."""
    permission: str
    columns: tuple[tuple[str, str, Callable[[Any, Desk, bool], Cell]], ...]
    query: Callable[..., Select[Any]]
    filters: tuple[str, ...]


def _plain(*names: str) -> Callable[[Any, Desk, bool], Cell]:
    """A field, or a field of a field."""
    def value(row: Any, desk: Desk, _clear: bool) -> Cell:
        for name in names:
            row = getattr(row, name)
        return iso(row, desk.office.settings.zone) if isinstance(row, datetime) else row        # type: ignore[no-any-return]
    return value


def _personal(*names: str) -> Callable[[Any, Desk, bool], Cell]:
    """The same of a personal field."""
    def value(row: Any, desk: Desk, clear: bool) -> Cell:
        for name in names:
            row = getattr(row, name)
        return desk.shown(row, clear)
    return value


def _said(row: Any, desk: Desk, clear: bool) -> Cell:
    """What a ticket is about: a person's words are personal, a program's are not."""
    return desk.shown(row.summary, clear or row.channel in ("alarm", "system"))


def _medium(medium: str) -> Callable[[Any, Desk, bool], Cell]:
    """The first contact of a medium."""
    return lambda row, desk, clear: next((desk.shown(one.value, clear) for one in row.party.contacts if one.medium == medium), None)


def _rows(table: Any, order: Any, **columns: Any) -> Callable[..., Select[Any]]:
    """A query of a table by the values of columns."""
    def query(desk: Desk, **given: str) -> Select[Any]:
        found = desk.select(table)
        for name, value in given.items():
            found = found.where(columns[name] == value)
        return found.order_by(order.desc(), table.id.desc())
    return query


LISTS: dict[str, List] = {
    "customer": List("customer.read", (
        ("number", "客户编号", _plain("number")), ("name", "客户名称", _personal("party", "name")), ("kind", "客户类型", _plain("party", "kind")),
        ("class", "客户等级", _plain("class_")), ("region", "区域", _plain("region")), ("state", "状态", _plain("state")),
        ("legal_id", "证件号码", _personal("party", "legal_id")), ("phone", "联系电话", _medium("phone")), ("email", "邮箱", _medium("email")),
        ("address", "地址", _medium("address")), ("marketing_consent", "营销同意", _plain("marketing_consent")), ("created", "入网日期", _plain("created"))),
        lambda desk, **given: customer.listed(desk, **{{"class": "class_"}.get(name, name): value for name, value in given.items()}).options(
            selectinload(Customer.party, Party.contacts)), ("state", "class", "region", "manager", "kind", "q")),
    "agreement": List("customer.read", (
        ("number", "合同编号", _plain("number")), ("customer", "客户", _plain("customer_id")), ("name", "合同名称", _plain("name")),
        ("kind", "合同类型", _plain("kind")), ("state", "状态", _plain("state")), ("signed", "签订日期", _plain("signed")),
        ("valid_from", "生效日期", _plain("valid_from")), ("valid_to", "到期日期", _plain("valid_to"))),
        agreement.listed, ("customer", "state", "q")),
    "interaction": List("customer.read", (
        ("id", "编号", _plain("id")), ("customer", "客户", _plain("customer_id")), ("time", "时间", _plain("time")), ("channel", "渠道", _plain("channel")),
        ("direction", "方向", _plain("direction")), ("subject", "主题", _personal("subject")), ("note", "内容", _personal("note"))),
        interaction.listed, ("customer", "channel")),
    "service": List("service.read", (
        ("circuit", "电路编号", _plain("circuit")), ("customer", "客户", _plain("customer_id")), ("offering", "产品编码", _plain("offering")),
        ("kind", "业务类型", _plain("kind")), ("class", "业务等级", _plain("class_")), ("region", "区域", _plain("region")), ("state", "状态", _plain("state")),
        ("down_bps", "下行速率", _plain("down_bps")), ("up_bps", "上行速率", _plain("up_bps")), ("site", "装机地址", _personal("site")),
        ("covered", "探针覆盖", _plain("covered")), ("activated", "开通日期", _plain("activated")), ("terminated", "拆机日期", _plain("terminated"))),
        _rows(Service, Service.created, state=Service.state, region=Service.region, kind=Service.kind, customer=Service.customer_id,
              **{"class": Service.class_}), ("state", "class", "region", "kind", "customer")),
    "binding": List("service.read", (
        ("service", "业务", _plain("service_id")), ("prefix", "地址段", _plain("prefix")), ("vlan", "外层VLAN", _plain("vlan")),
        ("inner_vlan", "内层VLAN", _plain("inner_vlan")), ("mac", "MAC地址", _plain("mac")), ("user", "接入账号", _plain("user")),
        ("circuit", "接入线路", _plain("circuit")), ("probe", "探针", _plain("probe")), ("interface", "探针接口", _plain("interface")),
        ("valid_from", "生效时间", _plain("valid_from")), ("valid_to", "失效时间", _plain("valid_to")), ("withdrawn", "作废时间", _plain("withdrawn"))),
        _rows(Binding, Binding.valid_from, service=Binding.service_id), ("service",)),
    "order": List("order.read", (
        ("number", "订单编号", _plain("number")), ("customer", "客户", _plain("customer_id")), ("region", "区域", _plain("region")),
        ("class", "等级", _plain("class_")), ("channel", "渠道", _plain("channel")), ("state", "状态", _plain("state")),
        ("created", "受理时间", _plain("created")), ("due", "期限", _plain("due")), ("completed", "竣工时间", _plain("completed"))),
        _rows(ProductOrder, ProductOrder.created, state=ProductOrder.state, region=ProductOrder.region, customer=ProductOrder.customer_id,
              **{"class": ProductOrder.class_}), ("state", "class", "region", "customer")),
    "ticket": List("ticket.read", (
        ("id", "故障单号", _plain("id")), ("kind", "类型", _plain("kind")), ("severity", "严重程度", _plain("severity")),
        ("priority", "优先级", _plain("priority")), ("class", "等级", _plain("class_")), ("state", "状态", _plain("state")),
        ("reason", "状态原因", _plain("reason")), ("customer", "客户", _plain("customer_id")), ("service", "业务", _plain("service_id")),
        ("resource", "资源", _plain("resource_id")), ("region", "区域", _plain("region")), ("summary", "故障描述", _said),
        ("channel", "来源", _plain("channel")), ("parent", "根因单号", _plain("parent_id")), ("repeat_of", "重复故障原单号", _plain("repeat_of_id")),
        ("began", "故障开始时间", _plain("began")), ("created", "建单时间", _plain("created")), ("response_due", "响应时限", _plain("response_due")),
        ("responded", "首次响应时间", _plain("responded")), ("restore_due", "恢复时限", _plain("restore_due")), ("claimed", "报恢复时间", _plain("claimed")),
        ("restored", "实测恢复时间", _plain("restored")), ("resolved", "解决时间", _plain("resolved")), ("closed", "关闭时间", _plain("closed"))),
        _rows(Ticket, Ticket.created, state=Ticket.state, kind=Ticket.kind, severity=Ticket.severity, region=Ticket.region, customer=Ticket.customer_id,
              service=Ticket.service_id, owner=Ticket.owner_id, **{"class": Ticket.class_}),
        ("state", "kind", "severity", "class", "region", "customer", "service", "owner")),
    "resource": List("resource.read", (
        ("kind", "资源类型", _plain("kind")), ("name", "名称", _plain("name")), ("region", "区域", _plain("region")), ("state", "状态", _plain("state")),
        ("administrative", "管理状态", _plain("administrative")), ("operational", "运行状态", _plain("operational")), ("usage", "使用状态", _plain("usage")),
        ("capacity_bps", "容量", _plain("capacity_bps")), ("probe", "探针", _plain("probe")), ("interface", "探针接口", _plain("interface"))),
        _rows(Resource, Resource.id, kind=Resource.kind, region=Resource.region, state=Resource.state), ("kind", "region", "state")),
}
_TABLES = {"customer": Customer, "agreement": Agreement, "interaction": Interaction, "service": Service, "binding": Binding, "order": ProductOrder,
           "resource": Resource, "ticket": Ticket}


def take(desk: Desk, name: str, form: str, filters: Mapping[str, str] | None = None, *, unmask: str = "", lang: str = "") -> bytes:
    """A list as a file. form: csv or xlsx; unmask: the reason to have personal fields unmasked; lang: of the columns' names, en or zh (of the settings)."""
    desk.demand("export.write")
    if name not in LISTS:
        raise Refusal("missing", f"there is no list {name!r}", mend=f"lists are {', '.join(LISTS)}")
    if form not in MEDIA:
        raise Refusal("invalid", f"{form!r} is no format", "format", "take csv or xlsx")
    wanted = LISTS[name]
    desk.demand(wanted.permission)
    given = {key: value for key, value in (filters or {}).items() if value}
    unknown = set(given) - set(wanted.filters)
    if unknown:
        raise Refusal("invalid", f"the list has no filter {min(unknown)!r}", min(unknown), f"filters are {', '.join(wanted.filters)}")
    if unmask:
        desk.demand("personal.unmask")
    rows = list(_read(desk, wanted, given, bool(unmask)))
    head = [zh if (lang or desk.office.settings.lang) == "zh" else en for en, zh, _value in wanted.columns]
    desk.record("export.write", (_TABLES[name].__tablename__, name), after={"format": form, "filters": {key: given[key] for key in given if key != "q"},
                                                                            "searched": "q" in given, "rows": len(rows), "unmasked": bool(unmask)},
                reason=unmask)
    return _csv(head, rows) if form == "csv" else _xlsx(head, rows)


def _read(desk: Desk, wanted: List, given: Mapping[str, str], clear: bool) -> Iterator[list[Cell]]:
    query = wanted.query(desk, **given)
    for begin in range(0, MOST + LOT, LOT):
        rows = desk.session.scalars(query.offset(begin).limit(LOT)).unique().all()
        if rows and begin >= MOST:
            raise Refusal("large", f"the list has more than {MOST} rows", mend="narrow it down with filters")
        for row in rows:
            yield [value(row, desk, clear) for _en, _zh, value in wanted.columns]
        desk.session.expunge_all()
        if len(rows) < LOT:
            return


def _csv(head: list[str], rows: list[list[Cell]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([f"'{cell}" if isinstance(cell, str) and (cell[:1] in "\t\r" or cell.lstrip()[:1] in CALCULATED) and cell else cell for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode()         # with a mark, by which spreadsheets know UTF-8


def _xlsx(head: list[str], rows: list[list[Cell]]) -> bytes:
    import xlsxwriter

    out = io.BytesIO()
    options = {"in_memory": True, "constant_memory": False, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as book:
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(head):
            sheet.write_string(0, column, name, bold)
        for number, row in enumerate(rows, 1):
            for column, cell in enumerate(row):
                if isinstance(cell, bool):
                    sheet.write_boolean(number, column, cell)
                elif isinstance(cell, int):
                    sheet.write_number(number, column, cell)
                elif cell is not None:
                    sheet.write_string(number, column, cell)
    return out.getvalue()
