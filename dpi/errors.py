"""The one error a person sees."""
from __future__ import annotations


class UserError(Exception):
    """Wrong use, input or configuration: what is wrong, where, and how to mend it. Shown as one line; the command exits with 2."""

    def __init__(self, what: str, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line} ({self.mend})" if self.mend else line
