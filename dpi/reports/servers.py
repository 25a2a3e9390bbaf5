"""Who answers? Servers by bytes, with a name seen for each."""
from __future__ import annotations

from dpi.flow.figures import Figures
from dpi.reports.question import Question
from dpi.reports.talkers import hosts


def answer(ask: Question, out: Figures) -> None:
    """Fill the top servers and how many there are."""
    out.servers, out.distinct["servers"] = hosts(ask, "server")
