"""What is true of customers that are merged and parted, and of what parties are found by, whatever was killed."""
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence, Set

from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.bss_kills.record import count_of
from bss import audit
from bss.database import Table
from bss.parties.belongings import owned
from bss.parties.finding import tokens_of
from bss.tables import AuditRow, Blind, Contact, Customer, Merge, Party


def faults(session: Session, pairs: Sequence[tuple[str, str]], said: Set[str]) -> Iterator[str]:
    """What is not as it has to be. pairs: the customers that are merged and parted; said: merges that were acknowledged."""
    into = dict(session.execute(select(Customer.id, Customer.merged_into)).tuples().all())
    for name, (table, column) in owned().items():
        for key, owner in session.execute(select(table.c.id, table.c[column])):
            if owner is not None and into[owner] is not None:
                yield f"{name} {key} is of customer {owner}, who was merged into {into[owner]}"
    merged, parted = count_of(session, "customer.merge"), count_of(session, "customer.unmerge")
    rows = list(session.scalars(select(Merge)))
    open_ = {row.gone_id: row.kept_id for row in rows if row.undone is None}
    if open_ != {key: other for key, other in into.items() if other is not None}:
        yield "customers are merged otherwise than the merges say"
    for key in {key for pair in pairs for key in pair}:
        mine = [row for row in rows if key in (row.kept_id, row.gone_id)]
        if merged[key] != len(mine) or parted[key] != sum(row.undone is not None for row in mine):
            yield f"customer {key} was merged {merged[key]} times by the record and {len(mine)} times by the merges"
    for row in rows:
        if row.undone is None:
            told = json.loads(row.before)["moved"]
            for name, ids in told.items():
                table, column = owned()[name]
                if others := set(session.execute(select(table.c[column]).where(table.c.id.in_(ids))).scalars()) - {row.kept_id}:
                    yield f"merge {row.id} moved {name} to {others}"
    if lost := said - {row.id for row in rows}:
        yield f"{len(lost)} merges were said and are not there"


def found(session: Session) -> Iterator[str]:
    """Every party is found by what it is called and reached by, and by nothing else; and every sealed value can be opened."""
    reached: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for one in session.scalars(select(Contact)):
        reached[one.party_id].append((one.medium, one.value))
    digests: dict[str, set[tuple[str, bytes]]] = defaultdict(set)
    for blind in session.scalars(select(Blind)):
        digests[blind.entity_id].add((blind.field, bytes(blind.token)))
    for party in session.scalars(select(Party)):
        if digests.pop(party.id, set()) != set(tokens_of(party.name, party.legal_id, reached[party.id])):
            yield f"party {party.id} is not found by what it is called"
    if digests:
        yield f"{len(digests)} parties are found and are not there"
    for table in Table.metadata.sorted_tables:
        session.execute(select(table)).all()
    for row in session.scalars(select(AuditRow)):
        audit.detail(row)
