"""The figures of a summary out of the store, question by question."""
from __future__ import annotations

from collections.abc import Sequence

from dpi.flow.figures import Figures
from dpi.reports import applications, coverage, detected, dns, evidence, http, overview, quality, refused, servers, talkers, timeline, tls
from dpi.reports.question import Question
from dpi.store import Store

#: In this order: later answers lean on the span and the captures that the overview found.
QUESTIONS = (overview, applications, talkers, servers, quality, dns, tls, http, refused, coverage, timeline, evidence, detected)


def figures_from_store(store: Store, captures: Sequence[int] = (), since: int | None = None, until: int | None = None) -> Figures:
    """Figures of some captures (none: all) between two moments (us, either may be open). UserError as the store raises it."""
    ask, out = Question(store, captures, since, until), Figures()
    for question in QUESTIONS:
        question.answer(ask, out)
    return out
