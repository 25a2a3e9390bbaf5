"""Whether a statement only reads, decided on its parsed form, not on what a person or a client typed.

The engine's own parser writes the statement anew (`formatQuerySingleLine`): without comments, one statement, strings and quoted names in one style.
That text is looked at here and that text is run. The engine's `readonly = 1` refuses most of the same; what it lets through is refused here: writing a
file with INTO OUTFILE, the function file(), Python objects of the process, BACKUP, KILL and USE, and describing what lies outside the store.
"""
from __future__ import annotations

import re
from collections.abc import Mapping

from dpi.dataclass import dataclass

_TOKEN = re.compile(r"""
    (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*")
  | (?P<slot>\{\w+\s*:[^}]*\})
  | (?P<word>\w+)
  | (?P<sign>[^\s])
""", re.VERBOSE | re.DOTALL)

_READING = ("SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS")
#: Functions after whose name a bracket opens that only make rows or read tables of the store; every other table function is refused.
_TABLE_FUNCTIONS = frozenset(["numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generaterandom", "generateseries", "generate_series", "values",
                              "sqlstandardvalues", "view", "merge", "null", "format", "mergetreeindex", "mergetreeprojection"])
#: Functions that read files or ask other machines. They are refused by name wherever it stands: APPLY and arrayMap take a function without its bracket.
_WORDS = frozenset(["file", "filesystem"])
_PREFIXES = ("ai",)             # aiGenerate and its like send what they are given to a model elsewhere
_EXPLAINED = frozenset(["AST", "SYNTAX", "QUERY", "TREE", "PLAN", "PIPELINE", "ESTIMATE"])


#: Of a text that is given as a parameter.
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"})


class Refusal(Exception):
    """Why a question has no answer. code, name: ClickHouse's number and name of the error."""

    def __init__(self, code: int, name: str, what: str) -> None:
        self.code, self.name, self.what = code, name, what
        super().__init__(f"Code: {code}. DB::Exception: {what}. ({name})")


@dataclass(frozen=True)
class Statement:
    """A statement that only reads. form: the format it asks for, '' where it leaves that to others."""
    sql: str
    form: str


@dataclass(frozen=True)
class Token:
    """A piece of a statement. kind: string, quoted (a name), slot (a parameter), word or sign."""
    kind: str
    text: str

    @property
    def name(self) -> str:
        """What it names, in lower case; '' where it is no name."""
        if self.kind == "word":
            return self.text.lower()
        return re.sub(r"\\(.)", r"\1", self.text[1:-1]).lower() if self.kind == "quoted" else ""

    def is_word(self, *words: str) -> bool:
        """A keyword, not a quoted name."""
        return self.kind == "word" and self.text.upper() in words


def tokens(sql: str) -> list[Token]:
    """The pieces of a statement that the engine's parser wrote."""
    return [Token(str(found.lastgroup), found.group()) for found in _TOKEN.finditer(sql)]


def reading(sql: str, params: Mapping[str, str], table_functions: frozenset[str], functions: frozenset[str]) -> Statement:
    """The statement, where it only reads. Refusal where it does not.

    sql: as the engine's parser wrote it. table_functions, functions: the names the engine knows, in lower case."""
    pieces = tokens(sql)
    words = [token for token in pieces if token.text != "("]
    if not words or not words[0].is_word(*_READING):
        raise _refused("only SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS and WITH are answered")
    if words[0].is_word("EXPLAIN"):
        _explains(pieces[1:])
    elif words[0].is_word("DESCRIBE", "DESC", "EXISTS") or words[0].is_word("SHOW") and words[1].is_word("CREATE"):
        _inside(pieces)
    shut = (_WORDS | {name for name in functions if name.startswith(_PREFIXES)}) & (functions | table_functions)
    end = Token("sign", "")
    for token, after, third in zip(pieces, [*pieces[1:], end], [*pieces[2:], end, end][:len(pieces)], strict=True):
        if token.is_word("SETTINGS") and after.name and third.text == "=":
            raise _refused("leave out SETTINGS")         # within a subquery the engine looks at none of them
        if token.is_word("INTO") and after.is_word("OUTFILE"):
            raise _refused("INTO OUTFILE is not answered")
        if token.name in shut or after.text == "(" and token.name in table_functions - _TABLE_FUNCTIONS:
            raise _refused(f"{token.name}: functions that read files or reach the network are not answered")
        if token.kind == "slot" and "identifier" in token.text.lower():
            given = params.get(token.text[1:].split(":")[0].strip(), "")
            if given.strip("`\" ").lower() in shut or not re.fullmatch(r"[\w.`\"]*", given):
                raise _refused("a name given as a parameter is made of letters, digits, _ and .")
    return Statement(sql, _form(pieces))


def _explains(tokens: list[Token]) -> None:
    """EXPLAIN of a SELECT only: AST and SYNTAX take anything."""
    for token, after in zip(tokens, [*tokens[1:], Token("sign", "")], strict=True):
        if token.is_word("SELECT", "WITH") or token.text == "(":
            return
        if not (token.is_word(*_EXPLAINED) or token.text in (",", "=") or token.text.isdigit() or after.text == "=" or token.kind == "string"):
            break
    raise _refused("only EXPLAIN of a SELECT is answered")


def _inside(tokens: list[Token]) -> None:
    """What is described is a table of the store: a name with / or . in quotes may be a file."""
    for token in tokens[:6]:
        if token.text == "(":
            return
        if token.kind == "string" or token.kind == "quoted" and not re.fullmatch(r"\w+", token.name):
            raise _refused("only tables of the store are described")


def _form(tokens: list[Token]) -> str:
    """The name after the last FORMAT, where the statement ends or settings follow."""
    for at in range(len(tokens) - 2, -1, -1):
        rest = tokens[at + 2:]
        if tokens[at].kind == "word" and tokens[at].text == "FORMAT" and tokens[at + 1].name and (not rest or rest[0].is_word("SETTINGS")):
            return tokens[at + 1].text.strip("`")
    return ""


def _refused(what: str) -> Refusal:
    return Refusal(164, "READONLY", f"This interface only reads: {what}")
