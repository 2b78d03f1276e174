"""The form that compiles: what the decision core may not contain, so that a compiler can take it as it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parents[2] / "bot" / "decide"
FILES = sorted(CORE.glob("*.py"))
ALLOWED_MODULES = {"math", "typing", "collections.abc"}

BANNED_NODES = {
    ast.JoinedStr: "an f-string",
    ast.Try: "try/except",
    ast.TryStar: "try/except",
    ast.Raise: "raise",
    ast.With: "with",
    ast.Lambda: "a lambda",
    ast.Global: "global",
    ast.Nonlocal: "nonlocal",
    ast.AsyncFunctionDef: "async",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.Match: "match",
}


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield "." * node.level + (node.module or "")


def allowed(module: str) -> bool:
    return module in ALLOWED_MODULES or module == "bot.decide" or module.startswith("bot.decide.")


def in_function(node: ast.FunctionDef) -> Iterator[str]:
    arguments = node.args
    if node.decorator_list:
        yield "a decorator"
    if arguments.kwonlyargs:
        yield "keyword-only parameters"
    if arguments.vararg or arguments.kwarg:
        yield "*args or **kwargs"
    if arguments.defaults:
        yield "a default value"


def in_class(node: ast.ClassDef) -> Iterator[str]:
    if node.decorator_list:
        yield "a decorator"
    if [ast.unparse(base) for base in node.bases] != ["NamedTuple"] or node.keywords:
        yield "a class that is no NamedTuple"
    for item in node.body:
        if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant):
            continue  # a docstring
        if not isinstance(item, ast.AnnAssign):
            yield "something other than fields in a class"
        elif ast.unparse(item.annotation) not in {"float", "int"} or item.value is not None:
            yield "a field that is no plain float or int"


def in_call(node: ast.Call) -> Iterator[str]:
    if node.keywords:
        yield "a keyword argument"
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        yield "an unpacked argument"


def offences(source: str) -> list[str]:
    """Everything in the source that does not compile, as ``line: what``."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        texts = [what for kind, what in BANNED_NODES.items() if isinstance(node, kind)]
        texts.extend(f"an import of {module}" for module in imported(node) if not allowed(module))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            texts.append(f"{node.attr}")
        if isinstance(node, ast.FunctionDef):
            texts.extend(in_function(node))
        if isinstance(node, ast.ClassDef):
            texts.extend(in_class(node))
        if isinstance(node, ast.Call):
            texts.extend(in_call(node))
        if isinstance(node, ast.Assert) and node.msg is not None and not isinstance(node.msg, ast.Constant):
            texts.append("an assert message that is built")
        found.extend(f"{line}: {what}" for what in texts)
    return found


def test_form_covers_the_rooms_files() -> None:
    names = {path.stem for path in FILES}
    expected = {"indicators", "trend", "ensemble", "codes", "costs", "intents", "allocation", "breakout"}
    expected |= {"kelly", "risk", "sizer", "exits", "growth", "measured"}
    assert expected <= names
    assert [path for path in CORE.rglob("*.py") if path.parent != CORE] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_form_of_the_core_compiles(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8")) == []


CLASS = "from typing import NamedTuple\nclass A(NamedTuple):\n"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("def f(x):\n    return f'{x}'", "2: an f-string"),
        ("def f(x):\n    return x._replace(a=1)", "2: _replace"),
        ("import decimal", "1: an import of decimal"),
        ("from os import path", "1: an import of os"),
        ("from bot.domain import orders", "1: an import of bot.domain"),
        ("from bot.decider import x", "1: an import of bot.decider"),
        ("from . import codes", "1: an import of ."),
        ("def f(*, x):\n    return x", "1: keyword-only parameters"),
        ("def f(*x):\n    return x", "1: *args or **kwargs"),
        ("def f(**x):\n    return x", "1: *args or **kwargs"),
        ("def f(x=1):\n    return x", "1: a default value"),
        ("@cache\ndef f(x):\n    return x", "2: a decorator"),
        ("class A:\n    x: int", "1: a class that is no NamedTuple"),
        (f"{CLASS}    x: str", "2: a field that is no plain float or int"),
        (f"{CLASS}    x: float = 0.0", "2: a field that is no plain float or int"),
        (f"{CLASS}    def f(self):\n        return 1", "2: something other than fields in a class"),
        ("try:\n    x = 1\nexcept ValueError:\n    x = 2", "1: try/except"),
        ("f = lambda x: x", "1: a lambda"),
        ("g(x=1)", "1: a keyword argument"),
        ("g(*x)", "1: an unpacked argument"),
        ("assert x, str(x)", "1: an assert message that is built"),
    ],
)
def test_form_finds_what_does_not_compile(source: str, what: str) -> None:
    assert what in offences(source)


def test_form_allows_what_compiles() -> None:
    source = (
        '"""Text."""\nimport math\nfrom collections.abc import Sequence\nfrom bot.decide import codes\n'
        f'{CLASS}    """Text."""\n    x: float\n    """Text."""\n    n: int\n'
        'def f(a: float, b: Sequence[float]) -> float:\n    assert a > 0, "text"\n    return math.sqrt(a) + b[0]\n'
    )
    assert offences(source) == []
