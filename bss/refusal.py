"""Why something is not done: what, where, how to mend it. Ways in say it in their own form (an exit code, a status, a page)."""
from __future__ import annotations

#: Kind -> status of HTTP.
STATUS = {"invalid": 400, "unauthorised": 401, "forbidden": 403, "missing": 404, "conflict": 409, "stale": 412, "large": 413, "unprocessable": 422,
          "locked": 423, "busy": 429, "away": 503}


class Refusal(Exception):
    """kind: of STATUS. what: one sentence; where: the field, row or file; mend: what would be right."""

    def __init__(self, kind: str, what: str, where: str = "", mend: str = "") -> None:
        self.kind, self.what, self.where, self.mend = kind, what, where, mend
        super().__init__(str(self))

    @property
    def status(self) -> int:
        """Of HTTP."""
        return STATUS[self.kind]

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.what}" + (f" ({self.mend})" if self.mend else "")
