"""Finding the captures a person meant, and saying what is wrong with what they named."""
from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pytest

from dpi.capture.inputs import Input, Inputs, find, shown
from dpi.capture.trace import open_trace
from dpi.errors import UserError
from tests.capture.crafted import SAMPLES


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """b.pcap, a/2.pcapng, a/1.cap.gz, a/deep/x, and things that are no captures."""
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "b.pcap").write_bytes(SAMPLES["pcap"])
    (tmp_path / "a" / "2.pcapng").write_bytes(SAMPLES["pcapng"])
    (tmp_path / "a" / "1.cap.gz").write_bytes(gzip.compress(SAMPLES["pcap"]))
    (tmp_path / "a" / "deep" / "x").write_bytes(SAMPLES["modified"])
    (tmp_path / "a" / "notes.txt").write_text("no capture")
    (tmp_path / "a" / "text.gz").write_bytes(gzip.compress(b"no capture"))
    (tmp_path / "a" / "none.pcap").write_bytes(b"")
    return tmp_path


def names(found: Inputs, root: Path) -> list[str]:
    return [os.path.relpath(one.path, root) for one in found]


def test_a_directory_is_searched_to_the_bottom_in_name_order(tree: Path) -> None:
    found = find([str(tree)], None)
    assert names(found, tree) == ["a/1.cap.gz", "a/2.pcapng", "a/deep/x", "b.pcap"]
    assert [(os.path.basename(one.name), one.why) for one in found.skipped] == [
        ("none.pcap", "is empty"), ("notes.txt", "is no capture"), ("text.gz", "is packed with gzip, and what is inside is no capture")]
    for one in found:
        with open_trace(one) as trace:
            assert sum(block.count for block in trace.blocks()) > 1 and not trace.damage
            assert one.size == trace.size > 0


def test_patterns_and_repeated_names(tree: Path) -> None:
    found = find([str(tree / "*.pcap"), str(tree / "**" / "*.pcapng"), str(tree / "b.pcap"), str(tree / "a")], None)
    assert names(found, tree) == ["b.pcap", "a/2.pcapng", "a/1.cap.gz", "a/deep/x"]


def test_a_file_whose_name_looks_like_a_pattern(tree: Path) -> None:
    odd = tree / "[1].pcap"
    odd.write_bytes(SAMPLES["pcap"])
    assert names(find([str(odd)], None), tree) == ["[1].pcap"]


def test_links_to_folders_are_not_followed_inside_a_folder(tree: Path) -> None:
    (tree / "a" / "loop").symlink_to(tree)
    assert len(find([str(tree)], None)) == 4
    (tree / "link").symlink_to(tree / "a")
    assert len(find([str(tree / "link")], None)) == 3


def test_standard_input(tree: Path) -> None:
    stdin = io.BytesIO(SAMPLES["pcap"])
    (one,) = find(["-"], stdin)
    assert one == Input("-", "standard input", 0, stdin)
    with pytest.raises(UserError, match="twice"):
        find(["-", "-"], stdin)
    with pytest.raises(UserError, match="terminal"):
        find(["-"], None)


@pytest.mark.parametrize(("argument", "what"), [
    ("absent.pcap", "does not exist"), ("a/notes.txt", "is no capture"), ("a/none.pcap", "is empty"), ("a/text.gz", "packed with gzip"),
    ("empty", "holds no capture"), ("*.cap", "no file matches"), ("a/*.txt", "holds no capture"), ("/dev/null/x", "cannot be read"),
])
def test_each_error_is_one_line_with_its_place(tree: Path, argument: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        find([str(tree / "b.pcap"), os.path.join(tree, argument)], None)
    line = str(caught.value)
    assert what in line and "\n" not in line
    assert line.startswith(os.path.join(tree, argument)) and line.endswith(")")


def test_no_permission(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by the system in the place of the file system, so that the test also holds for root."""
    plain = open

    def refuse(path: object, *rest: object, **more: object) -> object:
        if str(path).endswith("b.pcap"):
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UserError, match="may not be read"):
        find([str(tree / "b.pcap")], None)
    found = find([str(tree)], None)
    assert len(found) == 3
    assert [one.why for one in found.skipped if one.name.endswith("b.pcap")] == ["may not be read"]


def test_names_of_any_bytes_can_be_shown(tree: Path) -> None:
    path = os.fsencode(tree) + b"/caf\xe9\x1b[31m.pcap"
    with open(path, "wb") as file:
        file.write(SAMPLES["pcap"])
    (one,) = find([os.fsdecode(path)], None)
    assert os.path.basename(one.name) == "caf\ufffd\ufffd[31m.pcap"
    assert one.name.encode()
    assert shown("样本.pcap") == "样本.pcap"
    with open_trace(one) as trace:
        assert trace.name == "caf\ufffd\ufffd[31m.pcap"
