"""What Alembic runs: the versions over the connection it is given."""
from typing import Any, Literal

from alembic import context
from sqlalchemy import JSON

from bss.database import Table
from bss.moment import Moment
from bss.sealing import Sealed


def _rendered(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Types as the databases know them, so that versions stay true when the program changes."""
    if kind == "type" and isinstance(item, Moment):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Sealed):
        return "sa.LargeBinary()"
    if kind == "type" and isinstance(item, JSON):
        return "DOCUMENT"
    return False


context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_item=_rendered, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
