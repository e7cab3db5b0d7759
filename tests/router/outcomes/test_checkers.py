"""Operators' checks: functions and programs, whatever they do."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.configuration.log import CheckerSettings
from router.configuration.settings import ConfigError, Settings
from router.outcomes.checkers import Checker, CheckFailed, Function, make_checkers

SHOWN = {"decision_id": "d1", "answer": "42"}


def program(code: str, **changes: Any) -> Checker:
    (made,) = make_checkers([CheckerSettings(name="mine", command=[sys.executable, "-c", code], **changes)])
    return made


def function(work: Callable[[Any], Any], **changes: Any) -> Checker:
    settings = CheckerSettings(name="mine", entry_point="mine", **changes)
    return Checker(settings=settings, check=Function(work))


async def test_a_program_reads_the_answer_and_writes_a_score() -> None:
    code = "import json, sys; print(0.75 if json.load(sys.stdin)['answer'] == '42' else 0)"
    assert await program(code).judge(SHOWN) == 0.75
    assert await program("print('null')").judge(SHOWN) is None


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('fine')", "is no number"),
        ("print(7)", "not from 0 to 1"),
        ("print('nan')", "not from 0 to 1"),
        ("pass", "wrote nothing"),
        ("raise SystemExit(3)", "ended with status 3"),
    ],
)
async def test_a_program_that_says_nothing_usable_has_failed(code: str, why: str) -> None:
    with pytest.raises(CheckFailed, match=why):
        await program(code).judge(SHOWN)


async def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys, time, pathlib;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid)); time.sleep(600)"
    )
    checker = program(code, timeout_s=2)
    with pytest.raises(CheckFailed, match="within 2 s"):
        await checker.judge(SHOWN)
    child = int(note.read_text())
    deadline = time.monotonic() + 10
    while _alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)  # noqa: ASYNC251 - another process' end: there is no event


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


async def test_a_program_does_not_see_the_gateways_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert await program("import os; print(float('OPENAI_API_KEY' in os.environ))").judge(SHOWN) == 0.0
    assert os.environ["OPENAI_API_KEY"]


async def test_a_program_that_is_not_there_has_failed() -> None:
    (made,) = make_checkers([CheckerSettings(name="mine", command=["/no/such/program"])])
    with pytest.raises(CheckFailed, match="cannot be started"):
        await made.judge(SHOWN)


async def test_a_function_judges_in_a_thread_and_may_fail() -> None:
    assert await function(lambda shown: len(shown["answer"]) / 4).judge(SHOWN) == 0.5
    assert await function(lambda _: None).judge(SHOWN) is None
    with pytest.raises(CheckFailed, match="ZeroDivisionError"):
        await function(lambda _: 1 / 0).judge(SHOWN)


def test_a_checker_sees_its_share_of_its_tenants_answers() -> None:
    checker = function(lambda _: 1, tenants=["acme"], sample=0.25)
    assert checker.concerns("acme", 0.2)
    assert not checker.concerns("acme", 0.25)
    assert not checker.concerns("other", 0.0)


def test_an_entry_point_is_found_by_its_name_or_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.metadata.EntryPoint("length", "builtins:len", "rung.checkers")

    def entry_points(group: str, name: str | None = None) -> importlib.metadata.EntryPoints:
        known = importlib.metadata.EntryPoints([entry]).select(group=group)
        return known if name is None else known.select(name=name)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    assert len(make_checkers([CheckerSettings(name="a", entry_point="length")])) == 1
    with pytest.raises(ConfigError, match="there are: length"):
        make_checkers([CheckerSettings(name="a", entry_point="width")])


def test_a_checker_is_a_function_or_a_program_and_names_and_sources_are_checked() -> None:
    for wrong in (
        {"checkers": [{"name": "a"}]},
        {"checkers": [{"name": "a", "entry_point": "x", "command": ["y"]}]},
        {"checkers": [{"name": "a", "command": ["x"]}, {"name": "a", "command": ["y"]}]},
        {"reliability": {"feedback.stars": 0.5}},
    ):
        with pytest.raises(ValueError, match=r"checker|reliability"):
            Settings.model_validate({"log": wrong})
