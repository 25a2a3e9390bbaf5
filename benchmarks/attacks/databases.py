"""Databases whose passwords are guessed: PostgreSQL, MariaDB, Redis."""
from __future__ import annotations

from pathlib import Path

from benchmarks.attacks.place import Place
from benchmarks.attacks.servers import PASSWORD, USER


def postgres(place: Place, host: str) -> None:
    """PostgreSQL without TLS that asks everybody for a password (SCRAM)."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    data = place.folder / f"postgres-{host}"
    data.mkdir()
    (place.folder / "password").write_text(PASSWORD)
    place.run(host, ["chown", "postgres:postgres", data])
    line = [programs / "initdb", "-N", "-D", data, "-U", USER, "--pwfile", place.folder / "password", "-A", "scram-sha-256"]
    place.run(host, line, user="postgres", seconds=60)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
    place.start(host, [programs / "postgres", "-D", data, "-h", "*", "-k", data, "-c", "fsync=off", "-c", "shared_buffers=16MB"], tcp=5432, user="postgres")


def mariadb(place: Place, host: str) -> None:
    """MariaDB with one user."""
    data, start = place.folder / f"maria-{host}", place.folder / "start.sql"
    place.run(host, ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=mysql", "--skip-test-db",
                     "--auth-root-authentication-method=normal"], seconds=90)
    start.write_text(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}';\n")
    place.start(host, ["mariadbd", "--no-defaults", f"--datadir={data}", "--user=mysql", "--bind-address=*", f"--socket={data}/socket",
                       f"--pid-file={data}/pid", f"--init-file={start}", "--skip-name-resolve", "--innodb-buffer-pool-size=16M"], tcp=3306, seconds=60)


def redis(place: Place, host: str) -> None:
    """Redis with a password, nothing kept."""
    place.start(host, ["redis-server", "--bind", "*", "--save", "", "--protected-mode", "no", "--requirepass", PASSWORD, "--dir", place.folder], tcp=6379)
