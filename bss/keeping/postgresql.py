"""PostgreSQL's own programs, for a copy of a database and its way back."""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import make_url

from bss.refusal import Refusal


def dump(url: str, target: Path) -> None:
    """A consistent copy, as of one moment, while others write."""
    _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


def restore(url: str, source: Path) -> None:
    """Put a copy into an empty database, whole or not at all."""
    _run("pg_restore", url, "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", f"--dbname={make_url(url).database}", str(source))


def _run(program: str, url: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise Refusal("away", f"{program} is not here", mend="install the client programs of PostgreSQL, of the server's version or later")
    done = subprocess.run([found, "--no-password", *arguments], env={**os.environ, **_environment(url)}, capture_output=True, text=True)
    if done.returncode:
        raise Refusal("away", f"{program} ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['nothing said'])[0][:300]}",
                      mend="its version is to be the server's or later")


def _environment(url: str) -> dict[str, str]:
    """Where the database is, as these programs are told: not on the command line, where everybody could read a password."""
    told = make_url(url)
    given = {"PGHOST": told.host, "PGPORT": told.port, "PGUSER": told.username, "PGPASSWORD": told.password, "PGDATABASE": told.database,
             **{f"PG{name.upper()}": value for name, value in told.query.items() if name in ("sslmode", "sslrootcert", "host", "port")}}
    return {name: str(value) for name, value in given.items() if value is not None}
