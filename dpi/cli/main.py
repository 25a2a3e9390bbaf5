"""The `fullspan` command: finds its subcommands, and turns every way a command can end into a line and an exit code.

0 done; 1 finished, but an input was cut, damaged or skipped, or a rule was refused; 2 wrong use or configuration; 130 interrupted.
Subcommands are entry points of the group `fullspan.commands`; a command's module is imported when it is asked for, so nothing heavy may be
imported at the top of one.
"""
from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from dpi import ending
from dpi.cli import modules
from dpi.errors import UserError

GROUP = "fullspan.commands"
_GARBAGE = 50_000               # objects that a command makes between two looks for garbage
#: What the package itself brings, so that a checkout works before it is installed.
OWN = ("replay", "probe", "report", "usage", "query", "flow", "rules", "grafana", "doctor", "audit", "hold", "whois", "alerts")


def _found() -> dict[str, str]:
    """Command name -> 'module:attribute'."""
    from importlib.metadata import entry_points

    return {one.name: one.value for one in entry_points(group=GROUP)} | {name: f"dpi.cli.{name}:command" for name in OWN}


class Commands(click.Group):
    """Subcommands looked up when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_found()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        # its own commands are not looked for among all that is installed: that takes longer than many of them do
        where = None if own else f"dpi.cli.{cmd_name}:command" if cmd_name in OWN else _found().get(cmd_name)
        if own or where is None:
            return own
        from importlib import import_module

        module, _, attribute = where.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


def _version(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from dpi import __version__

        click.echo(__version__)
        ctx.exit()


#: Options that settings give a default to: parameter name -> section and name.
_FROM_SETTINGS = {"store_url": ("store", "url"), "url": ("store", "url"), "lang": ("report", "lang")}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Say which application every flow of a capture or mirrored port belongs to, keep the evidence, answer questions about it.

    Start with: fullspan replay FILE
    """
    from dpi import settings

    if ending.soon:
        gc.freeze()         # what a start makes stays as long as its process
        gc.set_threshold(_GARBAGE)
    loaded, plain = settings.load(), settings.Settings()
    defaults = {parameter: getattr(getattr(loaded, section), name) for parameter, (section, name) in _FROM_SETTINGS.items()
                if getattr(getattr(loaded, section), name) != getattr(getattr(plain, section), name)}
    if defaults and ctx.invoked_subcommand:
        inner = ctx.command.get_command(ctx, ctx.invoked_subcommand) if isinstance(ctx.command, click.Group) else None
        below = {name: defaults for name in inner.list_commands(ctx)} if isinstance(inner, click.Group) else {}
        ctx.default_map = {ctx.invoked_subcommand: {**defaults, **below}}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; nothing but a bug in the program raises."""
    try:
        result: Any = cli.main(args=None if arguments is None else list(arguments), prog_name="fullspan", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except UserError as error:
        click.echo(f"fullspan: {error}", err=True)
        return 2
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        where = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"fullspan: {error.format_message()}{where}", err=True)
        return 2
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1 if done.code else 0
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:         # the reader of our output went away: `fullspan query | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:        # what is asked of files is told where it is asked: this is the output
        click.echo(f"fullspan: {error.filename or 'standard output'}: {error.strerror or error} (see that it can be written)", err=True)
        return 2


def main() -> None:
    """The console script."""
    # tables grow as flows come: small pages are zeroed as they are touched, of huge ones most would be zeroed for nothing (numpy asks for them)
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # numpy would start a thread for each core, for algebra that nothing here does
    ending.soon = True
    code = run()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    if modules is not None and code < 2:
        with contextlib.suppress(Exception, KeyboardInterrupt):     # all is done that was asked for
            modules.keep()
    ending.end()
    os._exit(code)          # all is written and closed; taking objects, libraries and threads down in order takes longer than a small replay


if __name__ == "__main__":
    main()
