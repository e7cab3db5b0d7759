"""The body of `POST /v1/feedback`: its fields, their limits, and the outcomes that it tells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from router.errors import InvalidRequest
from router.outcomes.outcome import Outcome, outcome_id

MAX_BODY_BYTES = 64 * 1024  # a long correction
MAX_CORRECTION = 20_000
MAX_COMMENT = 2_000
MAX_NAME = 256  # of a user

# What a label says of the answer. Words of one's own would mean nothing to training.
LABELS = {"correct": 1.0, "partly_correct": 0.5, "incorrect": 0.0}
THUMBS = {"up": 1.0, "down": 0.0}
# An answer that somebody took the trouble to correct was of some use, or it would have been thrown away.
CORRECTED = 0.25


@with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class FeedbackFields(TypedDict):
    """What a client says of an answer; one at least of score, thumbs, label and correction."""

    decision_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    score: NotRequired[Annotated[float, Field(ge=0, le=1)] | None]
    thumbs: NotRequired[Literal["up", "down"] | None]
    label: NotRequired[Literal["correct", "partly_correct", "incorrect"] | None]
    correction: NotRequired[Annotated[str, Field(min_length=1, max_length=MAX_CORRECTION)] | None]
    comment: NotRequired[Annotated[str, Field(max_length=MAX_COMMENT)] | None]
    user: NotRequired[Annotated[str, Field(max_length=MAX_NAME)] | None]


feedback_adapter: TypeAdapter[FeedbackFields] = TypeAdapter(FeedbackFields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A checked body. `values`: how good the answer was, by the source that says so."""

    decision_id: str
    values: dict[str, float]
    correction: str | None
    label: str | None
    comment: str | None
    user: str


def check_feedback(body: dict[str, Any]) -> Feedback:
    """The feedback, checked.

    Raises:
        InvalidRequest: the first thing that is wrong, with `param` naming it.
    """
    try:
        fields = feedback_adapter.validate_python(body)
    except ValidationError as error:
        raise _as_invalid_request(error) from None
    values = _values(fields)
    if not values:
        raise InvalidRequest("Say at least one of `score`, `thumbs`, `label` and `correction`.", param="score")
    for name in ("correction", "comment", "user"):
        _encodable(name, fields.get(name))
    return Feedback(
        decision_id=fields["decision_id"],
        values=values,
        correction=fields.get("correction"),
        label=fields.get("label"),
        comment=fields.get("comment"),
        user=fields.get("user") or "",
    )


def _values(fields: FeedbackFields) -> dict[str, float]:
    score, thumbs, label = fields.get("score"), fields.get("thumbs"), fields.get("label")
    values: dict[str, float] = {}
    if score is not None and math.isfinite(score):
        values["feedback.score"] = float(score)
    if thumbs is not None:
        values["feedback.thumbs"] = THUMBS[thumbs]
    if label is not None:
        values["feedback.label"] = LABELS[label]
    if fields.get("correction") is not None:
        values["feedback.correction"] = CORRECTED
    return values


def _encodable(name: str, text: object) -> None:
    """Refuse what UTF-8 cannot hold: a lone surrogate."""
    try:
        str(text).encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"`{name}` is not valid Unicode text.", param=name) from None


def outcomes_of(
    feedback: Feedback,
    *,
    tenant: str,
    key: str,
    idempotency_key: str | None,
    reliability: dict[str, float],
    keep_text: bool,
    created: float,
) -> list[Outcome]:
    """One outcome for each thing that was said.

    Without an idempotency key, the same teller's later word on the same decision takes the place of the earlier one.
    """
    texts = {"feedback.correction": feedback.correction, "feedback.label": feedback.label}
    told: list[Outcome] = []
    for source, value in feedback.values.items():
        teller = (idempotency_key,) if idempotency_key else (feedback.decision_id, feedback.user)
        told.append(
            Outcome(
                outcome_id=outcome_id(tenant, key, source, "named" if idempotency_key else "", *teller),
                decision_id=feedback.decision_id,
                tenant=tenant,
                key=key,
                created=created,
                source=source,
                value=value,
                reliability=reliability[source],
                label=texts.get(source) if keep_text or source == "feedback.label" else None,
                note=feedback.comment if keep_text else None,
            )
        )
    return told


def _as_invalid_request(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_input=False)[0]
    param = str(first["loc"][0]) if first["loc"] else "decision_id"
    if first["type"] == "missing":
        message = f"`{param}` is missing."
    elif first["type"] == "extra_forbidden":
        message = f"`{param[:100]}` is not a field of feedback; remove it or mend its spelling."
    else:
        message = f"`{param}`: {first['msg']}."
    return InvalidRequest(message, param=param[:100])
