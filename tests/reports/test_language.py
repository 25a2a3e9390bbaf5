"""Both languages say everything, with the same values."""
from __future__ import annotations

import marshal
import re
import string
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dpi.capture.frame import REFUSALS
from dpi.classify.inspection import RISKS
from dpi.flow.figures import CONFIDENCES
from dpi.outcome import CLOCK_COUNTERS, COUNTERS
from dpi.reports.language import LANGUAGES, Language, catalogue

EN, ZH = catalogue("en"), catalogue("zh")
SOURCES = [path for folder in ("dpi/reports", "dpi/cli") for path in sorted((Path(__file__).parents[2] / folder).rglob("*")) if path.suffix in (".py", ".j2")]


def test_same_keys() -> None:
    assert set(EN) == set(ZH)


@pytest.mark.parametrize("key", sorted(EN))
def test_same_values(key: str) -> None:
    names = [{field for _, field, _, _ in string.Formatter().parse(words[key]) if field is not None} for words in (EN, ZH)]
    assert names[0] == names[1]
    assert EN[key].strip() and ZH[key].strip()


def test_every_key_used_is_there() -> None:
    for path in SOURCES:
        for key in re.findall(r'say\("([a-z_]+\.[a-z0-9_]+)"', path.read_text()):
            assert key in EN, f"{path.name}: {key}"


@pytest.mark.parametrize("section, words", [("refusal", REFUSALS), ("risk", RISKS), ("confidence", [word for word in CONFIDENCES if word]),
                                            ("meaning", CONFIDENCES[:-1]),
                                            ("counter", [word for word in (*COUNTERS, *CLOCK_COUNTERS) if word != "flows"])])
def test_every_word_of_the_pipeline_is_known(section: str, words: tuple[str, ...]) -> None:
    for word in words:
        assert f"{section}.{word}" in EN, word


def test_categories_of_the_rules_are_known() -> None:
    for path in sorted((Path(__file__).parents[2] / "rules" / "apps").glob("*.toml")):
        assert f"category.{path.stem}" in EN, path.stem


def test_numbers() -> None:
    en, zh = Language("en"), Language("zh")
    assert (en.short(999_999), en.short(2_402_170), zh.short(2_402_170), zh.short(3.5e9), en.short(1.5)) == ("999,999", "2.40 M", "240.2 万", "35.00 亿", "1.5")
    assert (en.percent(0), en.percent(0.0001), zh.percent(0.0001), en.percent(0.5), zh.percent(1)) == ("0.0 %", "<0.1 %", "<0.1%", "50.0 %", "100.0%")
    assert (en.bytes(999), en.bytes(1_681_139_316), en.rate(44_830_000)) == ("999 B", "1.68 GB", "44.8 Mbit/s")
    assert (en.delay(850), en.delay(12_400), en.delay(1_350_000)) == ("850 µs", "12.4 ms", "1.35 s")
    assert (en.span(0.05), en.span(300), zh.span(93_784), en.span(59.9999)) == ("0.05 s", "5 min", "1 天 2 小时", "60 s")
    assert zh.time(1_700_000_000_000_000) == "2023年11月14日 22:13:20 UTC" and en.time(1 << 62).endswith("µs")


def test_unknown_language_is_refused() -> None:
    assert LANGUAGES == ("en", "zh")
    with pytest.raises(ValueError):
        Language("fr")


def test_nothing_heavy_is_imported_for_the_commands() -> None:
    """Start-up counts: the commands import neither rich, jinja2 nor the store before they run."""
    code = "import sys, dpi.cli.replay, dpi.cli.report, dpi.cli.flow; print([m for m in ('rich', 'jinja2', 'chdb', 'numba', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]"


def test_what_was_read_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLSPAN_CACHE", str(tmp_path))
    read = catalogue.__wrapped__
    words = read("zh")
    kept = next(tmp_path.glob("words-zh-*.bin"))
    monkeypatch.setattr(tomllib, "load", lambda file: {})
    assert read("zh") == words
    whole = kept.read_bytes()
    for damaged in (b"", whole[:100], b"\xff" * 50, marshal.dumps((("elsewhere", 1, 2), {"a": "b"}))):
        kept.write_bytes(damaged)
        assert read("zh") == {}                 # read anew, as `load` does it here
    kept.write_bytes(whole)
    assert read("zh") == words
