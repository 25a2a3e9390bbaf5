"""Tests that say nothing about kernels run once, with the JIT on; `-m 'not compiled'` leaves them out of the other builds."""
from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
#: Folders and files whose subject is not a kernel, or that choose the build themselves in child processes (hostile).
ONCE = ("cli", "delivery", "documents", "hostile", "live", "pcaps", "reports", "rules", "sinks", "watch", "test_store.py", "test_answering.py",
        "test_owner.py", "test_statement.py", "test_provenance.py", "test_schema.py", "test_house.py", "test_native.py", "test_python.py", "test_rules.py",
        "test_crew.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs once."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in ONCE:
            item.add_marker(pytest.mark.compiled)
