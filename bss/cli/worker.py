"""`fullspan bss worker`: what is done without anybody waiting."""
from __future__ import annotations

import json
import logging
import signal
import threading

import click

from bss.cli.counter import acting, office_of
from bss.working import worker


@click.command()
@click.option("--once", is_flag=True, help="Do what is due, and end.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(ctx: click.Context, once: bool, as_json: bool) -> None:
    """Do jobs and duties (reminders, exports), send mail, and tell others of events.

    Any number may run: each job is done by one. It is stopped by SIGTERM or Ctrl-C, between two jobs.
    """
    acting(ctx, lambda desk: desk.demand("system.run"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    office = office_of(ctx)
    if once:
        done = worker.once(office)
    else:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        done = worker.run(office, stop)
    click.echo(json.dumps({"jobs": done}) if as_json else f"{done} jobs were done.")
