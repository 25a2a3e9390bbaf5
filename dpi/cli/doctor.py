"""`fullspan doctor`: is everything here that Fullspan needs, and what would mend it?"""
from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from dpi.cli.finding import BAD, GOOD, NOTE, Finding
from dpi.errors import UserError

_DISK = 2 << 30             # free bytes below which a store is at risk
_FILES = 1024               # open files an embedded store may need


@click.command("doctor", short_help="Check that everything Fullspan needs is here.")
@click.option("--store", "url", metavar="URL", help="The store to look at.  [default: chdb:///fullspan.chdb, in the working directory]")
@click.option("--interface", "-i", "interfaces", metavar="NAME[,NAME...]", help="Interfaces of a probe to look at.  [default: those of the settings]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(url: str | None, interfaces: str | None, as_json: bool) -> int:
    """Check Python, the compiler and its cache, the store, tshark, disk space and limits, and of each interface that a probe is to read what changes
    its frames before they are read, and how to turn it off. Exit 1 where something is bad."""
    found = [*findings(url), *_receivers(), *_interfaces(interfaces)]
    if as_json:
        click.echo(json.dumps({"ok": all(one.state != BAD for one in found), "findings": [asdict(one) for one in found]}, indent=2))
    else:
        width = max(len(one.name) for one in found)
        colour = {GOOD: "green", NOTE: "yellow", BAD: "red"}
        for one in found:
            mend = f"  -> {one.mend}" if one.mend and one.state != GOOD else ""
            click.echo(f"{click.style(f'{one.state:<4}', fg=colour[one.state])}  {one.name:<{width}}  {one.detail}{mend}")
    return 1 if any(one.state == BAD for one in found) else 0


def _interfaces(asked: str | None) -> Iterator[Finding]:
    from dpi import settings
    from dpi.cli.interfaces import look

    try:
        names = settings.load().probe.interfaces if asked is None else asked
        yield from look([name.strip().removeprefix("pcap:") for name in names.split(",") if name.strip() not in ("", "any", "pcap:any")])
    except UserError:
        return              # of the settings, told already
    except Exception as error:
        yield Finding("interfaces", BAD, f"{type(error).__name__}: {error}")


def _receivers() -> Iterator[Finding]:
    """Of alerts: each is looked through, and nothing is sent."""
    from dataclasses import replace

    from dpi import settings
    from dpi.sinks.announcer import checked

    try:
        loaded = settings.load()
    except UserError:
        return              # told already
    for name, asked in loaded.alert.items():
        try:
            checked(replace(loaded, alert={name: asked}))
            yield Finding(f"alert.{name}", GOOD, f"{asked.type}, {'trusted' if asked.trusted else 'masked'}", f"fullspan alerts test {name} sends to it")
        except UserError as error:
            yield Finding(f"alert.{name}", BAD, f"{error.where}: {error.what}", error.mend)
        except Exception as error:      # its words may hold an address
            yield Finding(f"alert.{name}", BAD, type(error).__name__)


def findings(url: str | None) -> Iterator[Finding]:
    """Look at each thing in turn; a check that fails in an unforeseen way is a finding too."""
    checks: list[Callable[[], Finding]] = [_python, *(lambda name=name: _package(name) for name in ("numpy", "numba", "pyarrow")),
                                           _settings, _compiled, _rules, _engine, lambda: _store(url), _tshark, lambda: _disk(url), _files, _memory]
    for check in checks:
        try:
            yield check()
        except UserError as error:
            yield Finding(getattr(check, "__name__", "check").strip("_<>"), BAD, f"{error.where}: {error.what}" if error.where else error.what, error.mend)
        except Exception as error:      # a broken installation must still give a report
            yield Finding(getattr(check, "__name__", "check").strip("_<>"), BAD, f"{type(error).__name__}: {error}")


def _python() -> Finding:
    version = sys.version.split()[0]
    good = sys.version_info >= (3, 11)
    return Finding("python", GOOD if good else BAD, f"{version} ({sys.executable})", "Python 3.11 or later is needed")


def _package(name: str) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding(name, GOOD, version(name))
    except PackageNotFoundError:
        return Finding(name, BAD, "not installed", f"pip install {name}")


def _settings() -> Finding:
    from dpi import settings

    return Finding("settings", GOOD, settings.load().origin or "defaults (no fullspan.toml)")


def _compiled() -> Finding:
    from dpi import jit, native
    from dpi.cache import cache_directory

    folder = cache_directory()
    if jit.BUILD == "off":
        return Finding("kernels", NOTE, "compiling is switched off: everything runs as plain Python, slowly", "unset FULLSPAN_JIT and NUMBA_DISABLE_JIT")
    begun = folder
    while not begun.exists():
        begun = begun.parent
    if not os.access(begun, os.W_OK):
        return Finding("kernels", BAD, f"{folder} cannot be written", "set FULLSPAN_CACHE to a directory of your own")
    try:
        from dpi.engine import entries
        from dpi.rules import load
        every = entries(load())
    except ImportError as error:
        return Finding("kernels", BAD, f"cannot be imported: {error}")
    cold = len(native.stale(every))
    if cold:
        return Finding("kernels", NOTE, f"{cold} of {len(every)} not compiled yet, in {folder}", "the first replay compiles them, within a minute")
    if shutil.which("ld") is None:
        return Finding("kernels", NOTE, f"{len(every)} compiled, in {folder}; there is no linker, and every start takes 0.03 s longer", "install binutils")
    return Finding("kernels", GOOD, f"{len(every)} compiled, in {folder}")


def _rules() -> Finding:
    from dpi import rules

    errors = rules.check(())
    if errors:
        return Finding("rules", BAD, str(errors[0]), "see fullspan rules check")
    return Finding("rules", GOOD, "no errors")


def _engine() -> Finding:
    begun = time.perf_counter()
    import chdb

    return Finding("chdb", GOOD, f"{chdb.__version__}, engine {chdb.engine_version}, loaded in {time.perf_counter() - begun:.2f} s")


def _store(url: str | None) -> Finding:
    from dpi import settings
    from dpi.store import address, open_store

    name = url or settings.load().store.url
    where = address(name)
    if where.scheme == "none":
        return Finding("store", NOTE, "none: nothing is kept")
    if where.scheme == "chdb" and not where.path.exists():
        return Finding("store", NOTE, f"none yet at {where.path}", "fullspan replay FILE makes it")
    store = open_store(name, create=False, readonly=True)
    try:
        rows, captures = store.query("SELECT (SELECT count() FROM flows), (SELECT count() FROM captures FINAL)").rows[0]
    finally:
        store.close()
    return Finding("store", GOOD, f"{rows} flow rows of {captures} captures in {where.path if where.scheme == 'chdb' else store.url}")


def _tshark() -> Finding:
    found = shutil.which("tshark")
    if found is None:
        return Finding("tshark", NOTE, "not found: `fullspan flow` cannot show packets in detail", "apt-get install tshark")
    return Finding("tshark", GOOD, found)


def _disk(url: str | None) -> Finding:
    from dpi import settings
    from dpi.store import address

    where = address(url or settings.load().store.url)
    folder = where.path if where.scheme == "chdb" else Path.cwd()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("disk", GOOD if free > _DISK else NOTE, f"{free / 1e9:.1f} GB free at {folder}", "free some space: a store takes about 120 bytes a flow row")


def _files() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding("open files", GOOD if soft >= _FILES else NOTE, f"{soft} allowed ({hard} at most)", f"ulimit -n {_FILES}")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0))
    return Finding("machine", GOOD if total > 2 << 30 else NOTE, f"{total / 1e9:.1f} GB of memory, {cores} cores", "2 GB are wanted for a store and a report")
