"""The kinds of panels, and what a dashboard is made of them: data first, then the objects of grafana-foundation-sdk.

A kind promises a shape of rows, which tests hold every panel to:
series   time, series (text), value: a line for each series
heatmap  time, then a number for each bucket, least first
table    any columns, each with a title
bars     name (text), value: a bar for each name
stat     value, one row
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, stat, timeseries
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.runtime import UnknownDataquery
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models import units

from dpi.dataclass import dataclass

PLUGIN, VERSION = "grafana-clickhouse-datasource", "4.20.0"
SOURCE = models.DataSourceRef(type_val=PLUGIN, uid="${datasource}")
WIDTH = 24
SERIES, TABLE = 0, 1            # formats of the plugin's queries

Say = Callable[[str, str], str]     # what is said in English and in Chinese -> the one of the language that is built


@dataclass(frozen=True)
class Column:
    """Of a table: its title and its unit."""
    title: str
    unit: str = units.NoUnit
    decimals: int | None = None


@dataclass(frozen=True)
class Panel:
    """What is shown where. words: which question it answers. width of 24; limits: values from which it is amber, then red."""
    kind: str
    title: str
    words: str
    sql: str
    unit: str = units.NoUnit
    width: int = 12
    height: int = 8
    columns: Mapping[str, Column] = field(default_factory=dict)
    stacked: bool = False
    limits: tuple[float, float] | None = None
    least: float | None = 0
    most: float | None = None


@dataclass(frozen=True)
class Variable:
    """A choice at the head of a dashboard. sql: its values; without, a field to type in, with `value` in it."""
    name: str
    label: str
    sql: str = ""
    value: str = ""


@dataclass(frozen=True)
class Mark:
    """An annotation: rows of time, timeEnd, text, tags."""
    name: str
    sql: str
    colour: str = "red"


@dataclass(frozen=True)
class Board:
    """A dashboard. name: of its file and its address."""
    name: str
    title: str
    words: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    marks: tuple[Mark, ...] = ()
    since: str = "now-24h"


@dataclass
class _Target(Builder[UnknownDataquery]):
    """A query of the plugin, which the SDK has no class for."""
    sql: str
    form: int

    def build(self) -> UnknownDataquery:
        return UnknownDataquery(target(self.sql, self.form))


class _Marked(models.AnnotationTarget):
    """The query of an annotation, likewise."""

    def __init__(self, sql: str) -> None:
        super().__init__()
        self.sql = sql

    def to_json(self) -> dict[str, object]:
        return {**target(self.sql, TABLE), "refId": "annotation"}


@dataclass
class _MarkedBuilder(Builder[models.AnnotationTarget]):
    sql: str

    def build(self) -> models.AnnotationTarget:
        return _Marked(self.sql)


def target(sql: str, form: int) -> dict[str, Any]:
    """A query as the plugin keeps it."""
    return {"refId": "A", "datasource": {"type": PLUGIN, "uid": "${datasource}"}, "editorType": "sql", "queryType": "timeseries" if form == SERIES else "table",
            "format": form, "pluginVersion": VERSION, "rawSql": sql}


def form(panel: Panel) -> int:
    """The format of a panel's query."""
    return SERIES if panel.kind in ("series", "heatmap") else TABLE


def _shared(builder: Any, panel: Panel) -> Any:
    built = builder.title(panel.title).description(panel.words).datasource(SOURCE).with_target(_Target(panel.sql, form(panel))).unit(panel.unit)
    if panel.limits:
        steps = [models.Threshold(value=None, color="green"), models.Threshold(value=panel.limits[0], color="orange"),
                 models.Threshold(value=panel.limits[1], color="red")]
        built = built.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    return built


def _series(panel: Panel) -> Any:
    legend = common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.TABLE).placement(shapes.LegendPlacement.RIGHT).show_legend(True).calcs(["mean",
          "max"])
    built = (_shared(timeseries.Panel(), panel).display_name("${__field.labels.series}").interval("1m").max_data_points(720).legend(legend)
             .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
             .line_width(1).fill_opacity(40 if panel.stacked else 10).show_points(shapes.VisibilityMode.NEVER))
    if panel.stacked:
        built = built.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
    if panel.limits:
        built = built.thresholds_style(common.GraphThresholdsStyleConfig().mode(shapes.GraphTresholdsStyleMode.LINE))
    if panel.least is not None:
        built = built.min(panel.least)
    return built if panel.most is None else built.max(panel.most)


def _heatmap(panel: Panel) -> Any:
    colours = (heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Oranges").scale(heat.HeatmapColorScale.EXPONENTIAL)
               .exponent(0.5).steps(64))
    return (_shared(heatmap.Panel(), panel).calculate(False).interval("5m").max_data_points(240).color(colours)
            .rows_frame(heatmap.RowsHeatmapOptions().layout(shapes.HeatmapCellLayout.GE)).show_legend().show_tooltip()
            .hide_from(common.HideSeriesConfig().tooltip(False).legend(False).viz(False)))


def _table(panel: Panel) -> Any:
    built = _shared(tables.Panel(), panel).cell_height(shapes.TableCellHeight.SM)
    for name, column in panel.columns.items():
        properties = [models.DynamicConfigValue("displayName", column.title), models.DynamicConfigValue("unit", column.unit)]
        if column.decimals is not None:
            properties.append(models.DynamicConfigValue("decimals", column.decimals))
        built = built.override_by_name(name, properties)
    return built


def _bars(panel: Panel) -> Any:
    rows = common.ReduceDataOptions().values(True).calcs(["lastNotNull"]).limit(20)
    built = (_shared(bargauge.Panel(), panel).reduce_options(rows).orientation(shapes.VizOrientation.HORIZONTAL)
             .display_mode(shapes.BarGaugeDisplayMode.BASIC).show_unfilled(True))
    if panel.least is not None:
        built = built.min(panel.least)
    return built if panel.most is None else built.max(panel.most)


def _stat(panel: Panel) -> Any:
    return (_shared(stat.Panel(), panel).reduce_options(common.ReduceDataOptions().values(False).calcs(["lastNotNull"]))
            .graph_mode(shapes.BigValueGraphMode.NONE).color_mode(shapes.BigValueColorMode.VALUE))


KINDS: dict[str, Callable[[Panel], Any]] = {"series": _series, "heatmap": _heatmap, "table": _table, "bars": _bars, "stat": _stat}


def places(panels: Iterable[Panel]) -> list[models.GridPos]:
    """Where each panel stands: from left to right, and a new line where one does not fit."""
    out, across, down, tallest = [], 0, 0, 0
    for panel in panels:
        if across + panel.width > WIDTH:
            across, down, tallest = 0, down + tallest, 0
        out.append(models.GridPos(h=panel.height, w=panel.width, x=across, y=down))
        across, tallest = across + panel.width, max(tallest, panel.height)
    return out


def _variable(one: Variable) -> Any:
    if not one.sql:
        return dashboard.TextBoxVariable(one.name).label(one.label).default_value(one.value)
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    return (dashboard.QueryVariable(one.name).label(one.label).query(one.sql).datasource(SOURCE).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True).include_all(True).current(everything))


def rendered(board: Board, folder: str, say: Say) -> models.Dashboard:
    """The dashboard as the SDK holds it. folder: distinguishes the addresses of one language from those of another."""
    built = (dashboard.Dashboard(board.title).uid(f"fullspan-{board.name}-{folder}").description(board.words).tags(["fullspan", folder])
             .time(board.since, "now").refresh("1m").readonly().tooltip(models.DashboardCursorSync.CROSSHAIR)
             .with_variable(dashboard.DatasourceVariable("datasource").label(say("Data source", "数据源")).type(PLUGIN)))
    for one in board.variables:
        built = built.with_variable(_variable(one))
    for mark in board.marks:
        built = built.annotation(dashboard.AnnotationQuery().name(mark.name).datasource(SOURCE).enable(True).icon_color(mark.colour)
                                 .target(_MarkedBuilder(mark.sql)))
    built = built.link(dashboard.DashboardLink("Fullspan").type(models.DashboardLinkType.DASHBOARDS).tags(["fullspan", folder]).as_dropdown(True)
                       .keep_time(True).include_vars(False))
    for number, (panel, at) in enumerate(zip(board.panels, places(board.panels), strict=True), 1):
        built = built.with_panel(KINDS[panel.kind](panel).id(number).grid_pos(at))
    return built.build()
