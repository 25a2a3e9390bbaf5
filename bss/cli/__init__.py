"""`fullspan bss`: one command a file, found by its name; each has `command` (click)."""
from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import click

from bss.refusal import Refusal


class Commands(click.Group):
    """Commands looked up when asked for; what is refused ends with 2 and one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(one.name.removesuffix("_").replace("_", "-") for one in pkgutil.iter_modules([str(Path(__file__).parent)]) if one.name != "counter")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        name = cmd_name.replace("-", "_")
        name = name if (Path(__file__).parent / f"{name}.py").exists() else f"{name}_"       # `import` is a word of Python
        try:
            found: click.Command = importlib.import_module(f"{__name__}.{name}").command
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in ("bss", "dpi"):
                raise
            raise click.ClickException(f"the business layer needs {error.name}, which is not installed (pip install 'fullspan[bss]')") from None
        return found

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refusal as error:
            raise _Refused(error) from None


class _Refused(click.ClickException):
    """A refusal as the command line says it."""
    exit_code = 2

    def __init__(self, error: Refusal) -> None:
        super().__init__(str(error))


@click.group(cls=Commands)
@click.option("--config", type=click.Path(), envvar="FULLSPAN_BSS_CONFIG", help="Settings; default: ./bss.toml if it is there.")
@click.option("--as", "login", envvar="FULLSPAN_BSS_USER", help="Act as this user; default: the system, whoever can read the key file.")
@click.pass_context
def command(ctx: click.Context, config: str | None, login: str | None) -> None:
    """Customers, catalogue, orders, services and resources; tickets, service levels, rating and bills.

    Start with: fullspan bss init
    """
    ctx.obj = (config, login)


