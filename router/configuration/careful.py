"""What a configuration says that is allowed and probably not meant: tenants' models and tags that the ladder has not.

Not refused, because a ladder made of the environment's keys changes from one machine to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policies.types import Model
from router.configuration.tenants import TenantSettings


def doubts(tenants: list[TenantSettings], models: Mapping[str, Model]) -> Iterator[str]:
    """Sentences for the operator, one for each doubtful word; none where all is well."""
    tags = {tag for model in models.values() for tag in model.tags}
    there = ", ".join(models)
    for tenant in tenants:
        for setting, named in (("models", tenant.models or []), ("deny", tenant.deny)):
            for model in named:
                if model not in models:
                    yield f"tenant {tenant.id}: `{setting}` names {model!r}, which is not on the ladder ({there})"
        for tag in tenant.require_tags:
            if tag not in tags:
                yield f"tenant {tenant.id}: `require_tags` asks for {tag!r}, which no model bears: it can use none"
