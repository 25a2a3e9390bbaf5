"""The knowledge base: what is known about faults, in both languages, suggested where an alert or a ticket is of a kind that it is about, and found by words.

Neither database parts Chinese into words, so that is done here, the same for both: an article is found by its words of letters and digits, and by every two
Chinese characters that stand beside each other (光功率低: 光功 功率 率低). A word says the more the fewer articles have it; words of the title say
three times as much.
"""
from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from sqlalchemy import delete, func, insert, select

from bss.catalogue.document import Name, Written
from bss.catalogue.reading import checked
from bss.database import lots
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Article, ArticleWord, Ticket

TITLE, MOST, LONGEST = 3, 50, 64            # weight of a title; words of a question; letters of a word
_PIECES = re.compile(r"[0-9a-zà-öø-ÿ]+(?:[-_.][0-9a-zà-öø-ÿ]+)*|[\u3400-\u4dbf\u4e00-\u9fff]+")
Kinds = Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")], ...], Field(max_length=50)]


class Text(Written):
    """What is to be known, in both languages."""
    en: Annotated[str, Field(min_length=1, max_length=20_000)]
    zh: Annotated[str, Field(min_length=1, max_length=20_000)]


class Known(Written):
    """An article as it is written. alert_kinds: of the probe's alerts or of alarms; ticket_kinds: of tickets."""
    title: Name
    text: Text
    alert_kinds: Kinds = ()
    ticket_kinds: Kinds = ()


class Found(NamedTuple):
    """An article, and how well it fits. kind: it is about the kind of the alert or ticket."""
    article: Article
    score: float
    kind: bool = False


def words_of(text: str) -> list[str]:
    """The words of a text, each as often as it is in it: of letters and digits in small letters, of Chinese every two characters, one that stands alone."""
    found: list[str] = []
    for piece in _PIECES.findall(text.lower()):
        if piece[0] >= "\u3400":
            found += [piece[k:k + 2] for k in range(len(piece) - 1)] or [piece]
        elif len(piece) > 1 or piece.isdigit():
            found.append(piece[:LONGEST])
            parts = re.split(r"[-_.]", piece)
            found += [one[:LONGEST] for one in parts if len(one) > 1] if len(parts) > 1 else []
    return found


def write(desk: Desk, document: Mapping[str, Any] | Known, article_id: str | None = None, version: int | None = None) -> Article:
    """Write an article, or a new version of one."""
    desk.demand("knowledge.write")
    known = document if isinstance(document, Known) else checked(Known, document, "article")
    told: dict[str, Any] = {"title": known.title.model_dump(), "text": known.text.model_dump(), "alert_kinds": list(known.alert_kinds),
                            "ticket_kinds": list(known.ticket_kinds)}
    if article_id is None:
        row = desk.add(Article(**told, changed=desk.now, user_id=desk.actor.id or None))
        desk.record("knowledge.write", row, after=told)
    else:
        row = _row(desk, article_id)
        if row.retired:
            raise Refusal("conflict", "the article was retired", f"article {row.id}", "write another one")
        desk.fresh(row, version)
        before = {name: getattr(row, name) for name in told}
        for name, value in told.items():
            setattr(row, name, value)
        row.changed, row.user_id = desk.now, desk.actor.id or None
        desk.record("knowledge.write", row, before, told)
    _index(desk, row)
    return row


def retire(desk: Desk, article_id: str, reason: str = "") -> Article:
    """Suggest an article no longer. It stays readable by its id."""
    desk.demand("knowledge.write")
    row = _row(desk, article_id)
    if row.retired:
        raise Refusal("conflict", "the article was retired before", f"article {row.id}")
    desk.fresh(row, None)
    row.retired = True
    desk.session.execute(delete(ArticleWord).where(ArticleWord.article_id == row.id))
    desk.record("knowledge.retire", row, {"retired": False}, {"retired": True}, reason)
    return row


def _index(desk: Desk, row: Article) -> None:
    weights: Counter[str] = Counter()
    for lang in ("en", "zh"):
        weights.update({word: TITLE * count for word, count in Counter(words_of(row.title[lang])).items()})
        weights.update(words_of(row.text[lang]))
    desk.session.flush()
    desk.session.execute(delete(ArticleWord).where(ArticleWord.article_id == row.id))
    for lot in lots(sorted(weights)):
        desk.session.execute(insert(ArticleWord), [{"word": word, "article_id": row.id, "weight": weights[word]} for word in lot])


def search(desk: Desk, text: str = "", kinds: Iterable[str] = (), limit: int = 20) -> list[Found]:
    """The articles that fit a text best, of these kinds of alerts or tickets first; without a text and kinds the newest."""
    desk.demand("knowledge.read")
    wanted, asked = list(dict.fromkeys(words_of(text)))[:MOST], {one for one in kinds if one}
    scores: Counter[str] = Counter()
    if wanted:
        count = desk.session.execute(select(func.count()).select_from(Article).where(Article.retired.is_(False))).scalar_one()
        rows = desk.session.execute(select(ArticleWord.word, ArticleWord.article_id, ArticleWord.weight).where(ArticleWord.word.in_(wanted))).tuples().all()
        having = Counter(word for word, _, _ in rows)
        for word, article_id, weight in rows:
            scores[article_id] += math.log(1 + count / having[word]) * weight / (weight + 2)        # type: ignore[assignment]
    live = select(Article).where(Article.retired.is_(False))
    if not asked and wanted:
        live = live.where(Article.id.in_(list(scores)))
    found = []
    for row in desk.session.execute(live.order_by(Article.changed.desc(), Article.id).limit(5000)).scalars():
        fits = bool(asked & {*row.alert_kinds, *row.ticket_kinds})
        if fits or scores[row.id] or not (wanted or asked):
            found.append(Found(row, round(float(scores[row.id]), 4), fits))
    return sorted(found, key=lambda one: (not one.kind, -one.score))[:limit]


def suggested(desk: Desk, ticket_id: str, limit: int = 5) -> list[Found]:
    """What is known about a ticket: by its kind, the kind of its alarm, and the words it is described with."""
    desk.demand("ticket.read")
    row = desk.find(Ticket, ticket_id)
    return search(desk, row.summary, (row.kind, row.alarm_kind), limit)


def find(desk: Desk, article_id: str) -> Article:
    """One of them, also one that was retired. Refusal `missing`."""
    desk.demand("knowledge.read")
    return _row(desk, article_id)


def listed(desk: Desk, ids: Sequence[str] = ()) -> Any:
    """A query of the articles that are not retired, the newest first."""
    desk.demand("knowledge.read")
    query = select(Article).where(Article.retired.is_(False))
    return (query.where(Article.id.in_(ids)) if ids else query).order_by(Article.changed.desc(), Article.id)


def _row(desk: Desk, article_id: str) -> Article:
    row = desk.session.get(Article, article_id)
    if row is None:
        raise Refusal("missing", f"there is no article {article_id}", "article", "look at the list")
    return row
