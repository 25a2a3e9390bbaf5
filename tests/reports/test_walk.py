"""One walk gives what three questions give: the top lines, the others, the total."""
from __future__ import annotations

from pathlib import Path

import pytest

from dpi.reports.walk import rewritten, walked
from dpi.store import open_store

FIGURES = ("sum(b)", "uniqExact(cityHash64(s))", "if(count(d) = 0, NULL, toFloat64(quantileExact(0.5)(d)))", "sumIf(b, s = 'x)1')", "NULL", "sum(b) / count()",
           "quantileExactWeightedIf(0.95)(b, w, s != '')")


def test_calls_of_aggregates_are_found_whatever_stands_in_them() -> None:
    assert rewritten("if(sumIf(a, f('(') = 1) = 0, NULL, quantileExact(0.5)(g(a)))", lambda name, arguments: f"<{name} of {arguments}>") == (
        "if(<sumIf of a, f('(') = 1> = 0, NULL, <quantileExact(0.5) of g(a)>)")
    assert rewritten("arrayMax(summed(x))", lambda *_: "?") == "arrayMax(summed(x))"


@pytest.mark.compiled
@pytest.mark.parametrize("top", [1, 5, 40])
def test_the_same_as_asked_one_by_one(top: int, tmp_path: Path) -> None:
    store = open_store(f"chdb://{tmp_path}/store")
    rows = "(SELECT toString(number % 23) AS k, number * number % 1009 AS b, concat('x)', toString(number % 7)) AS s, number % 5 + 1 AS w, " \
           "if(number % 23 = 3, NULL, number % 101) AS d FROM numbers(5000))"
    try:
        found = store.query(walked(rows, "b != 4", "k", FIGURES, 0, top)).rows
        lines = store.query(f"SELECT k, {', '.join(FIGURES)} FROM {rows} WHERE b != 4 GROUP BY k ORDER BY sum(b) DESC, k LIMIT {top}").rows
        assert [(row[2], *row[4:]) for row in found if not row[0] and row[1]] == [tuple(row) for row in lines] and {row[3] for row in found} == {23}
        names = ", ".join(f"'{row[0]}'" for row in lines)
        others = store.query(f"SELECT {', '.join(FIGURES)} FROM {rows} WHERE b != 4 AND k NOT IN ({names})").rows if top < 23 else []
        assert [tuple(row[4:]) for row in found if not row[0] and not row[1]] == [tuple(row) for row in others]
        assert [tuple(row[4:]) for row in found if row[0]] == [tuple(store.query(f"SELECT {', '.join(FIGURES)} FROM {rows} WHERE b != 4").rows[0])]
    finally:
        store.close()
