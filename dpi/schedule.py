"""Reports that are made by themselves: when one is due, of which time, and what has been made already.

`run_due` may be called as often as one likes, by a timer or by a probe: a report is made once for each moment at which it is due; after a time in which
nothing ran, once for the last of them. What is to be mailed is on disk (dpi/outbox.py) before it counts as made.
"""
from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.outbox import Attachment, Outbox
from dpi.reports.asking import make_asked, zone_of
from dpi.reports.formats import formats, save, suffix, written
from dpi.reports.language import LANGUAGES, Language
from dpi.reports.named import names
from dpi.reports.period import following, local, microseconds, start_of
from dpi.settings import Schedule, Settings
from dpi.store import Store

log = logging.getLogger("dpi.reports")
_FIELDS = {"daily": "* * *", "weekly": "* * 1", "monthly": "1 * *"}
_UNITS = {"daily": "day", "weekly": "week", "monthly": "month"}
#: Seconds until a report that could not be made is tried again.
_AGAIN = (60, 300, 900, 3600)


@dataclass(frozen=True)
class Due:
    """A schedule that was looked through: what it asks for is there."""
    name: str
    reports: tuple[str, ...]
    cron: str
    unit: str                   # day, week or month that ended before; '' with `period`
    period: str
    by: str
    forms: tuple[str, ...]
    languages: tuple[str, ...]
    directory: Path | None
    recipients: tuple[str, ...]

    def last(self, now: int, zone: ZoneInfo) -> int:
        """The last moment (us) at or before `now` at which it was due."""
        from cronsim import CronSim

        # looking back, a moment that is `now` itself would be passed over
        return microseconds(next(CronSim(self.cron, local(now + 60_000_000, zone).replace(second=0, microsecond=0), reverse=True)))

    def span(self, moment: int, zone: ZoneInfo) -> tuple[str, str | None]:
        """--from and --to of what is due at `moment`."""
        if self.period:
            return self.period, None
        end = start_of(self.unit, local(moment, zone))
        return _written(following(self.unit, end, -1)), _written(end)


def _written(moment: datetime) -> str:
    return moment.isoformat()


def read(name: str, asked: Schedule, settings: Settings) -> Due:
    """Look a schedule through. UserError names what is wrong with it."""
    from cronsim import CronSim, CronSimError

    where = f"[schedules.{name}]"
    reports = _among(asked.report, names(), "report", where)
    forms = _among(asked.format, formats(), "format", where)
    languages = _among(asked.lang or settings.report.lang, list(LANGUAGES), "lang", where)
    cron = asked.every
    if asked.every in _FIELDS:
        try:
            clock = datetime.strptime(asked.at, "%H:%M")
        except ValueError:
            raise UserError(f"at is {asked.at!r}", where, "write a time of day as 06:00") from None
        cron = f"{clock.minute} {clock.hour} {_FIELDS[asked.every]}"
    try:
        next(CronSim(cron, datetime(2026, 1, 1), reverse=True))
    except (CronSimError, StopIteration):
        raise UserError(f"every is {asked.every!r}", where, "write daily, weekly, monthly or five fields as in crontab, such as 30 6 * * 1-5") from None
    to = [one.strip() for one in asked.to.split(",") if one.strip()]
    mailed = [one for one in to if "@" in one and "/" not in one]
    if not to or mailed and len(mailed) != len(to):
        raise UserError("it goes nowhere" if not to else "it goes to addresses and elsewhere", where, "name a directory, or mail addresses, in `to`")
    if any(any(letter.isspace() or letter in "<>" or not letter.isprintable() for letter in one) or one.count("@") != 1 or not one.isascii() for one in mailed):
        raise UserError(f"not mail addresses: {asked.to!r}", where, "write them as noc@example.com, separated by commas, a domain of other letters as xn--...")
    if mailed and not (settings.mail.host and settings.mail.sender):
        raise UserError("mail has no server or no sender", where, "give [mail] host and sender")
    if not mailed and len(to) > 1:
        raise UserError("it goes to one directory", where, "name one, or mail addresses")
    return Due(name, reports, cron, _UNITS.get(asked.every, "day"), asked.period, asked.by, forms, languages, None if mailed else Path(to[0]), tuple(mailed))


def _among(words: str, known: list[str], what: str, where: str) -> tuple[str, ...]:
    asked = tuple(word.strip() for word in words.split(",") if word.strip())
    if not asked or set(asked) - set(known):
        raise UserError(f"{what} is {words!r}", where, f"it may be {', '.join(known)}; several are separated by commas")
    return asked


class State:
    """What was made: a file beside its outbox. One run at a time holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outbox = Outbox(path.with_name(f"{path.name}.outbox"))

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Whether this run may go on; False while another has it. UserError where it can't be written."""
        try:
            lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UserError(f"what was made can't be noted: {error.strerror}", str(self.path), "name another file with --state") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(lock)

    def load(self) -> dict[str, dict[str, int]]:
        """Schedule -> `done` (the last moment it was made for), `made`, `failed`, `tries` and `next` of the one that failed. A damaged file is an error."""
        try:
            found = json.loads(self.path.read_text())
            return {str(name): {str(key): int(value) for key, value in one.items()} for name, one in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise UserError(f"what was made can't be read: {error}", str(self.path), "move it away: reports of the last moment will be made again") from None

    def keep(self, told: dict[str, dict[str, int]]) -> None:
        """Whole or not at all, on disk when it returns."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with beside.open("w") as file:
                json.dump(told, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise UserError(f"what was made can't be noted: {error.strerror}", str(self.path), "make room, or name another file with --state") from None


def run_due(settings: Settings, state: State, store: Callable[[], Store], now: int = 0) -> tuple[int, int, int]:
    """Make what is due and send what waits; how many were made, sent and failed. Failures are lines of the log and are tried again.

    UserError for a schedule with a fault: nothing is made then."""
    now, zone = now or time.time_ns() // 1000, zone_of(settings)
    due = [read(name, one, settings) for name, one in settings.schedules.items()]
    with state.held() as free:
        if not free:
            return 0, 0, 0
        told, made, failed = state.load(), 0, 0
        for one in due:
            known = told.setdefault(one.name, {})
            moment = one.last(now, zone)
            if known.get("done", 0) >= moment or known.get("next", 0) > now:
                continue
            try:
                _make(one, settings, state.outbox, store, moment, zone)
                known.update(done=moment, made=known.get("made", 0) + 1, tries=0, next=0)
                made += 1
                log.info("report made", extra={"schedule": one.name, "due": f"{local(moment, zone):%Y-%m-%dT%H:%M}"})
            except Exception as error:      # whatever it is: other reports are made, and what waits is sent, all the same
                tries = known.get("tries", 0)
                known.update(failed=known.get("failed", 0) + 1, tries=tries + 1, next=now + _AGAIN[min(tries, len(_AGAIN) - 1)] * 1_000_000)
                failed += 1
                log.error("report not made", extra={"schedule": one.name, "reason": str(error) or type(error).__name__, "tries": tries + 1},
                          exc_info=None if isinstance(error, UserError) else error)
            state.keep(told)
        sent, refused = state.outbox.send(settings.mail, now)
        return made, sent, failed + refused


def _make(one: Due, settings: Settings, outbox: Outbox, store: Callable[[], Store], moment: int, zone: ZoneInfo) -> None:
    """All its documents, then to the directory or into the outbox. UserError where any of them can't be."""
    if one.directory is not None and not one.directory.is_dir():
        raise UserError("there is no such directory", str(one.directory), "make it first")
    since, until = one.span(moment, zone)
    opened = store()
    try:
        found = [make_asked(opened, settings, name, since, until, by=one.by, now=moment)[0] for name in one.reports]
    finally:
        opened.close()
    mails: list[tuple[str, str, str, list[Attachment]]] = []        # all of them before the first is kept: what is there goes out
    for code in one.languages:
        say = Language(code, zone)
        begin = local(found[0].begin, zone)
        stamp = f"{begin:%Y-%m-%d}" if begin == start_of("day", begin) else f"{begin:%Y-%m-%d-%H%M}"
        if microseconds(following("day", start_of("day", begin))) < found[0].end:       # a week is not to take the place of its Monday
            stamp += f"--{local(found[0].end - 1, zone):%Y-%m-%d}"
        by = f"-by-{one.by}" if one.by else ""
        files = [Attachment(f"{report.name}{by}-{stamp}.{code}{suffix(form)}", form, written(report, form, say)) for report in found for form in one.forms]
        if one.directory is not None:
            for file in files:
                save(file.content, one.directory / file.name, f"[schedules.{one.name}] to")
            continue
        title = say("unit.comma").join(report.title(say) for report in found)
        lines = [f"{report.title(say)}: {report.statement.verdict.text(say)}" for report in found]
        lines += [note(say) for report in found for note in report.notes]
        mails.append((f"{one.name}-{moment // 1_000_000}-{code}", f"{title} {stamp}", "\n".join(lines) + "\n", files))
    try:
        for name, subject, text, files in mails:
            outbox.put(name, settings.mail.sender, one.recipients, subject, text, files, moment)
    except UserError:
        for name, *_ in mails:
            outbox.take_back(name)
        raise
