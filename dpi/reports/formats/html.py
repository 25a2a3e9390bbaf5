"""One HTML file: no script, no font, no picture from elsewhere; every word from the wire is escaped by the template engine."""
from __future__ import annotations

from dpi.reports.document import Report
from dpi.reports.html.document import page
from dpi.reports.language import Language

SUFFIX = ".html"


def write(report: Report, say: Language) -> bytes:
    """The page for a screen."""
    return page(report, say).encode("utf-8", "replace")
