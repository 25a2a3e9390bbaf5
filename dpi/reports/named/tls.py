"""Which TLS is spoken, to whom, how much of it is obsolete, and which certificates end soon?"""
from __future__ import annotations

from dpi.reports.breakdown import Measure, breakdown, of_total, per
from dpi.reports.document import Column, Report, Table, Words
from dpi.reports.named import Named
from dpi.reports.request import SLOTS, Request
from dpi.reports.sources import HELLOS, domain

C = Column
_DAY = 86_400_000_000
SOON = 30 * _DAY
_MANY = 2_000_000        # hellos and certificates of a period beyond which a report of versions names no domains
_MEASURES = (
    Measure(C("sessions", "count", Words("Sessions", "会话数"), Words("TLS and QUIC sessions in which the server's hello was seen", "看到服务器 Hello 的 TLS 与 QUIC 会话数")), "{sessions}"),
    Measure(C("session_share", "share", Words("Share", "占比"), Words("of all sessions", "占全部会话的比例")), derive=of_total("sessions")),
    Measure(C("obsolete", "count", Words("Obsolete", "过时版本"), Words("sessions whose server chose SSL, TLS 1.0 or TLS 1.1", "服务器选择 SSL、TLS 1.0 或 1.1 的会话数")), "{obsolete}"),
    Measure(C("obsolete_share", "share", Words("Obsolete %", "过时占比"), Words("of the sessions of the line", "占该行会话的比例")), derive=per("obsolete", "sessions")),
    Measure(C("unnamed", "count", Words("No name", "无域名"), Words("sessions whose client named no server (SNI)", "客户端未给出 SNI 的会话数")), "{unnamed}"),
    Measure(C("unanswered", "count", Words("No answer", "未应答"), Words("client hellos to which no answer was seen: in none of the sessions", "未看到服务器应答的客户端 Hello 数，不计入会话")), "{unanswered}"),
)
CERTIFICATES = (
    C("certificate", "text", Words("Certificate of", "证书域名"), Words("domain of the certificate's subject", "证书主体的域名")),
    C("issuer", "text", Words("Issuer", "颁发者"), Words("who issued it", "证书颁发者")),
    C("not_after", "time", Words("Ends", "到期时间"), Words("when it ends", "证书到期时间")),
    C("days_left", "days", Words("Days left", "剩余天数"), Words("from the end of the period; negative: it had ended", "自时段结束起算，负数表示已过期")),
    C("handshakes", "count", Words("Seen", "出现次数"), Words("handshakes in which it was shown", "出现该证书的握手数")),
)


def make(ask: Request, out: Report) -> None:
    """By the dimension, by name and version beside each other, and certificates that end within 30 days of the period's end."""
    titles = {"name": Words("Domains", "域名"), "version": Words("Versions chosen", "选用版本"), "cipher": Words("Cipher suites chosen", "选用加密套件")}
    more: tuple[str, ...] = ("cipher", "name") if ask.by == "version" else ()
    if more and int(ask.store.query(f"SELECT count() FROM tls WHERE {ask.of('time', True)}").value()) > _MANY:
        more = more[:1]         # each session would have to be put together from its hellos
        out.notes.append(Words("Domains are left out of a period with so many sessions: ask for them with --by name.", "本时段会话过多，未列域名；请用 --by name 查询。"))
    for by in dict.fromkeys((ask.by, *more)):
        table, source = breakdown(ask, by, titles.get(by, Words("TLS", "TLS")), by, _MEASURES, "sessions", sources=HELLOS, bar="session_share")
        out.tables.append(table)
        out.sources.append(source.name)
    if any(source.endswith("_1h") for source in out.sources) and out.tables[0].rows:
        out.notes.append(Words("In whole hours each server's hello counts: a session with two counts twice.", "整小时统计按服务器 Hello 计数：一个会话有两次则计两次。"))
    if out.tables[0].rows:
        out.tables.append(_certificates(ask))


def _certificates(ask: Request) -> Table:
    subject = "extract(subject, 'CN=([^,/]+)')"
    named = domain(f"if({subject} = '', splitByChar(',', certificate_names)[1], {subject})") if ask.masked else f"if({subject} = '', certificate_names, {subject})"
    end = "toUnixTimestamp64Micro(assumeNotNull(not_after))"
    found = ask.store.query(f"SELECT {named} AS name, any(issuer), {end} AS ends, count() AS many FROM tls WHERE {ask.of('time', True)} AND certificate_sha256 != '' "
                            f"AND not_after IS NOT NULL AND {end} < {ask.end + SOON} GROUP BY certificate_sha256, name, ends ORDER BY ends, name LIMIT {ask.top}").rows
    table = Table("certificates", Words("Certificates that ended, or end within 30 days", "已过期或 30 天内到期的证书"), CERTIFICATES)
    table.rows = [(str(name), str(issuer), int(ends), (int(ends) - ask.end) / _DAY, int(many)) for name, issuer, ends, many in found]
    return table


REPORT = Named(Words("TLS", "TLS 加密"), Words("Which TLS is spoken, to whom, how much of it is obsolete, and which certificates end soon?", "使用哪些 TLS，访问谁，过时多少，哪些证书即将到期？"),
               ("version", "name", "cipher", "ja4", "issuer", "probe", *SLOTS), (), (*(one.column for one in _MEASURES), *CERTIFICATES), make)
