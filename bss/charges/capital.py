"""Amounts in the figures that can't be altered (人民币大写), as bills and receipts in China have them."""
from __future__ import annotations

from decimal import Decimal

from bss.charges.money import rounded

DIGITS = "零壹贰叁肆伍陆柒捌玖"
PLACES = ("", "拾", "佰", "仟")
GROUPS = ("", "万", "亿", "万亿")
MOST = Decimal(10) ** 16


def capital(amount: Decimal) -> str:
    """An amount in yuan: 1409.50 is 壹仟肆佰零玖元伍角整. ValueError: it has more figures than there are words for."""
    cents = int(rounded(abs(amount)) * 100)
    if cents >= MOST * 100:
        raise ValueError(str(amount))
    yuan, jiao, fen = cents // 100, cents // 10 % 10, cents % 10
    told = _whole(yuan) + "元" if yuan else ""
    if jiao:
        told += DIGITS[jiao] + "角"
    elif fen and yuan:
        told += "零"
    told += DIGITS[fen] + "分" if fen else "整" if told else "零元整"
    return ("(负数)" if amount < 0 and cents else "") + told


def _whole(yuan: int) -> str:
    """A whole number above 0, in groups of four figures."""
    told, gap = "", False
    for group in range(len(GROUPS) - 1, -1, -1):
        part = yuan // 10 ** (4 * group) % 10 ** 4
        if not part:
            gap = gap or bool(told)
            continue
        if told and (gap or part < 1000):
            told += "零"
        told, gap = told + _four(part) + _group(yuan, group), False
    return told


def _group(yuan: int, group: int) -> str:
    """What a group is called: 亿 stands once where figures of 万亿 and of 亿 follow one another."""
    return "万" if group == 3 and yuan // 10 ** 8 % 10 ** 4 else GROUPS[group]


def _four(part: int) -> str:
    """1 to 9999."""
    told, gap = "", False
    for place in range(3, -1, -1):
        digit = part // 10 ** place % 10
        if digit:
            told += ("零" if gap and told else "") + DIGITS[digit] + PLACES[place]
            gap = False
        else:
            gap = True
    return told
