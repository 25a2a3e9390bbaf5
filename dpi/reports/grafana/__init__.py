"""Grafana dashboards built from code: one file for each, `fullspan grafana` writes them for provisioning. See docs/grafana.md."""
from __future__ import annotations

import json
from collections.abc import Callable

from dpi.reports.grafana import applications, customers, health, links, names, quality, security
from dpi.reports.grafana.panels import Board, Say, rendered
from dpi.reports.grafana.sql import Place

BOARDS: tuple[Callable[[Say, tuple[Place, ...]], Board], ...] = (links.board, applications.board, quality.board, names.board, customers.board, security.board,
                                                                    health.board)
LANGUAGES = ("en", "zh")


def say(lang: str) -> Say:
    """What picks the words of a language."""
    return (lambda en, zh: zh) if lang == "zh" else (lambda en, zh: en)


def boards(lang: str, places: tuple[Place, ...] = ()) -> list[Board]:
    """Every dashboard in a language. places: the links of the settings, by which traffic is told apart."""
    return [make(say(lang), places) for make in BOARDS]


def files(lang: str, places: tuple[Place, ...] = ()) -> dict[str, str]:
    """File name -> dashboard as JSON, as Grafana provisions it."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    return {f"{board.name}.json": json.dumps(rendered(board, lang, say(lang)), cls=JSONEncoder, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
            for board in boards(lang, places)}


def grants(database: str) -> str:
    """SQL for the server's administrator: Grafana's user, what it may read, and how much of the server it may take."""
    from dpi.store.masked import READABLE

    lines = [f"GRANT SELECT ON {database}.{name} TO grafana;" for name in READABLE]
    return f"""-- Written by fullspan grafana. Run it once as an administrator of a ClickHouse server from 24.2 on, after Fullspan has made its tables there:
--   clickhouse-client --multiquery < grants.sql
-- Grafana's user reads views and rollups without personal addresses, and nothing else. Views run with the rights of the user that made them.
CREATE SETTINGS PROFILE IF NOT EXISTS grafana SETTINGS readonly = 1, max_execution_time = 20 CHANGEABLE_IN_READONLY, max_result_rows = 1000000,
    max_memory_usage = 4000000000;
CREATE USER IF NOT EXISTS grafana IDENTIFIED WITH sha256_password BY 'change me' SETTINGS PROFILE 'grafana';
REVOKE ALL ON *.* FROM grafana;
{chr(10).join(lines)}
"""
