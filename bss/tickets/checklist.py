"""Checklists: the questions that somebody answers on the spot, as a document, and what answers are right. Pure."""
from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from bss.catalogue.document import Code, Name, Written
from bss.refusal import Refusal

LONGEST = 400           # letters of an answer
Figure = Annotated[Decimal, Field(ge=-10 ** 9, le=10 ** 9)]


class Question(Written):
    """One question. kind: check (yes or no; no is a fault), number (outside of low and high is a fault), text, photo (files that are attached); unit: of a
    number; needed: it is done with an answer alone."""
    key: Code
    name: Name
    kind: Literal["check", "number", "text", "photo"] = "check"
    unit: Annotated[str, Field(max_length=16)] = ""
    low: Figure | None = None
    high: Figure | None = None
    needed: bool = True

    @model_validator(mode="after")
    def _whole(self) -> Question:
        if self.kind != "number" and (self.low is not None or self.high is not None):
            raise ValueError("low and high are of numbers")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is more than high")
        return self


class Checklist(Written):
    """The questions of a visit. visit: for what it is meant."""
    key: Code
    name: Name
    visit: Literal["repair", "install", "survey", "inspection"]
    question: Annotated[tuple[Question, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _keys(self) -> Checklist:
        keys = [one.key for one in self.question]
        if len(set(keys)) != len(keys):
            raise ValueError("two questions have the same key")
        return self


class Judged(NamedTuple):
    """What answers come to. answers: as they are kept; missing: keys of questions that still need one; faults: of those that say that something is wrong."""
    answers: dict[str, Any]
    missing: tuple[str, ...]
    faults: tuple[str, ...]


def judge(checklist: Checklist, given: Mapping[str, Any], photos: int = 0) -> Judged:
    """Judge answers. photos: how many are attached; each question for a photo takes one. Refusal: an answer to no question, or of a wrong kind."""
    known = {one.key: one for one in checklist.question}
    for key in given:
        if key not in known:
            raise Refusal("invalid", f"the checklist has no question {key!r}", "answers", f"it has {', '.join(known)}")
        if known[key].kind == "photo":
            raise Refusal("invalid", f"{key} asks for a photo", f"answers.{key}", "attach it")
    answers: dict[str, Any] = {}
    missing, faults, wanted = [], [], 0
    for one in checklist.question:
        if one.kind == "photo":
            wanted += 1
            if one.needed and photos < wanted:
                missing.append(one.key)
            continue
        answer = _answer(one, given.get(one.key))
        if answer is None:
            if one.needed:
                missing.append(one.key)
            continue
        answers[one.key] = answer
        if one.kind == "check" and answer is False:
            faults.append(one.key)
        elif one.kind == "number":
            figure = Decimal(answer)
            if one.low is not None and figure < one.low or one.high is not None and figure > one.high:
                faults.append(one.key)
    return Judged(answers, tuple(missing), tuple(faults))


def _answer(question: Question, given: Any) -> Any:
    """An answer as it is kept; None: there is none."""
    where = f"answers.{question.key}"
    if given is None or isinstance(given, str) and not given.strip():
        return None
    if question.kind == "check":
        if not isinstance(given, bool):
            raise Refusal("invalid", f"{question.key} is answered with true or false", where)
        return given
    if question.kind == "number":
        try:
            figure = Decimal(str(given).strip())
        except InvalidOperation:
            figure = Decimal("NaN")
        if isinstance(given, bool) or not figure.is_finite() or abs(figure) > Decimal(10) ** 12:
            raise Refusal("invalid", f"{given!r} is no number", where, f"in {question.unit}" if question.unit else "")
        return format(figure, "f")
    if not isinstance(given, str) or len(given) > LONGEST or not given.replace("\n", "").replace("\r", "").isprintable():
        raise Refusal("invalid", f"{question.key} is answered with at most {LONGEST} printable letters", where)
    return given.strip()


def _list(key: str, en: str, zh: str, visit: Any, *questions: tuple[str, str, str, str, dict[str, Any]]) -> Checklist:
    return Checklist(key=key, name=Name(en=en, zh=zh), visit=visit, question=tuple(
        Question(key=one, kind=kind, name=Name(en=english, zh=chinese), **more) for one, kind, english, chinese, more in questions))     # type: ignore[arg-type]


#: What is there where nobody has written another one of that key.
STANDARD: dict[str, Checklist] = {one.key: one for one in (
    _list("repair", "Fault repaired on the spot", "现场抢修", "repair",
          ("safe", "check", "The place is safe to work at", "作业环境安全", {}), ("cause", "text", "Cause of the fault", "故障原因", {}),
          ("work", "text", "What was done", "处理措施", {}), ("power", "number", "Received optical power", "收光功率", {"unit": "dBm", "needed": False}),
          ("tested", "check", "Tested with the customer", "已与客户测试", {}), ("photo", "photo", "Photo of the repaired part", "修复部位照片", {})),
    _list("install", "Installation", "装机", "install",
          ("ready", "check", "Room, power and earthing are as ordered", "机房、电源、接地符合要求", {}),
          ("serial", "text", "Serial number of the device", "设备序列号", {}),
          ("labels", "check", "Cables are labelled", "线缆已贴标签", {}), ("tested", "check", "Rate tested in both directions", "双向速率已测试", {}),
          ("photo", "photo", "Photo of the installation", "安装照片", {})),
    _list("survey", "Survey on the spot", "现场查勘", "survey",
          ("distance", "number", "Distance to the next access point", "距接入点距离", {"unit": "m"}), ("power", "check", "Power is there", "有电源", {}),
          ("way", "text", "Way of the cable", "路由", {}), ("photo", "photo", "Photo of the room", "机房照片", {})),
    _list("site", "Site inspection", "机房巡检", "inspection",
          ("temperature", "number", "Temperature", "温度", {"unit": "°C", "low": Decimal(5), "high": Decimal(35)}),
          ("humidity", "number", "Relative humidity", "相对湿度", {"unit": "%", "low": Decimal(20), "high": Decimal(80)}),
          ("battery", "number", "Voltage of the batteries", "蓄电池电压", {"unit": "V", "low": Decimal("47"), "high": Decimal("57"), "needed": False}),
          ("alarms", "check", "No lamp shows an alarm", "无告警灯", {}), ("clean", "check", "Filters and cables are in order", "滤网与线缆整洁", {}),
          ("photo", "photo", "Photo of the racks", "机架照片", {})),
)}
