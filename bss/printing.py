"""Documents on paper: a page as PDF."""
from __future__ import annotations

import logging
from typing import Any

from bss.refusal import Refusal


def printed(page: str) -> bytes:
    """A page as PDF; it loads nothing from anywhere. Refusal `away`: a library is missing."""
    for name in ("weasyprint", "weasyprint.progress", "fontTools"):         # it warns of what style sheets for screens have
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except OSError as error:
        raise Refusal("away", f"a library for PDF is missing: {error}", "pdf", "install libpango-1.0-0, libpangoft2-1.0-0 and fonts-noto-cjk") from None
    logging.getLogger("weasyprint").setLevel(logging.ERROR)                 # its import has set it anew

    class Nowhere(URLFetcher):      # type: ignore[misc]
        """Fetches nothing: the page has all it needs."""

        def fetch(self, url: str, headers: Any = None) -> Any:
            raise ValueError(f"not fetched: {url}")

    content: bytes = HTML(string=page, url_fetcher=Nowhere()).write_pdf()
    return content
