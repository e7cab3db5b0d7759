"""`rung policy`: the declared policy, checked, and tested by the decisions that its operators expect."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
import yaml

from policies.cases import check_expected, differences
from policies.errors import CatalogError
from router.cli.dry import DryRun, open_dry_run
from router.cli.numbers import finite
from router.configuration.careful import doubts
from router.configuration.settings import ConfigError
from router.decision_log.place import check_place

app = typer.Typer(help="The policy of rung.yaml: check it, and test what it decides.", no_args_is_help=True)

MARGINS = (0.05, 0.1, 0.25, 0.5, 1.0)  # standard errors
_WISHES = {"quality": 1.0, "max_cost_usd": 1e6}  # of a case's request: the most that each may be, as on the wire
_FIELDS = {"name", "text", "expect", *_WISHES}


@app.command()
def check() -> None:
    """Check rung.yaml: settings, models with their prices, and `policies:`. Ends with status 2 where it is wrong."""
    config = open_dry_run().config
    check_place(config.settings)
    waiting = [model.id for model in config.ladder.catalog.models if not model.available]
    print(f"the configuration is good: {len(config.ladder.models)} models, policy version {config.policy.version}")
    for doubt in doubts(config.settings.tenants, config.ladder.models):
        print(f"careful: {doubt}")
    if waiting:
        print(f"waiting for a key: {', '.join(waiting)}")


@app.command()
def test(cases: Annotated[Path, typer.Argument(help="A YAML file with the expected decisions.")]) -> None:
    """Decide each case, and compare with what is expected of it. Ends with status 1 where one differs.

    \b
    The file is a list of cases:
      - name: proofs get thinking
        text: Prove that there are infinitely many primes.
        expect: {min_allowance: 1024, max_cost_usd: 0.05}

    What may be expected: model, tier (one or several), min_allowance, max_allowance, min_quality, max_cost_usd. A case
    may set `quality` and `max_cost_usd` of its request. The choice over the whole ladder is tested, keys or no keys.
    """  # noqa: D301 - the character itself tells click to keep the lines
    listed = read_cases(cases)
    dry = open_dry_run(keys_or_no_keys=True)
    failed = 0
    for case in listed:
        wrong = _differences(dry, case)
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok  '}  {case['name']}")
        for words in wrong:
            print(f"        {words}")
    print(f"{len(listed) - failed} of {len(listed)} cases decide as expected")
    if failed:
        sys.exit(1)


@app.command()
def margins(
    questions: Annotated[Path, typer.Argument(help="A file with a question on each line.")],
    quality: Annotated[
        float | None, typer.Option(min=0, max=1, callback=finite, help="The quality-cost dial, 0 to 1.")
    ] = None,
) -> None:
    """How many decisions are close, by margin, and how many of them a second look changes where one is configured.

    What a `classifier.second_look.margin` looks at on your own ladder and questions. Only what can be called counts.
    """
    dry = open_dry_run()
    found = [_closeness(dry, line, quality) for line in _lines(questions)]
    turned = sum(changed for _, changed in found)
    print(f"{len(found)} questions, {'no second look' if dry.second is None else f'{turned} decisions change'}")
    print(f"{'margin':>8}{'close':>9}{'of these change':>18}{'of all changes':>17}")
    for margin in MARGINS:
        inside = [changed for distance, changed in found if distance < margin]
        change, share = sum(inside), f"{len(inside) / len(found):.0%}"
        told = "-" if dry.second is None or not inside else f"{change / len(inside):.0%}"
        caught = "-" if not turned else f"{change / turned:.0%}"
        print(f"{margin:>8g}{share:>9}{told:>18}{caught:>17}")


def _closeness(dry: DryRun, question: str, quality: float | None) -> tuple[float, bool]:
    """How far the rival is away, and whether a second look changes the choice."""
    estimate, decision = dry.at_first_sight(question, quality=quality)
    again = dry.again(question, estimate, decision).chosen
    changed = (again.model, again.allowance) != (decision.chosen.model, decision.chosen.allowance)
    return math.inf if decision.doubt is None else decision.doubt.distance, changed


def _lines(path: Path) -> list[str]:
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {error}") from None
    if not lines:
        raise ConfigError(f"{path}: holds no question; write one on each line")
    return lines


def _differences(dry: DryRun, case: dict[str, Any]) -> tuple[str, ...]:
    decision = dry.decide(case["text"], quality=case.get("quality"), max_cost_usd=case.get("max_cost_usd"))
    return differences(decision.preferred, case["expect"])


def read_cases(path: Path) -> list[dict[str, Any]]:
    """The cases of a file, checked.

    Raises:
        ConfigError: the file is missing, is not YAML, or a case is not of the form.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from None
    if not isinstance(content, list) or not content:
        raise ConfigError(f"{path}: must be a list of cases with `name`, `text` and `expect`")
    return [_checked(path, number, case) for number, case in enumerate(cast("list[object]", content), start=1)]


def _checked(path: Path, number: int, case: object) -> dict[str, Any]:
    if not isinstance(case, dict):
        raise ConfigError(f"{path}: case {number} must be a mapping with `name`, `text` and `expect`")
    fields = cast("dict[str, Any]", case)
    unknown, missing = sorted(fields.keys() - _FIELDS), sorted({"text", "expect"} - fields.keys())
    if unknown or missing:
        what = f"does not know {', '.join(unknown)}" if unknown else f"lacks {', '.join(missing)}"
        raise ConfigError(f"{path}: case {number} {what}; a case has {', '.join(sorted(_FIELDS))}")
    if not isinstance(fields["text"], str) or not isinstance(fields["expect"], dict):
        raise ConfigError(f"{path}: case {number}: `text` must be text, and `expect` a mapping")
    try:
        check_expected(fields["expect"])
    except CatalogError as error:
        raise ConfigError(f"{path}: case {number}: {error}") from None
    for name, most in _WISHES.items():
        if name in fields and not _lies_within(fields[name], most):
            raise ConfigError(f"{path}: case {number}: `{name}` must be a number from 0 to {most:g}")
    return {"name": f"case {number}", **fields}


def _lies_within(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
