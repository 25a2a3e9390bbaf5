"""`fullspan bss traps`: listens for SNMP traps, and takes them as alarms."""
from __future__ import annotations

import json
import logging
import signal
import threading

import click

from bss.cli.counter import acting, actor_of_command, office_of
from bss.settings import secret


@click.command()
@click.option("--community-file", required=True, type=click.Path(), help="A file whose first line is the community; mode 0600.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=162, show_default=True, type=click.IntRange(0, 65535), help="UDP port; below 1024 it takes a right.")
@click.option("--map", "known", type=click.Path(), help="TOML file that says what traps of vendors mean.")
@click.option("--seconds", type=click.FloatRange(0.1), help="End after so long.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(ctx: click.Context, community_file: str, host: str, port: int, known: str | None, seconds: float | None, as_json: bool) -> None:
    """Listen for SNMP v2c traps and informs, until SIGTERM or Ctrl-C, and take them as alarms.

    A device is the resource whose detail has its address. A community is no secret on the wire: let nobody else reach the port.
    """
    from bss.tickets.listener import Listener
    from bss.tickets.trap import meanings

    acting(ctx, lambda desk: desk.demand("alarm.write"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    office = office_of(ctx)
    listener = Listener(office, secret(community_file, "--community-file"), meanings(known), host, port, actor_of_command(ctx, office))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if seconds is not None:
        timer = threading.Timer(seconds, stop.set)
        timer.daemon = True
        timer.start()
    try:
        listener.run(stop)
    finally:
        listener.close()
    told = {"heard": listener.heard, "refused": listener.refused, "taken": listener.taken}
    click.echo(json.dumps(told) if as_json else f"{listener.heard} traps were heard, {listener.refused} refused, {listener.taken} taken.")
