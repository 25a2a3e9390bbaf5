"""A named report as a page: the same for a screen and for paper."""
from __future__ import annotations

from dpi.reports.document import Report, Table, shown, text_columns
from dpi.reports.html import templates
from dpi.reports.html.course import draw, legend
from dpi.reports.language import Language
from dpi.reports.wording import columns, heads, maker


def page(report: Report, say: Language, paper: bool = False) -> str:
    """The page; paper: in the size and with the page numbers of A4."""
    pictures = [(chart, picture, legend(chart, say)) for chart in report.charts if (picture := draw(chart, say))]
    made: str = templates().get_template("named.html.j2").render(
        r=report, say=say, lang="zh-CN" if say.code == "zh" else "en", paper=paper, pictures=pictures, heads=heads(report, say), columns=columns(report),
        maker=maker(report, say), shown=shown, text_columns=text_columns, most=_most)
    return made


def _most(table: Table) -> float:
    """What a full bar stands for: the largest value of the column, of a utilisation the capacity."""
    if table.bar.endswith("_use"):
        return 1.0
    place = [column.name for column in table.columns].index(table.bar)
    return max((row[place] or 0.0 for row in table.rows), default=0.0) or 1.0
