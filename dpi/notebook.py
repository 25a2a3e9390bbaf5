"""A replay from Python: captures in, Arrow tables, pandas frames and figures out. `dpi.replay(path)` is the way in."""
from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from dpi.batch import Batch
from dpi.schema import TABLES, Column

if TYPE_CHECKING:
    import pyarrow as pa

    from dpi.flow.figures import Figures
    from dpi.outcome import Outcome

#: Tables a replay fills.
KEPT = ("flows", "dns", "tls", "http")


class Rows:
    """A sink that keeps batches as Arrow, so that the pipeline's buffers are free again."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Any]] = {}

    def write(self, batch: Batch) -> None:
        """Keep the rows."""
        from dpi.arrow import arrow_batch

        if batch.count:
            self._kept.setdefault(batch.table, []).append(arrow_batch(batch.whole()))

    def close(self) -> None:
        """Nothing is held open."""

    def table(self, name: str) -> pa.Table:
        """All rows of a table, with every column a replay fills; of a table without rows, its columns."""
        import pyarrow as pa

        batches = self._kept.get(name)
        if not batches:
            return _empty(name)
        return pa.concat_tables([pa.Table.from_batches([one]) for one in batches], promote_options="permissive").unify_dictionaries()


def _empty(name: str) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    from dpi.arrow import arrow_column
    from dpi.batch import Coded, Lists, Texts
    from dpi.schema import KINDS

    def column(one: Column) -> Any:
        numpy = KINDS[one.kind].numpy
        if numpy == "[]":
            numbers = one.kind == "u64s"
            return Lists(np.zeros(1, np.int64), np.zeros(0, np.uint64)) if numbers else Lists.of([])
        if numpy == "":
            return Texts.of([]) if one.kind == "text" else Coded.of([])
        return np.zeros((0, 16), np.uint8) if numpy == "ip" else np.zeros(0, numpy)

    columns = TABLES[name].columns
    return pa.table([arrow_column(one, column(one)) for one in columns], names=[one.name for one in columns])


class Replayed:
    """What a replay gave. Tables are pyarrow.Table with the columns of docs/schema.md; `figures` are those of the summary."""

    def __init__(self, rows: Rows, figures: Figures, outcome: Outcome) -> None:
        self._rows = rows
        self.figures = figures
        self.outcome = outcome

    @property
    def flows(self) -> pa.Table:
        """One row per flow and minute it was seen in."""
        return self._rows.table("flows")

    @property
    def dns(self) -> pa.Table:
        """Questions and answers."""
        return self._rows.table("dns")

    @property
    def tls(self) -> pa.Table:
        """Hellos, certificates and fingerprints."""
        return self._rows.table("tls")

    @property
    def http(self) -> pa.Table:
        """Requests and their responses."""
        return self._rows.table("http")

    def pandas(self, table: str = "flows") -> Any:
        """A table as pandas.DataFrame, addresses as text, small sets of strings as categories. KeyError: no such table."""
        if table not in KEPT:
            raise KeyError(f"{table}: there are {', '.join(KEPT)}")
        frame = self._rows.table(table).to_pandas()
        for column in TABLES[table].columns:
            if column.kind == "ip" and column.name in frame:
                frame[column.name] = [address(raw) for raw in frame[column.name]]
        return frame

    def __repr__(self) -> str:
        names = ", ".join(capture.name for capture in self.outcome.captures)
        return f"<Replayed {names}: {self.figures.packets} packets, {self.figures.flows} flows>"


def address(raw: bytes) -> str:
    """The 16 bytes of an address column as people write it; IPv4 plain, '' where there is none (all zero)."""
    from ipaddress import IPv6Address

    if not any(raw):
        return ""
    six = IPv6Address(raw)
    return str(six.ipv4_mapped or six)


def replay(path: str | PathLike[str] | Sequence[str | PathLike[str]], *, store: str | None = None, rules: str | None = None, **options: Any) -> Replayed:
    """Replay captures and give back their rows.

    path     a file, directory or pattern, or a list of them
    store    a store URL where the rows go as well (None: nowhere)
    rules    a directory of rules that override those of the package
    options  fields of dpi.replaying.ReplayOptions: filter, since, until, time_shift (int us), max_flows, joined, dedup, append ...

    UserError: no such capture, a rule with an error, a store that is held ... TypeError: no such option.
    """
    from dpi.flow.summary import Summary
    from dpi.replaying import ReplayOptions, run
    from dpi.store import open_store

    paths = [path] if isinstance(path, str | PathLike) else list(path)
    asked = ReplayOptions(rules=rules, **options)
    rows, summary = Rows(), Summary()
    kept = open_store(store, replaying=True) if store and store != "none" else None
    try:
        outcome = run([fspath(one) for one in paths], sinks=[rows, summary, *([kept] if kept else [])], options=asked)
    finally:
        if kept:
            kept.close()
    return Replayed(rows, summary.figures(outcome), outcome)
