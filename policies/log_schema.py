"""The decision log's two tables: which columns its Parquet files have, of which type, and what each means.

The contract between the gateway, which writes the log, and training, which reads it. Plain data: whoever writes turns
a type's name into its own library's type. Files lie, under a folder or any fsspec URL, at

    decisions/tenant=<id>/day=<YYYY-MM-DD>/part-*.parquet
    outcomes/tenant=<id>/day=<YYYY-MM-DD>/part-*.parquet

`day` is the UTC day of `created`. A reader takes rows of one `decision_id` or `outcome_id` once, the last written
(greatest `written`), so that a writer that repeats a part after a crash does no harm. A late outcome lies under its own
day, not its decision's. Columns are only ever added; a reader takes an absent nullable column as null.

Types: `string`, `int64`, `float64`, `bool`, `list<float32>`, and `list<struct>` with the fields of `OPTION`.

Outcomes of a decision are about the rung that was served, unless they name another (`model`, `allowance`): a judge's
or a replay's score of a rung that was not served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOG_VERSION: Final = 1
DECISIONS: Final = "decisions"
OUTCOMES: Final = "outcomes"

# Sources of an outcome. Those after which a name follows are `<source>.<name>`.
FEEDBACK: Final = ("feedback.score", "feedback.thumbs", "feedback.label", "feedback.correction")
IMPLICIT: Final = "implicit"
CHECKER: Final = "checker"
JUDGE: Final = "judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its name, its type's name (see the module), whether it may be null, what it means."""

    name: str
    type: str
    meaning: str
    nullable: bool = False


def _must(name: str, kind: str, meaning: str) -> Column:
    return Column(name=name, type=kind, meaning=meaning)


def _may(name: str, kind: str, meaning: str) -> Column:
    return Column(name=name, type=kind, meaning=meaning, nullable=True)


OPTION: Final = (
    _must("model", "string", "The model's id in the catalogue."),
    _must("tier", "string", "Its tier."),
    _must("allowance", "int64", "Thinking tokens granted."),
    _must("quality", "float64", "Predicted probability of a right answer, 0..1."),
    _must("cost_nano", "int64", "Expected cost in nano-dollars."),
)

DECISION_COLUMNS: Final = (
    _must("decision_id", "string", "As in `x-rung-decision-id`."),
    _must("tenant", "string", "Whose request."),
    _must("key", "string", "The id of the API key; never its secret."),
    _may("user", "string", "The end user, as the client named him; what erasure goes by."),
    _may("session", "string", "The session's id."),
    _must("created", "float64", "Unix seconds, when the record was made."),
    _must("written", "float64", "Unix seconds, when the row was written to the log; the last one of an id counts."),
    _must("record_version", "int64", "Of the layout: LOG_VERSION."),
    # --- the query
    _may("text", "string", "The last user turn, only where the tenant allows it to be kept."),
    _must("text_hash", "string", "Keyed hash of the normalised text: equal questions of one tenant have equal ones."),
    _may("word_runs", "string", "Keyed hashes of its word runs where the text is not kept (policies.word_runs)."),
    _may("embedding", "list<float32>", "The first part of the classifier's input (classifier.inputs)."),
    _may("features", "list<float32>", "Its second part: the hand features."),
    _must("feature_schema", "string", "`Inputs.schema` of what made them; inputs of another are not comparable."),
    _must("kind", "string", "Kind of task, by the classifier."),
    _may("language", "string", "Of the text, where somebody says so."),
    _must("characters", "int64", "Of the text."),
    # --- the forecast
    _must("difficulty", "float64", "The classifier's, 0..1."),
    _must("uncertainty", "float64", "Its standard error."),
    _must("classifier_version", "string", "Which artefact judged."),
    _must("is_default", "bool", "Whether the forecast is the marked default, as the classifier gave none."),
    # --- the decision; null or empty on a cache hit, where nothing was decided
    Column(
        name="options",
        type="list<struct>",
        meaning="The rungs that could have been taken, the taken one among them (fields: OPTION).",
    ),
    _may("taken_model", "string", "The rung of the plan's first attempt: its model."),
    _may("taken_tier", "string", "Its tier."),
    _may("taken_allowance", "int64", "Its thinking tokens."),
    _may("propensity", "float64", "With which probability it was taken."),
    _may("preferred_model", "string", "The model that would have been taken, had all been callable."),
    _may("quality_dial", "float64", "The caller's dial, 0..1."),
    _may("pacing_price", "float64", "The shadow price of a dollar."),
    _may("hold_nano", "int64", "Nano-dollars reserved."),
    _may("policy_version", "string", "Of what decided."),
    _may("catalog_version", "string", "Of what it decided among."),
    _must("rules_id", "string", "Hash of models and policy in force."),
    # --- what came of it
    _may("served_model", "string", "The model that answered; null where none did."),
    _may("served_tier", "string", "Its tier; `cache` on a hit."),
    _may("served_allowance", "int64", "Thinking tokens granted to it."),
    _must("attempts", "int64", "Upstream calls made."),
    _may("finish_reason", "string", "The provider's, or `interrupted`."),
    _may("error", "string", "The error's code where there was no answer."),
    _must("cache", "string", "`hit`, `semantic`, `miss` or `bypass`."),
    _may("input_tokens", "int64", "Prompt tokens."),
    _may("cached_read", "int64", "Of these, read from the provider's cache."),
    _may("cached_write", "int64", "Of these, newly written to it."),
    _may("output_tokens", "int64", "Completion tokens, thinking included."),
    _may("reasoning_tokens", "int64", "Of these, thinking; null where the provider does not say."),
    _must("cost_nano", "int64", "Nano-dollars booked."),
    _must("overhead_ms", "float64", "Rung's own time before the upstream call."),
    _must("duration_ms", "float64", "From arrival until the record."),
)

OUTCOME_COLUMNS: Final = (
    _must("outcome_id", "string", "Idempotency key: the same outcome told twice counts once, the last time."),
    _must("decision_id", "string", "Which decision it is about."),
    _must("tenant", "string", "Whose."),
    _must("key", "string", "The API key that told it; of the decision for what Rung observed itself."),
    _must("created", "float64", "Unix seconds, when it was told or observed."),
    _must("written", "float64", "Unix seconds, when the row was written to the log."),
    _must("source", "string", "One of FEEDBACK, `implicit.<what>`, `checker.<name>` or `judge`."),
    _must("value", "float64", "How good the answer was, 0..1."),
    _must("reliability", "float64", "How far the source is to be believed, 0..1: the weight of the label."),
    _may("label", "string", "The words of a label or correction, where the tenant allows text to be kept."),
    _may("model", "string", "The rung that it is about where it is not the served one: its model."),
    _may("tier", "string", "Its tier."),
    _may("allowance", "int64", "Its thinking tokens."),
    _may("note", "string", "Anything for people; never read by a program."),
)


def is_source(source: str) -> bool:
    """Whether an outcome may name this source."""
    if source in FEEDBACK or source == JUDGE:
        return True
    stem, dot, name = source.partition(".")
    return stem in {IMPLICIT, CHECKER} and bool(dot) and bool(name)
