"""`fullspan bss keys`: the keys that personal fields are sealed under."""
from __future__ import annotations

import json

import click

from bss.cli.counter import acting, actor_of_command, office_of, show
from bss.keeping import keys
from bss.sealing import ring

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group()
def command() -> None:
    """Keys of sealed fields: list, rotate, drop."""


@command.command(name="list")
@as_json
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Keys, and how many values are under each."""
    found = acting(ctx, keys.used)
    held = ring()
    show([{"key": number, "in_force": number == held.current, "values": sum(of.values()),
           "of": of if as_json else ", ".join(f"{count} {name}" for name, count in sorted(of.items()))} for number, of in sorted(found.items())], as_json)


@command.command()
@click.option("--resume", is_flag=True, help="Make no new key: go on with sealing anew where it was stopped.")
@as_json
@click.pass_context
def rotate(ctx: click.Context, resume: bool, as_json: bool) -> None:
    """Put a new key in force and seal everything anew under it, while others work.

    Keep a copy of the key file afterwards: what is sealed from now on needs it.
    """
    office = office_of(ctx)
    actor = actor_of_command(ctx, office)
    number = ring().current if resume else office.act(actor, keys.rotate)
    click.echo(f"Key {number} is in force. Keep a copy of {office.settings.keys}.", err=True)
    count = keys.reseal(office, actor, lambda name, done: click.echo(f"  {name}: {done}", err=True))
    click.echo(json.dumps({"key": number, "resealed": count}) if as_json else f"{count} values were sealed anew under key {number}.")


@command.command()
@click.argument("number", type=int)
@click.option("--now", is_flag=True, help="Also right after a rotation: nothing else runs.")
@as_json
@click.pass_context
def drop(ctx: click.Context, number: int, now: bool, as_json: bool) -> None:
    """Take a key out of the ring that no value needs."""
    acting(ctx, lambda desk: keys.drop(desk, number, now))
    click.echo(json.dumps({"dropped": number}) if as_json else f"Key {number} is gone. Backups from before need the key file from before.")
