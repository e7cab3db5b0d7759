"""What rolled over, by the durable record: alone proves that the books carry into a window what they may.

When a window opens, each of its budgets that roll over carries a share of what the last one left, and the record notes
it with all that it was computed from (`roll`). The counters (`r|name` in a window) must equal what the record says, and
what the record says must be what those figures give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from policies.budgets import rolled_over
from router.store.ledger_types import LARGEST_NANO
from router.store.record import Entry

Rolled = dict[tuple[str, str], int]  # (window, budget) -> nano-dollars
_FOLDED = "=r="  # before window|budget in the checkpoint


def rolled(checkpoint: Mapping[str, str], entries: Iterable[Entry]) -> Rolled:
    """What was carried into each window for each budget."""
    found = _folded(checkpoint)
    for entry in entries:
        _note(found, entry)
    return found


def wrong(
    checkpoint: Mapping[str, str],
    entries: Iterable[Entry],
    folded: Mapping[tuple[str, str], int],
    complete: Callable[[str], bool],
) -> Iterator[tuple[Entry, int]]:
    """The entries that carried something else than they should, each with what it should have been.

    Args:
        checkpoint: of the record's folded part. entries: the others, oldest first.
        folded: what the folded part spent, by window and scope.
        complete: whether the record holds all of a window; where not, an entry's own word is taken for what was spent.
    """
    spent, known = dict(folded), _folded(checkpoint)
    for entry in entries:
        if entry.kind == "roll":
            facts = orjson.loads(entry.facts)
            old = facts["from"]
            if complete(old):
                facts |= {"spent": spent.get((old, entry.scopes[0]), 0), "rolled": known.get((old, entry.id), 0)}
            due = _due(facts)
            if due != entry.held_nano:
                yield entry, due
        _note(known, entry)
        for window in entry.windows:
            for scope in entry.scopes:
                spent[window, scope] = spent.get((window, scope), 0) + entry.cost_nano


def _folded(checkpoint: Mapping[str, str]) -> Rolled:
    found: Rolled = {}
    for name, nano in checkpoint.items():
        if name.startswith(_FOLDED):
            window, _, budget = name.removeprefix(_FOLDED).partition("|")
            found[window, budget] = int(nano)
    return found


def _note(found: Rolled, entry: Entry) -> None:
    """A budget that no longer rolls over (`unbudget`) loses what was carried into the window of that moment."""
    if entry.kind == "roll":
        found[entry.windows[0], entry.id] = entry.held_nano
    elif entry.kind == "unbudget" and entry.windows:
        found.pop((entry.windows[0], entry.id), None)


def _due(facts: Mapping[str, Any]) -> int:
    """What the figures of an entry give: from the old window, then through those in which nothing was spent."""
    limit, share = int(facts["limit"]), float(facts["roll"])
    cap = min(int(facts.get("cap", LARGEST_NANO)), LARGEST_NANO - limit)
    carried = int(facts["rolled"])
    left = limit + carried - int(facts["spent"]) - int(facts["held"])
    for _ in range(int(facts["windows"])):
        before, carried = carried, rolled_over(limit, left, share=share, cap_nano=cap) - limit
        if carried == before and left == limit + carried:
            break
        left = limit + carried
    return carried
