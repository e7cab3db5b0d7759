"""What the sections of the settings share: strict, frozen models, and the types of their fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$"

TENANT_ID = r"^[a-z0-9][a-z0-9_-]{0,62}(@[a-z0-9][a-z0-9_-]{0,62})?$"

CHECKER = r"^[a-z0-9][a-z0-9_-]{0,62}$"

# The name of an environment variable. Mixed case is refused because a key that was written there by mistake has it, and
# the name stands in banners, receipts and errors.
VARIABLE = r"^([A-Z_][A-Z0-9_]{0,127}|[a-z_][a-z0-9_]{0,127})$"

# What is said instead of a pattern.
PATTERNS = {
    IDENTIFIER: "must begin with a letter or digit and have letters, digits and ._:/@+- only, 128 at most",
    TENANT_ID: "must have lower-case letters, digits, - and _ only, 63 at most; search@acme belongs to acme",
    CHECKER: "must have lower-case letters, digits, - and _ only, 63 at most",
    VARIABLE: "must be the name of an environment variable, such as OPENAI_API_KEY, and not the key itself",
}

Usd = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9)]

Probability = Annotated[float, Field(ge=0, le=1)]

Weight = Annotated[float, Field(ge=0, le=1e6)]


def refuse_duplicates(what: str, ids: list[str]) -> None:
    """Raise ValueError where an id stands there twice, by the name of what has such ids."""
    repeated = sorted({i for i in ids if ids.count(i) > 1})
    if repeated:
        raise ValueError(f"{what}: `{repeated[0]}` stands there twice; ids are unique")


class Section(BaseModel):
    """A section of the settings: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
