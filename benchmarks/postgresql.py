"""A PostgreSQL of our own: started in a folder that goes away with it, for tests and proofs."""
from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, text


def programs() -> Path:
    """Where the server's programs are. RuntimeError: nowhere."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise RuntimeError("PostgreSQL is not here: apt-get install postgresql (make parts does)")
    return found[-1].parent


@contextlib.contextmanager
def server(fsync: bool = True, kept: Path | None = None) -> Iterator[str]:
    """URL of a server, without its database's name. fsync: as it is shipped; without it a test that has many databases is faster. kept: where its data
    stay and are found again; without it they go away."""
    where = programs()
    with contextlib.ExitStack() as stack:
        # a folder of its own: each run of pytest that begins takes the others' folders away from users that are not its own
        home = kept if kept is not None else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fullspan-pg-")))
        home.mkdir(exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        by = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        if by:
            shutil.chown(home, "postgres", "postgres")

        def run(program: str, *arguments: str) -> None:
            subprocess.run([*by, where / program, "-D", home / "data", *arguments], check=True, capture_output=True, cwd=home,
                           env={**os.environ, "LC_ALL": "C.UTF-8"})

        if not (home / "data").exists():
            run("initdb", "-U", "fullspan", "-A", "trust", "-E", "UTF8")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200" + ("" if fsync else " -c fsync=off")
        run("pg_ctl", "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://fullspan@127.0.0.1:{port}/"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")


def database(server: str, name: str) -> str:
    """URL of a new database."""
    engine = create_engine(server + "postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server + name
