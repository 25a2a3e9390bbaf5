"""The dashboards as files: what Grafana would read, by the SDK's own classes, without a store."""
from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from dpi.cli.main import run
from dpi.reports import grafana
from dpi.reports.grafana.panels import KINDS, PLUGIN, Board
from dpi.reports.grafana.sql import Place
from dpi.schema import TABLES
from dpi.store.masked import LEFT_OUT, READABLE, VIEWS
from tests.reports.grafana.plugin import ALL, Look, conditions, expanded

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy" / "grafana"
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
PLACES = (Place("core (north), 'A'", "eth1", "p1", "N", 10**9), Place("edge", site="S"))
ALL_BOARDS = [(lang, board) for lang in grafana.LANGUAGES for board in grafana.boards(lang)]
NAMES = [f"{lang}-{board.name}" for lang, board in ALL_BOARDS]


def loaded(lang: str, board: Board) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(grafana.files(lang)[f"{board.name}.json"])
    return found


def queries(board: Board) -> list[str]:
    return [panel.sql for panel in board.panels] + [one.sql for one in board.variables if one.sql] + [mark.sql for mark in board.marks]


def test_what_is_deployed_is_what_the_code_writes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["grafana", "--out", str(DEPLOY), "--check"]) == 0, capsys.readouterr().err
    held = {str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*.json")}
    assert held == {f"dashboards/{lang}/{board.name}.json" for lang, board in ALL_BOARDS}
    assert run(["grafana", "--out", str(tmp_path), "--lang", "zh", "--database", "d1"]) == 0
    assert (tmp_path / "dashboards/zh/links.json").read_text() == (DEPLOY / "dashboards/zh/links.json").read_text()
    assert not (tmp_path / "dashboards/en").exists() and "ON d1.links_1m TO" in (tmp_path / "grants.sql").read_text()
    (tmp_path / "dashboards/zh/links.json").write_text("{}")
    assert run(["grafana", "--out", str(tmp_path), "--lang", "zh", "--database", "d1", "--check"]) == 1
    assert "links.json is not what" in capsys.readouterr().err
    assert run(["grafana", "--out", str(tmp_path), "--database", "a; DROP"]) == 2


@pytest.mark.parametrize("lang, board", ALL_BOARDS, ids=NAMES)
def test_the_sdk_reads_what_it_wrote(lang: str, board: Board) -> None:
    """All but an annotation's query, of which the SDK knows only Grafana's own kind."""
    register_default_plugins()
    written = loaded(lang, board)
    again = json.loads(json.dumps(models.Dashboard.from_json(written), cls=JSONEncoder))
    marks = [mark.pop("target") for mark in written["annotations"]["list"]]
    for mark in again["annotations"]["list"]:
        mark.pop("target")
    assert again == written
    assert [mark["rawSql"] for mark in marks] == [mark.sql for mark in board.marks]


@pytest.mark.parametrize("lang, board", ALL_BOARDS, ids=NAMES)
def test_a_dashboard_is_whole(lang: str, board: Board) -> None:
    written = loaded(lang, board)
    panels = written["panels"]
    assert len(panels) == len(board.panels) >= 9 and len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells = [panel["gridPos"] for panel in panels]
    assert all(cell["x"] >= 0 and cell["x"] + cell["w"] <= 24 and cell["w"] > 0 and cell["h"] > 0 for cell in cells)
    for one, other in combinations(cells, 2):
        assert (one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]), (one, other)
    for panel, drawn in zip(board.panels, panels, strict=True):
        query, = drawn["targets"]
        assert query["datasource"] == drawn["datasource"] == {"type": PLUGIN, "uid": "${datasource}"}
        assert query["rawSql"] == panel.sql and query["format"] == (0 if panel.kind in ("series", "heatmap") else 1)
        assert drawn["title"] and len(drawn["description"]) >= 3 and panel.kind in KINDS
        named = {one["matcher"]["options"]: {it["id"]: it.get("value") for it in one["properties"]} for one in drawn["fieldConfig"].get("overrides", [])}
        assert (panel.kind == "table") == bool(named) and set(named) == set(panel.columns)
        for unit in (drawn["fieldConfig"]["defaults"]["unit"], *(properties["unit"] for properties in named.values())):
            assert unit in UNITS, (panel.title, unit)
    defined = {one["name"] for one in written["templating"]["list"]}
    used = {name for sql in queries(board) for name in re.findall(r"\$\{(\w+)", sql)} | {"datasource"}
    assert used == defined
    assert written["uid"] == f"fullspan-{board.name}-{lang}" and written["tags"] == ["fullspan", lang]


def test_both_languages_show_the_same() -> None:
    """Panel for panel; the SQL differs in words for people only."""
    def bare(text: str) -> str:
        return re.sub(r"'(?:[^'\\]|\\.)*'", "''", text)

    for english, chinese in zip(grafana.boards("en", PLACES), grafana.boards("zh", PLACES), strict=True):
        assert [(one.kind, one.unit, one.width, one.height, bare(one.sql)) for one in english.panels] == [
            (one.kind, one.unit, one.width, one.height, bare(one.sql)) for one in chinese.panels]
        assert re.search("[\u4e00-\u9fff]|TLS", chinese.title) and not re.search("[\u4e00-\u9fff]", json.dumps(grafana.files("en"), ensure_ascii=False))
        assert [one.title for one in chinese.panels if not re.search("[\u4e00-\u9fff]", one.title)] in ([], ["ALPN"])
        assert all(re.search("[\u4e00-\u9fff]", one.words) for one in chinese.panels)


@pytest.mark.parametrize("lang, board", ALL_BOARDS, ids=NAMES)
def test_only_views_and_rollups_are_read(lang: str, board: Board) -> None:
    for sql in queries(board):
        read = set(re.findall(r"\b(?:FROM|(?<!ARRAY )JOIN)\s+([a-z_]\w*)", sql))
        assert read and read <= set(READABLE), (board.name, read - set(READABLE))


def test_what_may_be_read_names_nobody() -> None:
    """No address, MAC, customer or service of any table comes through a view; what is a person's column by its kind is left out or masked."""
    for column in TABLES["flows"].columns:
        if column.kind in ("ip", "mac") or column.name.endswith(("_customer_id", "_service_id")):
            assert column.name in LEFT_OUT or column.name in ("client_ip", "server_ip"), column.name
    for name in READABLE:
        if name not in VIEWS:
            assert not {one.name for one in TABLES[name].columns} & {"client_ip", "server_ip", "customer_id", "service_id", "user", "path", "query_name"}
    grants = (DEPLOY / "grants.sql").read_text()
    assert set(re.findall(r"GRANT SELECT ON fullspan\.(\w+) TO grafana;", grants)) == set(READABLE) and grants.count("GRANT") == len(READABLE)


def test_provisioning_names_what_is_there() -> None:
    provider = (DEPLOY / "provisioning/dashboards/fullspan.yaml").read_text()
    assert re.findall(r"path: /var/lib/grafana/dashboards/fullspan/(\w+)", provider) == list(grafana.LANGUAGES)
    for name in ("fullspan.yaml", "fullspan-probe.yaml.example"):
        text = (DEPLOY / "provisioning/datasources" / name).read_text()
        assert f"type: {PLUGIN}\n" in text and "apiVersion: 1\n" in text and "\t" not in text


def test_the_plugins_macros_as_its_documentation_has_them() -> None:
    look = Look(1_415_792_726, 1_447_328_726, {"a": ["x", "it's"], "b": ALL, "c": "7"})
    assert expanded("SELECT $__timeInterval(t) FROM x WHERE $__timeFilter(t) AND y > $__fromTime AND z < $__toTime / $__interval_s", look, 20) == (
        "SELECT toStartOfInterval(toDateTime(t), INTERVAL 20 second) FROM x WHERE t >= toDateTime(1415792726) AND t <= toDateTime(1447328726) "
        "AND y > toDateTime(1415792726) AND z < toDateTime(1447328726) / 20")
    assert expanded("$__conditionalAll(f(a, 1) IN (${a:sqlstring}), $a) AND $__conditionalAll(b IN (${b:sqlstring}), $b)", look, 1) == (
        "f(a, 1) IN ('x','it''s') AND 1=1")
    assert conditions("$__conditionalAll(a = 1, $a)", {"a": ""}) == "1=1"
    for wrong in ("SELECT $__nothing", "SELECT ${other}", "SELECT $__timeFilter(t"):
        with pytest.raises(ValueError):
            expanded(wrong, look, 1)
    assert [Look(0, span).interval(720, 60) for span in (3600, 86400, 7 * 86400, 30 * 86400)] == [60, 120, 900, 3600]
