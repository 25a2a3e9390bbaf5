"""A new embedded store is a copy of an empty one that was kept beside the kernels: making its tables takes the engine longer than opening them."""
from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from dpi.cache import cache_directory
from dpi.store import tables

REPLAYED, WHOLE = "replayed", "whole"       # with the tables that replays write; with all that a store has to which rows don't come day and night
_LEFT_OUT = {"status", "tmp", "metadata_dropped"}       # of the process that has it open


class Blank:
    """The kept copy for one engine and one schema."""

    def __init__(self, engine: str, which: str) -> None:
        """engine: path of the engine's library; another one keeps another copy. which: REPLAYED or WHOLE."""
        about = os.stat(engine)
        key = hashlib.sha256(f"{tables.digest(live=False, whole=which == WHOLE)} {about.st_size} {about.st_mtime_ns}".encode()).hexdigest()[:16]
        self._file = cache_directory() / "stores" / f"{key}.json"

    def copy(self, path: Path) -> bool:
        """Fill the empty directory `path`, whole or not at all. False: nothing is kept, or it can't be read or written here."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            kept = json.loads(self._file.read_bytes())
            beside.mkdir()
            for name in kept["directories"]:
                os.mkdir(beside / name)
            for name, text in kept["files"].items():
                (beside / name).write_bytes(text.encode("latin-1"))
            for name, target in kept["links"].items():
                os.symlink(target, beside / name)
            os.rename(beside, path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            if beside.is_dir():
                _remove(beside)
            return False
        return True

    def keep(self, path: Path) -> None:
        """Keep a copy of the store at `path`, which has been made and has no rows. Where that can't be, nothing is kept."""
        directories: list[str] = []
        files: dict[str, str] = {}
        links: dict[str, str] = {}
        beside = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            for folder, inner, names in os.walk(path):
                at = Path(folder).relative_to(path)
                inner[:] = [name for name in inner if not (at == Path() and name in _LEFT_OUT)]
                for name in inner:
                    if (Path(folder) / name).is_symlink():
                        links[str(at / name)] = os.readlink(Path(folder) / name)
                    else:
                        directories.append(str(at / name))
                files.update({str(at / name): (Path(folder) / name).read_bytes().decode("latin-1") for name in names if name not in _LEFT_OUT})
            if any(Path(target).is_absolute() for target in links.values()):
                return
            self._file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps({"directories": directories, "files": files, "links": links}))
            os.replace(beside, self._file)
        except OSError:
            beside.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
