"""`rung policy`: the declared policy, checked, and tested by the decisions that its operators expect."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
import yaml

from policies.cases import differences
from router.cli.dry import DryRun, open_dry_run
from router.configuration.settings import ConfigError

app = typer.Typer(help="The policy of rung.yaml: check it, and test what it decides.", no_args_is_help=True)

_FIELDS = {"name", "text", "expect", "quality", "max_cost_usd"}


@app.command()
def check() -> None:
    """Check rung.yaml: settings, models with their prices, and `policies:`. Ends with status 2 where it is wrong."""
    config = open_dry_run().config
    waiting = [model.id for model in config.ladder.catalog.models if not model.available]
    print(f"the configuration is good: {len(config.ladder.models)} models, policy version {config.policy.version}")
    if waiting:
        print(f"waiting for a key: {', '.join(waiting)}")


@app.command()
def test(cases: Annotated[Path, typer.Argument(help="A YAML file with the expected decisions.")]) -> None:
    """Decide each case, and compare with what is expected of it. Ends with status 1 where one differs.

    A case:

      - name: proofs get thinking

        text: Prove that there are infinitely many primes.

        expect: {tier: [standard, premium], min_allowance: 1024, max_cost_usd: 0.05}

    What may be expected: model, tier (one or several), min_allowance, max_allowance, min_quality, max_cost_usd. A case
    may set `quality` and `max_cost_usd` of its request. The choice over the whole ladder is tested, keys or no keys.
    """
    dry = open_dry_run()
    failed = 0
    listed = read_cases(cases)
    for case in listed:
        wrong = _differences(dry, case)
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok  '}  {case['name']}")
        for words in wrong:
            print(f"        {words}")
    print(f"{len(listed) - failed} of {len(listed)} cases decide as expected")
    if failed:
        sys.exit(1)


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
    return {"name": f"case {number}", **fields}
