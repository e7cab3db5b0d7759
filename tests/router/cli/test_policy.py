"""`rung policy` and `rung models`, as an operator runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from router.cli import policy
from router.cli.commands import build
from router.configuration.settings import ConfigError
from tests.gateway import fake_ladder
from tests.second_looks import static_in_place_of_a_transformer


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rung.yaml").write_text(yaml.safe_dump({"models": fake_ladder("http://127.0.0.1:1/v1")}))


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(build(), list(arguments))
    assert result.exit_code == status, result.output
    return result.output


def cases(*listed: dict[str, object]) -> str:
    Path("cases.yaml").write_text(yaml.safe_dump(list(listed)))
    return "cases.yaml"


def test_a_tenant_s_words_that_no_model_answers_to_are_told(tmp_path: Path) -> None:
    models = fake_ladder("http://127.0.0.1:1/v1")
    well = {"id": "well", "models": [models[0]["id"]]}
    assert "careful" not in checked(tmp_path, {"models": models, "tenants": [well]})
    slips = {"id": "slips", "models": ["smal"], "deny": ["larg"], "require_tags": ["eu"]}
    told = checked(tmp_path, {"models": models, "tenants": [slips]})
    assert "careful: tenant slips: `models` names 'smal'" in told
    assert "careful: tenant slips: `deny` names 'larg'" in told
    assert "careful: tenant slips: `require_tags` asks for 'eu', which no model bears" in told


def checked(folder: Path, content: dict[str, object]) -> str:
    (folder / "rung.yaml").write_text(yaml.safe_dump(content))
    return run("policy", "check")


def test_cases_that_decide_as_expected_pass() -> None:
    path = cases({"name": "greetings are cheap", "text": "Hi", "expect": {"max_allowance": 0, "max_cost_usd": 0.01}})
    told = run("policy", "test", path)
    assert "ok    greetings are cheap" in told
    assert "1 of 1 cases decide as expected" in told


def test_a_case_that_decides_otherwise_says_how_and_ends_with_status_1() -> None:
    path = cases(
        {"name": "right", "text": "Hi", "expect": {"max_allowance": 0}},
        {"name": "wrong", "text": "Hi", "expect": {"min_allowance": 4096, "model": "nobody"}},
    )
    told = run("policy", "test", path, status=1)
    assert "FAIL  wrong" in told
    assert "not nobody" in told
    assert "1 of 2 cases decide as expected" in told


def test_cases_are_tested_where_no_model_has_a_key(tmp_path: Path) -> None:
    models = [{**model, "api_key_env": "NOBODY_SET_THIS"} for model in fake_ladder("http://127.0.0.1:1/v1")]
    for model in models:
        del model["api_key"]
    (tmp_path / "rung.yaml").write_text(yaml.safe_dump({"models": models}))
    assert "1 of 1 cases" in run("policy", "test", cases({"text": "Hi", "expect": {"tier": "economy"}}))


def test_effort_goes_to_logic_mathematics_and_tricks_and_not_to_code(tmp_path: Path) -> None:
    sol = {"id": "sol", "upstream": "openai/gpt-6-sol", "tier": "standard", "ability": 0.87, "api_key": "unused"}
    (tmp_path / "rung.yaml").write_text(yaml.safe_dump({"models": [sol]}))
    told = run("policy", "test", str(Path(__file__).with_name("effort.yaml")))
    assert "FAIL" not in told


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[]", "list of cases"),
        ("- 3", "case 1 must be a mapping"),
        ("- {text: Hi}", "lacks expect"),
        ("- {text: Hi, expect: {}, colour: red}", "does not know colour"),
        ("- {text: 3, expect: {}}", "must be text"),
        ("- {text: Hi, expect: {}}", "case 1: A case must expect"),
        ("- {text: Hi, expect: {model: a}}\n- {text: Hi, expect: {teir: a}}", "case 2: A case cannot expect teir"),
        ("- {text: Hi, expect: {min_allowance: some}}", "case 1: min_allowance must be a number"),
        ("- {text: Hi, expect: {model: a}, quality: high}", "case 1: `quality` must be a number from 0 to 1"),
        ("- {text: Hi, expect: {model: a}, max_cost_usd: -1}", "case 1: `max_cost_usd` must be a number"),
        ("{", "cannot be read"),
    ],
    ids=[
        "empty",
        "no mapping",
        "no expectation",
        "unknown field",
        "no text",
        "nothing expected",
        "unknown expectation",
        "no number",
        "no quality",
        "no cost",
        "no YAML",
    ],
)
def test_a_malformed_file_of_cases_is_named_with_the_place(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=named):
        policy.read_cases(path)


def test_check_says_what_is_configured() -> None:
    assert "3 models" in run("policy", "check")


def test_models_are_listed_shown_and_checked() -> None:
    assert "small" in run("models", "list")
    shown = yaml.safe_load(run("models", "show", "large"))
    assert shown["usd_per_million_tokens"] == {"input": 5.0, "output": 25.0}
    assert shown["thinking"]["levels"] == {"low": 1024, "medium": 4096}
    assert run("models", "check").count("priced; ready") == 3


def shares(told: str) -> list[float]:
    """The column of close decisions."""
    return [float(line.split()[1].rstrip("%")) for line in told.splitlines()[2:]]


def test_margins_tells_by_margin_how_many_decisions_are_close() -> None:
    Path("questions.txt").write_text("Hi\n\nName a city.\nProve that there are infinitely many primes.\n", "utf-8")
    told = run("policy", "margins", "questions.txt", "--quality", "0.8")
    assert told.startswith("3 questions, no second look")
    assert shares(told) == sorted(shares(told))
    assert len(shares(told)) == len(policy.MARGINS)


def test_margins_tells_what_a_second_look_changes(tmp_path: Path) -> None:
    artefact = static_in_place_of_a_transformer(tmp_path / "second", harder=4.0)
    looking = {"artefact": str(artefact), "margin": 1e-9}
    content = {"models": fake_ladder("http://127.0.0.1:1/v1"), "classifier": {"second_look": looking}}
    Path("rung.yaml").write_text(yaml.safe_dump(content), "utf-8")
    Path("questions.txt").write_text(
        "Name one city of the region number 3.\nName one city of Mongolia.\nWho wrote the first novel?\n", "utf-8"
    )
    told = run("policy", "margins", "questions.txt").splitlines()
    assert int(told[0].split(", ")[1].split()[0]) >= 1
    assert told[-1].split()[-1] == "100%"  # whatever changes was close by the widest margin


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe"])
def test_margins_needs_questions(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    Path("questions.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"questions\.txt"):
        policy.margins(Path("questions.txt"))
