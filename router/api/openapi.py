"""The OpenAPI description of the endpoints, whose bodies are checked by `router.wire` rather than by the framework."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from router.api.admin import promote_adapter, rollback_adapter
from router.outcomes.feedback import feedback_adapter
from router.wire.chat import chat_adapter

_DEFINITIONS = "#/components/schemas/{model}"

_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def describe(app: FastAPI) -> None:
    """Give the application its description; it is made once, when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app.title, app.version, app.summary or "")
        return app.openapi_schema

    app.openapi = openapi


def _document(title: str, version: str, summary: str) -> dict[str, Any]:
    chat = chat_adapter.json_schema(ref_template=_DEFINITIONS)
    schemas = {**chat.pop("$defs", {}), "ChatCompletionRequest": chat, "Error": _ERROR}
    route = {**chat, "required": ["messages"]}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "summary": summary},
        "paths": {
            "/v1/chat/completions": {"post": _operation("Answer a chat request", "ChatCompletionRequest", stream=True)},
            "/v1/route": {"post": _operation("Quote the ladder without a call", "RouteRequest")},
            "/v1/models": {"get": _operation("What may be named as `model`")},
            "/v1/models/{model}": {"get": _operation("One model", path="model")},
            "/v1/decisions/{decision_id}": {"get": _operation("The receipt of a decision", path="decision_id")},
            "/v1/feedback": {"post": _operation("Tell what became of an answer", "FeedbackRequest")},
            "/v1/admin/tenants": {"get": _operation("The tenants with what they spent (admin key)")},
            "/v1/admin/tenants/{tenant}": {"get": _operation("A tenant's money (admin key)", path="tenant")},
            "/v1/admin/alerts": {"get": _operation("The alerts of all budgets (admin key)")},
            "/v1/admin/classifier": {"get": _operation("The classifiers in force (admin key)")},
            "/v1/admin/classifier/promote": {"post": _operation("Promote a classifier (admin key)", "PromoteRequest")},
            "/v1/admin/classifier/rollback": {"post": _operation("Undo a promotion (admin key)", "RollbackRequest")},
            "/": {"get": _operation("What this is, and where its endpoints are", secured=False)},
            "/healthz": {"get": _operation("Whether the process lives", secured=False)},
            "/readyz": {"get": _operation("Whether it can serve", secured=False)},
            "/metrics": {"get": _operation("Metrics for Prometheus", secured=False, media="text/plain")},
        },
        "components": {
            "schemas": {**schemas, "RouteRequest": route, **_own_schemas()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _own_schemas() -> dict[str, Any]:
    """The bodies that are Rung's own rather than OpenAI's."""
    adapters: dict[str, TypeAdapter[Any]] = {
        "FeedbackRequest": feedback_adapter,
        "PromoteRequest": promote_adapter,
        "RollbackRequest": rollback_adapter,
    }
    return {name: adapter.json_schema(ref_template=_DEFINITIONS) for name, adapter in adapters.items()}


def _operation(
    summary: str,
    body: str | None = None,
    *,
    path: str | None = None,
    secured: bool = True,
    stream: bool = False,
    media: str = "application/json",
) -> dict[str, Any]:
    error = {"description": "Error", "content": {"application/json": {"schema": _reference("Error")}}}
    content: dict[str, Any] = {media: {"schema": {"type": "string" if media == "text/plain" else "object"}}}
    if stream:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": "OK", "content": content}, "default": error},
    }
    if secured:
        operation["security"] = [{"key": []}]
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(body)}},
        }
    if path is not None:
        operation["parameters"] = [
            {"name": path, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        ]
    return operation


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _DEFINITIONS.format(model=name)}
