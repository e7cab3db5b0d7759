"""YAML as the configuration has it: alone refuses a name that stands twice in one mapping.

YAML's own readers let the last one win. A second `tenants:` further down would take the first one's budgets away, and
nobody would be told.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """Plain data, without repeated names; `<<` may be overridden, as it is meant to be."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping. Raises yaml.YAMLError, with line and column, where a name stands there twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    "in the mapping that begins", node.start_mark, f"`{key.value}` stands there twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def read(text: str) -> object:
    """The content of a document. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=StrictLoader)  # noqa: S506 - a safe loader, made stricter
