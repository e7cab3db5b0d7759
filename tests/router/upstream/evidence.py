"""What the golden bodies show, by family: `python -m tests.router.upstream.evidence` prints the table.

A parameter of the client's is lost where it neither stands in the body nor is named in a refusal or a note. A body is
outside the limits where the family's documents say that the provider answers 400 to it, or where it leaves open how
much may be produced.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from router.upstream import pricing
from tests.router.upstream import golden, wire_cases

GOLDEN = {name: golden.stored(name) for name in wire_cases.MODELS}
EVERY_CASE = [(name, case, GOLDEN[name][case.name]) for name in wire_cases.MODELS for case in wire_cases.cases()]

_CAPS = {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxTokens", "num_predict"}
_ANSWER_RESERVE = 256
_SAMPLING = {"temperature", "top_p", "top_k", "topP"}
EFFORTS = {
    "openai/o4-mini": {"low", "medium", "high"},
    "openai/gpt-5-mini": {"minimal", "low", "medium", "high"},
    "azure/gpt-5-mini": {"minimal", "low", "medium", "high"},
    "openai/gpt-6-sol": {"none", "low", "medium", "high", "xhigh"},
    "openai/gpt-6-astra": {"low", "medium", "high", "xhigh"},
}
_ADAPTIVE_EFFORTS = {"low", "medium", "high", "xhigh", "max"}
_GEMINI_BUDGETS = {
    "gemini/gemini-2.5-pro": (128, 32_768),
    "gemini/gemini-2.5-flash": (0, 24_576),
    "gemini/gemini-2.5-flash-lite": (0, 24_576),
}
_FLASH_LITE_LEAST = 512  # or 0
_CLAUDE_LEAST = 1_024

Fields = Mapping[str, Any]


def family(name: str) -> str:
    return (wire_cases.MODELS[name] or pricing.facts(name).reasoning).family


def walk(value: object) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield str(key), part
            yield from walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from walk(part)


def lost(name: str, found: dict[str, Any]) -> list[str]:
    """The parameters of the client that vanished silently."""
    body, notes = orjson.dumps(found["body"]).decode(), " ".join(found["granted"]["notes"])
    refused = GOLDEN[name]["refused parameters"]
    return [p for p in wire_cases.sentinels(name) if not (_arrived(p, body) or p in refused or f"{p} " in notes)]


def _arrived(parameter: str, body: str) -> bool:
    if parameter == "parallel_tool_calls":
        return '"parallel_tool_calls":false' in body or '"disable_parallel_tool_use":true' in body
    return wire_cases.MARKS[parameter] in body


def breaches(name: str, found: dict[str, Any]) -> list[str]:
    """What in a body the family's documented limits reject, in words."""
    fields = dict(walk(found["body"]))
    checks = [*_of_any(name, found), *_of_claude(name, found, fields), *_of_openai(name, fields)]
    if name.startswith("gemini/"):
        checks += _of_gemini(name, found["body"]["generationConfig"]["thinkingConfig"])
    return [words for words, wrong in checks if wrong]


def _of_any(name: str, found: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    caps = {value for key, value in walk(found["body"]) if key in _CAPS and isinstance(value, int)}
    yield "nothing caps what may be produced", found["max_tokens"] not in caps
    limit = pricing.facts(name).max_output
    yield "more is asked for than the model can give", limit is not None and found["max_tokens"] > limit
    yield "no room is left for an answer", found["granted"]["tokens"] > found["max_tokens"] - _ANSWER_RESERVE


def _of_claude(name: str, found: dict[str, Any], fields: Fields) -> Iterator[tuple[str, bool]]:
    if "claude" in name and not name.startswith("openrouter/"):
        yield "temperature beside top_p", "temperature" in fields and bool(fields.keys() & {"top_p", "topP"})
    if "budget_tokens" in fields and family(name).endswith("anthropic-budget"):
        yield "a budget below the least", fields["budget_tokens"] < _CLAUDE_LEAST
        yield "a budget not below max_tokens", fields["budget_tokens"] >= found["max_tokens"]
        yield "a temperature while thinking", fields.get("temperature", 1) != 1
        yield "sampling while thinking", bool(fields.keys() & (_SAMPLING - {"temperature"}))
    if family(name) == "anthropic-adaptive":
        kind = found["body"]["thinking"]["type"]
        yield "a budget where thinking is adaptive", "budget_tokens" in fields
        yield "sampling where thinking is adaptive", bool(_SAMPLING & fields.keys())
        yield "told to stop what it cannot", kind == "disabled" and not pricing.facts(name).reasoning.can_disable
        yield "an unknown effort", kind == "adaptive" and fields["effort"] not in _ADAPTIVE_EFFORTS


def _of_openai(name: str, fields: Fields) -> Iterator[tuple[str, bool]]:
    if name in EFFORTS:
        effort = fields["reasoning_effort"]
        yield "an unknown effort", effort not in EFFORTS[name]
        yield "a temperature while reasoning", effort != "none" and "temperature" in fields
        yield "max_tokens where max_completion_tokens belongs", "max_completion_tokens" not in fields


def _of_gemini(name: str, thinking: Fields) -> list[tuple[str, bool]]:
    if name not in _GEMINI_BUDGETS:
        level = thinking.get("thinkingLevel")
        return [
            ("a budget beside a level", "thinkingBudget" in thinking),
            ("an unknown level", level not in EFFORTS["openai/o4-mini"]),
        ]
    least, most = _GEMINI_BUDGETS[name]
    budget = thinking["thinkingBudget"]
    lite = name.endswith("lite") and 0 < budget < _FLASH_LITE_LEAST
    return [
        ("a level beside a budget", "thinkingLevel" in thinking),
        ("a budget out of range", lite or not least <= budget <= most),
    ]


def main() -> int:
    """Print the table; 1 where anything was lost or is outside the limits."""
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    models: dict[str, set[str]] = defaultdict(set)
    for name, _, found in EVERY_CASE:
        row = rows[family(name)]
        models[family(name)].add(name)
        counts = (1, len(wire_cases.sentinels(name)), len(lost(name, found)), len(breaches(name, found)))
        row[:] = [before + more for before, more in zip(row, counts, strict=True)]
    print(f"{'family':26} models  bodies  parameters  lost  outside limits")  # noqa: T201 - a report
    for one in sorted(rows):
        bodies, parameters, gone, wrong = rows[one]
        print(f"{one:26} {len(models[one]):6}  {bodies:6}  {parameters:10}  {gone:4}  {wrong:14}")  # noqa: T201 - a report
    sums = [sum(row[i] for row in rows.values()) for i in range(4)]
    print(f"{len(rows)} families{'':15} {len(GOLDEN):6}  {sums[0]:6}  {sums[1]:10}  {sums[2]:4}  {sums[3]:14}")  # noqa: T201 - a report
    return int(sums[2] + sums[3] > 0)


if __name__ == "__main__":
    sys.exit(main())
