"""chDB's engine, loaded without the rest of its package.

Importing `chdb` reads package metadata, changes the working directory for a moment and opens and closes an engine in memory to ask for its
version: more than half of what opening a store costs. The extension module alone does all that is needed here; where it can't be loaded that
way, the package is imported.
"""
from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any

_MODULE = "chdb._chdb"
_OWN_SYMBOLS_FIRST = getattr(os, "RTLD_DEEPBIND", 0)        # the engine brings libraries of its own, LLVM among them


def engine() -> Any:
    """The extension module: `connect(path)` gives a connection with `query(sql, format, params=...)` and `close()`."""
    loaded = sys.modules.get(_MODULE)
    if loaded is not None:
        return loaded
    path = location()
    if path is None:
        import chdb
        return chdb._chdb
    ctypes.CDLL(str(path), mode=sys.getdlopenflags() | _OWN_SYMBOLS_FIRST)
    loader = ExtensionFileLoader(_MODULE, str(path))
    found = importlib.util.spec_from_file_location(_MODULE, path, loader=loader)
    assert found is not None
    module = importlib.util.module_from_spec(found)
    loader.exec_module(module)
    sys.modules[_MODULE] = module           # should somebody import chdb later, it finds the same engine
    return module


def location() -> Path | None:
    """The engine's library; None where it lies elsewhere."""
    package = importlib.util.find_spec("chdb")
    for folder in package.submodule_search_locations or () if package is not None else ():
        path = Path(folder) / "_chdb.abi3.so"
        if path.is_file():
            return path
    return None
