"""Does a test fail when its protection is taken out? Small changes to the code of money, access and cache, one by one.

    copy the tree -> for each mutant: change one place of the copy, run the tests that cover the file, put it back

A mutant that no test notices has survived. Python is changed by its syntax tree; Lua, whose scripts are the ledger, by
the tokens of a line. Which ones are tried is drawn by a fixed seed.
"""

from __future__ import annotations

import ast
import importlib
import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from tests.faults.covered import COVERED
from tests.faults.report import Finding

SEED = 5
LEAST_KILLED = 0.85
TIMEOUT_S = 150.0  # a mutant may make a test wait for ever: that is noticed too
_COPIED = ("router", "classifier", "policies", "training", "tests", "pyproject.toml", "docs", "README.md")
# Imported once before the processes of the mutants are forked: most of a test run is this.
_HEAVY = (
    "pytest",
    "hypothesis",
    "hypothesis.stateful",
    "orjson",
    "hiredis",
    "redis.asyncio",
    "httpx",
    "pydantic_settings",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change. `source` is the whole file with it."""

    subject: str
    path: str
    line: int
    what: str
    source: str


# --- Lua

_SWAPS: Sequence[tuple[str, str]] = (
    (r"<=", "<"),
    (r">=", ">"),
    (r"(?<![<>=~])<(?!=)", "<="),
    (r"(?<![<>=~])>(?!=)", ">="),
    (r"==", "~="),
    (r"~=", "=="),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " / "),
    (r" / ", " * "),
    (r"\band\b", "or"),
    (r"\bor\b", "and"),
    (r"\bnot ", ""),
    (r"math\.max", "math.min"),
    (r"math\.min", "math.max"),
    (r"(?<=')(settled|void|reaped|late|open|call|stream|already|forgotten|short|held|ended)(?=')", "wrong"),
    (r"(?<=')(h:|w:|exp|led|ckpt|s\||h\||c:|gen|bud)(?=')", "wrong"),
    (r"(?<=return )1$", "0"),  # a reply that is read as yes or no, and 2 is another word for yes
    (r"(?<!return )(?<![\w.%'])1(?![\w.%'])", "2"),
    (r"(?<![\w.%'])0(?![\w.%'])", "1"),
)


def lua_mutants(subject: str, path: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a script: a token changed, or a command left out."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        code, mark, comment = line.partition("--")
        if not code.strip() or code.lstrip().startswith("error({"):
            continue  # words of errors are not under test
        changed = [
            (f"{match[0].strip()} -> {new.strip() or 'nothing'}", code[: match.start()] + new + code[match.end() :])
            for old, new in _SWAPS
            for match in re.finditer(old, code)
        ]
        if re.match(r"\s+redis\.call\('(?!TIME)[A-Z]+'.*\)$", code.rstrip()):
            changed.append(("a command left out", re.sub(r"\S.*", "local _ = 0", code)))
        for what, new in changed:
            whole = "\n".join([*lines[:number], new + mark + comment, *lines[number + 1 :]])
            yield Mutant(subject=subject, path=path, line=number + 1, what=what, source=whole)


# --- Python

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}


# Answers that None would not change: it is read as False is, and False turned into True is a mutant of its own.
_SAYS_NO = frozenset({"return", "return None", "return False"})


def python_mutants(subject: str, path: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a module's functions: operators, constants, conditions, statements left out."""
    tree = ast.parse(text)
    for index, node in enumerate(_mutable(tree)):
        copy = deepcopy(tree)
        what = _change(list(_mutable(copy))[index])
        yield Mutant(subject=subject, path=path, line=getattr(node, "lineno", 0), what=what, source=ast.unparse(copy))


def _mutable(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of functions that may be changed: no docstrings, messages, annotations or logging."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in function.body:
                yield from _within(statement)


def _within(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.JoinedStr | ast.Raise):
        return  # a function is walked by itself; words of errors are not under test
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    said = node.value if isinstance(node, ast.Expr) else node
    if isinstance(said, ast.Call) and ast.unparse(said.func).startswith(("log.", "cast")):
        return
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return  # of `zip`: it only guards against a caller's mistake, which no test makes
    if _may_change(node):
        yield node
    skipped = node.annotation if isinstance(node, ast.AnnAssign) else None
    for child in ast.iter_child_nodes(node):
        if child is not skipped:
            yield from _within(child)


def _may_change(node: ast.AST) -> bool:
    match node:
        case ast.Compare(ops=[op]):
            return type(op) in _COMPARED
        case ast.BinOp(op=op):
            return type(op) in _COMPUTED
        case ast.Constant(value=value):
            return isinstance(value, bool | int | str | bytes) and value not in {"", b""}
        case ast.BoolOp() | ast.If() | ast.IfExp() | ast.UnaryOp(op=ast.Not()):
            return True
        case _:
            return isinstance(node, ast.Expr | ast.Return) and ast.unparse(node) not in _SAYS_NO


def _change(node: ast.AST) -> str:
    """Change a node in place; what was done, in words."""
    before = ast.unparse(node)[:50]
    match node:
        case ast.Compare(ops=[op]):
            node.ops = [_COMPARED[type(op)]()]
        case ast.BinOp(op=op):
            node.op = _COMPUTED[type(op)]()
        case ast.BoolOp(op=op):
            node.op = ast.Or() if isinstance(op, ast.And) else ast.And()
        case ast.If(test=test) | ast.IfExp(test=test):
            node.test = ast.UnaryOp(op=ast.Not(), operand=test)
            return f"the condition {ast.unparse(test)[:50]} turned round"
        case ast.UnaryOp(operand=operand):
            node.operand = ast.UnaryOp(op=ast.Not(), operand=operand)
        case ast.Constant(value=value):
            node.value = _other(value)
        case ast.Expr() | ast.Return():
            node.value = ast.Constant(value=None)
        case _:
            raise TypeError(type(node))
    return f"{before} -> {ast.unparse(node)[:50]}"


def _other(value: object) -> bool | int | str | bytes:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case bytes():
            return b"other" + value
        case _:
            return f"other{value}"


# --- the runs


def drawn(most: int, seed: int = SEED) -> list[Mutant]:
    """As many mutants, spread over the subjects by their number; the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - the same mutants at every run
    pools = {
        subject: [mutant for path in files for mutant in _mutants_of(subject, path)]
        for subject, files in COVERED.items()
    }
    total = sum(map(len, pools.values()))
    chosen = [
        mutant
        for pool in pools.values()
        for mutant in chance.sample(pool, min(len(pool), max(1, round(most * len(pool) / total))))
    ]
    chance.shuffle(chosen)  # a run that is cut short has tried some of every subject
    return chosen


def _mutants_of(subject: str, path: str) -> list[Mutant]:
    text = Path(path).read_text(encoding="utf-8")
    make = lua_mutants if path.endswith(".lua") else python_mutants
    return list(make(subject, path, text))


def run(mutants: Sequence[Mutant], folder: Path, *, minutes: float) -> tuple[int, list[Mutant]]:
    """Try them in a copy of the tree, and print each verdict as it comes.

    Returns:
        how many were tried in the time, and those that survived.
    """
    ends_at = time.monotonic() + 60 * minutes
    for name in _COPIED:
        source, to = Path(name), folder / name
        if source.is_dir():
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to)
    for name in _HEAVY:
        importlib.import_module(name)
    used = {path: tests for files in COVERED.values() for path, tests in files.items()}
    survivors: list[Mutant] = []
    for tests in sorted({used[mutant.path] for mutant in mutants}):
        if _noticed(folder, tests):
            raise RuntimeError(f"{tests} fail without any mutant")
    tried = 0
    for number, mutant in enumerate(mutants, 1):
        if time.monotonic() > ends_at:
            break
        tried = number
        target = folder / mutant.path
        before = target.read_text(encoding="utf-8")
        target.write_text(mutant.source, encoding="utf-8")
        began = time.monotonic()
        noticed = _noticed(folder, used[mutant.path])
        target.write_text(before, encoding="utf-8")
        if not noticed:
            survivors.append(mutant)
        verdict = "killed" if noticed else "SURVIVED"
        place = f"{mutant.path}:{mutant.line}"
        print(f"{number}/{len(mutants)} {verdict} {place} {mutant.what} ({time.monotonic() - began:.1f} s)", flush=True)
    return tried, survivors


def _noticed(folder: Path, tests: Sequence[str]) -> bool:
    """Whether any of the tests fails; in a forked process, which starts with the libraries loaded."""
    child = os.fork()
    if child == 0:
        os._exit(_tested(folder, tests))
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.02)  # a process of its own: there is no event
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return True


def _tested(folder: Path, tests: Sequence[str]) -> int:
    import pytest

    os.setpgid(0, 0)
    os.chdir(folder)
    os.environ.update(PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1", RUNG_MACHINE_STEPS="150")
    sys.dont_write_bytecode = True
    for name in [name for name in sys.modules if name.split(".")[0] in {"router", "classifier", "policies", "tests"}]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        loaded = "ignore::pytest.PytestAssertRewriteWarning"  # plugins that were imported before the fork
        return int(pytest.main(["-x", "-q", "-W", loaded, "-p", "no:cacheprovider", *tests]))
    except BaseException:  # noqa: BLE001 - whatever ends a test run has noticed
        return 1


def table(mutants: Sequence[Mutant], survivors: Sequence[Mutant]) -> str:
    """A Markdown table by subject."""
    tried, left = Counter(m.subject for m in mutants), Counter(m.subject for m in survivors)
    rows = ["| code | mutants tried | killed | share |", "|---|---|---|---|"]
    for subject, count in [*tried.items(), ("all", len(mutants))]:
        killed = count - (len(survivors) if subject == "all" else left[subject])
        rows.append(f"| {subject} | {count} | {killed} | {killed / count:.0%} |")
    return "\n".join(rows)


def findings(most: int, minutes: float, folder: Path, seed: int = SEED) -> list[Finding]:
    """The share that was killed, as a finding of every promise about money, access and cache."""
    chosen = drawn(most, seed)
    tried, survivors = run(chosen, folder, minutes=minutes)
    print(table(chosen[:tried], survivors))
    killed = tried - len(survivors)
    return [
        Finding(
            number=0,
            mode="mutants",
            name="tests fail when a protection is taken out",
            done=f"{tried} of {len(chosen)} mutants of money, access, cache and limits, Lua and Python, seed {seed}",
            figure=f"{killed} killed, {killed / max(tried, 1):.0%}; survived: "
            + (", ".join(f"{mutant.path}:{mutant.line} {mutant.what}" for mutant in survivors) or "none"),
            bound=f"{LEAST_KILLED:.0%}",
            holds=tried > 0 and killed >= LEAST_KILLED * tried,
        )
    ]
