"""The same figures in every format, in both languages."""
from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dpi.reports.document import Report, shown
from dpi.reports.formats import formats, save, suffix, written
from dpi.reports.language import Language
from dpi.reports.named import names, registry
from dpi.reports.period import local
from tests.reports.conftest import Known
from tests.reports.test_named import SHANGHAI, ask

LANGUAGES = [Language("en", SHANGHAI), Language("zh", SHANGHAI)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reports(ten_weeks: Known) -> list[Report]:
    return [ask(ten_weeks, name, "2026-10-01", "2026-10-04", top=3) for name in names()]


def texts(report: Report, say: Language) -> list[str]:
    """Every cell of its tables as a person reads it, without spaces."""
    out = []
    for table in report.tables:
        for which, row in table.lines(say):
            out += [shown(value, column.kind if which == "row" or nth else "text", say)
                    for nth, (column, value) in enumerate(zip(table.columns, row, strict=True))]
    return [re.sub(r"\s", "", cell) for cell in out]


@pytest.mark.parametrize("say", LANGUAGES, ids=["en", "zh"])
def test_a_person_reads_the_same_on_the_terminal_in_html_and_in_pdf(reports: list[Report], say: Language) -> None:
    from html import unescape

    from pypdf import PdfReader

    for report in reports:
        terminal = re.sub(r"\s", "", written(report, "table", say).decode())
        page = written(report, "html", say).decode()
        plain = re.sub(r"\s", "", unescape(re.sub(r"<[^>]*>", " ", page)))
        pdf = PdfReader(io.BytesIO(written(report, "pdf", say)))
        paper = re.sub(r"\s", "", "".join(one.extract_text() for one in pdf.pages))
        assert [round(float(side)) for side in pdf.pages[0].mediabox[2:]] == [595, 842] and f"1/{len(pdf.pages)}" in paper
        for cell in texts(report, say):
            assert cell in terminal and cell in plain and cell in paper, (report.name, cell)
        for words in (report.title(say), report.statement.verdict.text(say), *(one.text(say) for one in report.statement.sentences)):
            bare = re.sub(r"\s", "", words)
            assert bare in plain and bare in paper, (report.name, words)
        assert "<script" not in page and "<b>=1" not in page and "src=" not in page


@pytest.mark.parametrize("say", LANGUAGES, ids=["en", "zh"])
def test_a_workbook_opens_and_holds_the_same_figures(reports: list[Report], say: Language) -> None:
    from openpyxl import load_workbook

    for report in reports:
        book = load_workbook(io.BytesIO(written(report, "xlsx", say)))
        assert len(book.sheetnames) == len(report.tables) + 1
        for table, sheet in zip(report.tables, book.worksheets, strict=False):
            assert sheet.freeze_panes == "B2"
            for at, (_, row) in enumerate(table.lines(say), 2):
                for nth, (column, value) in enumerate(zip(table.columns, row, strict=True), 1):
                    cell = sheet.cell(at, nth)
                    if value is None:
                        assert cell.value is None
                    elif isinstance(value, str):
                        assert cell.value == (value or None) and cell.data_type in ("s", "n")
                    elif column.kind in ("time", "date"):
                        assert cell.value == local(value, SHANGHAI).replace(tzinfo=None) and cell.number_format.startswith("yyyy-mm-dd")
                    else:
                        assert cell.value == pytest.approx(value) and cell.data_type == "n"
        about = [str(cell.value) for row in book.worksheets[-1].iter_rows() for cell in row]
        assert report.statement.verdict.text(say) in about and str(report.statement.figures["lost_frames"]) in about
        assert all(column.meaning(say) in about for table in report.tables for column in table.columns)


def test_machines_read_raw_values(reports: list[Report]) -> None:
    say = LANGUAGES[0]
    for report in reports:
        told = json.loads(written(report, "json", say))
        assert told["coverage"]["minutes"] == report.statement.figures["minutes"]
        assert (told["from"], told["timezone"]) == ("2026-09-30T16:00:00.000000Z", "Asia/Shanghai")
        for table, one in zip(report.tables, told["tables"], strict=True):
            assert len(one["rows"]) == len(table.rows) and one["others_count"] == table.left_out
            for row, line in zip(table.rows, one["rows"], strict=True):
                assert [line[column.name] for column in table.columns if column.kind not in ("time", "date")] == [
                    value for column, value in zip(table.columns, row, strict=True) if column.kind not in ("time", "date")]
        lines = list(csv.reader(io.StringIO(written(report, "csv", say).decode())))
        numbers = [float(cell) for line in lines if line[0] in ("row", "rest", "total") for cell in line[2:] if re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell)]
        cells = [(column, value) for table in report.tables for _, row in table.lines(say) for column, value in list(zip(table.columns, row, strict=True))[1:]]
        assert numbers == [pytest.approx(value) for column, value in cells if isinstance(value, int | float) and column.kind not in ("time", "date")]


def test_no_text_is_taken_for_a_formula(reports: list[Report]) -> None:
    from dpi.reports.formats.csv import unformulaic

    assert [unformulaic(word) for word in ("=1+1", "+1", "-1", "@x", "YouTube")] == ["'=1+1", "'+1", "'-1", "'@x", "YouTube"]


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    from dpi.errors import UserError

    save(b"x", tmp_path / "a.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]
    with pytest.raises(UserError, match="cannot be written"):
        save(b"x", tmp_path / "none" / "a.pdf")


def test_files_registry_and_page_know_the_same_reports_and_columns() -> None:
    files = {path.stem for path in (ROOT / "dpi" / "reports" / "named").glob("[!_]*.py")}
    page = (ROOT / "docs" / "reports.md").read_text()
    assert set(registry()) == files == set(re.findall(r"^## (\w+)$", page, re.M))
    assert set(formats()) == {"csv", "html", "json", "pdf", "table", "xlsx"} and len({suffix(one) for one in formats()}) == 6
    for name, one in registry().items():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert re.findall(r"`--by`: ([^.]*)\.", section)[0] == ", ".join(f"`{by}`" for by in one.dimensions)
        assert re.findall(r"^\| `(\w+)` \|", section, re.M) == [column.name for column in one.columns]
        for words in (one.title, one.question, *(words for column in one.columns for words in (column.heading, column.meaning))):
            assert words.en and words.zh and _chinese(words.zh) or words.en == words.zh or words.en.startswith(">")
        assert one.question.en in section


def _chinese(text: str) -> Any:
    return re.search("[\u4e00-\u9fff]", text) or text in ("TLS", "DNS")
