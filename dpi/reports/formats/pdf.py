"""A4 pages of the same page that the HTML is: with page numbers, without anything from elsewhere."""
from __future__ import annotations

import logging
from typing import Any

from dpi.errors import UserError
from dpi.reports.document import Report
from dpi.reports.html.document import page
from dpi.reports.language import Language

SUFFIX = ".pdf"


def write(report: Report, say: Language) -> bytes:
    """The pages. UserError where Pango, which sets the text, is not on the machine."""
    for name in ("weasyprint", "weasyprint.progress", "fontTools"):     # it warns of what style sheets for screens have, and tells each step from its import on
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except OSError as error:
        raise UserError(f"a library for PDF is missing: {error}", "--format pdf", "install libpango-1.0-0, libpangoft2-1.0-0 and fonts-noto-cjk") from None
    logging.getLogger("weasyprint").setLevel(logging.ERROR)            # its import has set it anew

    class Nowhere(URLFetcher):      # type: ignore[misc]
        """Fetches nothing: the page has all it needs."""

        def fetch(self, url: str, headers: Any = None) -> Any:
            raise ValueError(f"not fetched: {url}")

    content: bytes = HTML(string=page(report, say, paper=True), url_fetcher=Nowhere()).write_pdf()
    return content
