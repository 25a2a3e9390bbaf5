"""The notice that the owner of a store leaves in its directory while it answers others: where it does, and how to tell that it is still the one."""
from __future__ import annotations

import contextlib
import http.client
import json
import os
from dataclasses import asdict
from pathlib import Path

from dpi.dataclass import dataclass

NAME = "answering.json"
HEADER = "X-Fullspan-Owner"     # of each answer: the owner's mark
_PATIENCE = 5                   # seconds an owner may take to say that it is there


@dataclass(frozen=True)
class Notice:
    """port: on 127.0.0.1; process: the owner's id; mark: said in each of its answers, so that another's port is not taken for it."""
    port: int
    process: int
    mark: str

    def put_up(self, path: Path) -> None:
        """Leave it in the store's directory, for its owner's eyes only (0600), whole or not at all. OSError where that can't be written."""
        beside = path / f"{NAME}.{self.process}"
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(self), file)
        beside.replace(path / NAME)

    def take_down(self, path: Path) -> None:
        """Remove it, where it is still this one."""
        if read(path) == self:
            with contextlib.suppress(OSError):
                (path / NAME).unlink()

    def stands(self) -> bool:
        """Whether its owner still answers there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            connection.request("GET", "/ping")
            answer = connection.getresponse()
            return answer.status == 200 and answer.getheader(HEADER) == self.mark
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def read(path: Path) -> Notice | None:
    """The notice in a store's directory, whether it still stands or not; None where there is none that can be read."""
    try:
        said = json.loads((path / NAME).read_text())
        notice = Notice(int(said["port"]), int(said["process"]), str(said["mark"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return notice if 0 < notice.port < 65536 else None


def standing(path: Path) -> Notice | None:
    """The notice of an owner that answers now; None for a store without one and for a notice left by an owner that is gone."""
    notice = read(path)
    return notice if notice is not None and notice.stands() else None
