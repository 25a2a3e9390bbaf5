"""What each role may do. Everything done is one of these; docs/business.md has the table, made from here.

A permission is `thing.act`. Whoever has none of the roles of one is refused before anything is looked up; which rows he may see is scope.py's. Some acts
take two people (`two`): who wrote a paper, drafted a credit or rendered data does not approve it.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from bss.refusal import Refusal
from bss.tables.person import ROLES

P, V, A, B, M, K, C, U, R = ROLES       # presales, provisioning, assurance, billing, manager, contractor, customer, auditor, administrator
OFFICE = (P, V, A, B, M)


class Permission(NamedTuple):
    """Who may, and the words of it. two: not who did the step before."""
    roles: frozenset[str]
    en: str
    zh: str
    two: bool = False


def _one(roles: Iterable[str], en: str, zh: str, two: bool = False) -> Permission:
    return Permission(frozenset(roles), en, zh, two)


PERMISSIONS: dict[str, Permission] = {
    "customer.read": _one((*OFFICE, U, C), "see customers, their contracts and contacts", "查看客户、合同与联系方式"),
    "customer.write": _one((P, M), "enter and change customers and contracts", "录入和修改客户与合同"),
    "customer.merge": _one((M,), "merge customers that are one, and part them again", "合并与拆分重复客户"),
    "interaction.write": _one((*OFFICE, C), "note a contact with a customer", "登记客户接触记录"),
    "personal.unmask": _one((P, V, A, B, M, C), "see personal fields unmasked, each time with a reason", "查看未脱敏的个人信息(须注明原因)"),
    "traffic.read": _one((A, M, C), "see the traffic of a service or customer", "查看业务或客户的流量"),
    "catalogue.read": _one((*OFFICE, U, C), "see what is sold", "查看产品目录"),
    "catalogue.write": _one((M,), "change what is sold", "修改产品目录"),
    "enquiry.read": _one((P, V, M, U, C), "see enquiries and checks", "查看需求与资源核查"),
    "enquiry.write": _one((P, M, C), "enter enquiries and ask for checks", "录入需求、发起资源核查"),
    "paper.read": _one((P, V, B, M, U, C), "see solutions, quotes, test and acceptance sheets", "查看方案、报价、测试单与竣工验收单"),
    "paper.write": _one((P, V, M), "write them", "编写方案、报价、测试单与竣工验收单"),
    "paper.approve": _one((M,), "approve them", "审批方案、报价、测试单与竣工验收单", two=True),
    "order.read": _one((*OFFICE, U, K, C), "see orders", "查看订单"),
    "order.write": _one((P, M, C), "enter, amend and cancel orders", "录入、修改、撤销订单"),
    "order.advance": _one((V, M), "move orders through provisioning", "推进订单开通流程"),
    "order.install": _one((V, K, M), "note that an installation is done", "登记安装完成"),
    "order.accept": _one((M,), "accept what no sensor sees, as the second person", "对未覆盖业务进行二次验收", two=True),
    "configuration.write": _one((V,), "render configuration data", "生成局数据"),
    "configuration.sign": _one((V, M), "sign configuration data", "签批局数据", two=True),
    "service.read": _one((*OFFICE, U, K, C), "see services and what they use", "查看业务及其资源"),
    "service.write": _one((V, M), "change services", "修改业务"),
    "binding.write": _one((V, M), "bind traffic to services", "维护流量绑定关系"),
    "binding.correct": _one((M,), "correct a binding in the past, which changes usage", "更正历史绑定(将重新归属用量)"),
    "resource.read": _one((P, V, A, M, U, K), "see resources", "查看资源"),
    "resource.write": _one((V, M), "change resources", "维护资源"),
    "whois.ask": _one((A, M), "ask whose an address was, with a reason", "查询地址归属(须注明原因)"),
    "ticket.read": _one((*OFFICE, U, K, C), "see tickets", "查看故障单与投诉单"),
    "ticket.write": _one((A, M, C), "open tickets and add to them", "受理和补充故障单"),
    "ticket.work": _one((A, K, M), "work on tickets: take, hold, claim restored, resolve", "处理故障单(接单、挂起、报恢复、解决)"),
    "ticket.override": _one((M,), "resolve a ticket against what the traffic says, with a reason", "凭理由越过流量核验解决故障单", two=True),
    "dispatch.write": _one((A, M), "send field staff and contractors", "派发现场与代维工单"),
    "alarm.write": _one((A, M, V), "enter alarms and link states", "录入告警与链路状态"),
    "window.write": _one((A, M), "plan maintenance windows and event assurance", "登记割接窗口与通信保障任务"),
    "window.approve": _one((M,), "approve them", "审批割接窗口与通信保障任务", two=True),
    "knowledge.read": _one((*OFFICE, U, K), "read the knowledge base", "查阅知识库"),
    "knowledge.write": _one((A, M), "write it", "维护知识库"),
    "calendar.write": _one((M,), "keep calendars, holidays and rosters", "维护工作日历、节假日与值班表"),
    "sla.read": _one((*OFFICE, U, C), "see what was promised and what was measured", "查看SLA承诺与实测"),
    "sla.write": _one((A, M), "reclassify minutes with evidence", "凭证据改判分钟状态"),
    "sla.approve": _one((M,), "approve that, and close a month", "审批改判、关闭月份", two=True),
    "credit.draft": _one((A, B, M), "draft credits", "起草SLA补偿"),
    "credit.approve": _one((M,), "approve credits", "审批SLA补偿", two=True),
    "credit.apply": _one((B,), "apply approved credits to bills", "将已批补偿入账", two=True),
    "scorecard.read": _one((A, B, M, U, K), "see post-evaluation scorecards", "查看后评估得分卡"),
    "usage.read": _one((B, M, U, C), "see rated usage, balances and allowances", "查看计费用量、余量与套餐"),
    "rating.write": _one((B, M), "rate again, take up recycled usage, simulate plans", "重批价、处理回收用量、套餐模拟"),
    "bill.read": _one((B, M, U, C), "see bills, payments and ageing", "查看账单、付款与账龄"),
    "bill.write": _one((B, M), "start bill runs, hold and void bills, write credit notes", "发起出账、挂起和作废账单、开具红字账单"),
    "bill.approve": _one((B, M), "approve a bill run and issue it", "审批并发出账单", two=True),
    "payment.write": _one((B,), "enter payments, match bank files, reverse", "登记付款、匹配银行流水、冲正"),
    "payment.approve": _one((M,), "approve refunds and write-offs", "审批退款与核销", two=True),
    "dunning.write": _one((B, M), "dispute and propose in dunning", "催缴处理与争议登记"),
    "dunning.approve": _one((M,), "approve suspensions and terminations for non-payment", "审批欠费停机与拆机", two=True),
    "journal.read": _one((B, M, U), "export journal and e-invoice rows", "导出会计分录与数电发票数据"),
    "report.read": _one((P, V, A, B, M, U), "read reports of orders, leakage and dwell times", "查看订单时长、漏收等报表"),
    "import.write": _one((M,), "bring in files, and undo that", "导入存量数据与撤销导入"),
    "attachment.read": _one((P, V, B, M, U, K, C), "open attachments", "查看附件"),
    "attachment.write": _one((P, V, M, K, C), "attach files", "上传附件"),
    "user.read": _one((R, U), "see users", "查看用户"),
    "user.write": _one((R,), "make and change users, roles and tokens", "维护用户、角色与令牌"),
    "audit.read": _one((U,), "read the audit log", "查看审计日志"),
    "export.write": _one((P, V, A, B, M, U), "take lists away as files", "导出列表"),
    "system.run": _one((R,), "run the worker, rotate keys, back up", "运行后台任务、轮换密钥、备份"),
}


def allowed(roles: Collection[str], permission: str) -> bool:
    """Whether one of these roles has a permission. KeyError: there is none of that name."""
    return not PERMISSIONS[permission].roles.isdisjoint(roles)


def demand(roles: Collection[str], permission: str) -> None:
    """Refusal where none has."""
    if not allowed(roles, permission):
        raise Refusal("forbidden", f"this needs the permission {permission!r}",
                      mend=f"ask one with the role {' or '.join(sorted(PERMISSIONS[permission].roles))}")
