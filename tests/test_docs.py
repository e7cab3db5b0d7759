"""The documents are held against the code: settings, errors, headers, fields of a record, links, examples."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import httpx
import pytest
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from router import errors
from router.cli.commands import build
from router.configuration.live import configure
from router.configuration.settings import Settings, load
from router.tenants.declared import DEMO_TENANT
from router.testing import FakeUpstream
from router.wire import reading
from tests.gateway import Running, fake_settings, running
from tests.router.api.conftest import Loop

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/reference"
_PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# `rung tenants create`, as code in a sentence or as a line of a shell.
_COMMAND = re.compile(r"(?:^|`|bin/|&& )rung ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _rows(page: str) -> Iterator[list[str]]:
    """The cells of every table row whose first cell is code; a cell's code marks are taken off."""
    for line in (REFERENCE / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            yield [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]


def _fenced(page: Path, language: str) -> list[str]:
    return [body for lang, body in _FENCE.findall(page.read_text(encoding="utf-8")) if lang == language]


def _blocks(language: str) -> list[Any]:
    """The fenced examples of one language in all pages, as test parameters."""
    found = [(page, body) for page in _PAGES for body in _fenced(page, language)]
    return [pytest.param(body, id=f"{_name(page)}-{number}") for number, (page, body) in enumerate(found)]


# --- settings


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(path, default as it is written down) of every setting."""
    for name, field in model.model_fields.items():
        path = prefix + name
        nested, item = _section(field.annotation), _item(field.annotation)
        default = field.get_default(call_default_factory=True)
        if nested is None or default is None:  # a section that is always there is named by its settings
            yield path, _shown(default)
        if nested is not None:
            yield from _settings(nested, f"{path}.")
        elif item is not None:
            yield from _settings(item, f"{path}[].")


def _section(annotation: Any) -> type[BaseModel] | None:
    found = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
    return found[0] if found and get_origin(annotation) is not list else None


def _item(annotation: Any) -> type[BaseModel] | None:
    lists = [a for a in (annotation, *get_args(annotation)) if get_origin(a) is list]
    inner = get_args(lists[0])[0] if lists else None
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _shown(default: Any) -> str:
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list):
        return f"[{', '.join(default)}]"
    return str(default) if default != "" else '""'


def test_every_setting_is_documented_with_its_default_and_no_other_is() -> None:
    documented = {path: default for path, _env, _type, default, _meaning in _rows("settings.md")}
    assert documented == dict(_settings(Settings))


def test_the_documented_environment_names_are_those_that_are_read() -> None:
    for path, env, *_ in _rows("settings.md"):
        expected = "-" if "[]" in path else "RUNG_" + path.upper().replace(".", "__")
        assert env == expected, path


# --- errors


def _tree(error: type[errors.RungError]) -> Iterator[type[errors.RungError]]:
    yield error
    for child in error.__subclasses__():
        yield from _tree(child)


def test_every_error_is_documented_with_its_status_type_and_code() -> None:
    documented = {
        name: (int(status), kind, code) for name, status, kind, code, *_ in _rows("errors.md") if name[0].isupper()
    }
    actual = {
        e.__name__: (e.status, e.type, e.code) for e in _tree(errors.RungError) if e.__module__ == errors.__name__
    }
    assert documented == actual


def test_every_error_has_a_remedy() -> None:
    for name, *_rest, when, remedy in _rows("errors.md"):
        assert when, name
        assert remedy, name


# --- headers


def test_the_documented_headers_are_those_in_the_code() -> None:
    sources = ("service/turn", "wire/reading", "wire/errors", "auth", "store/limits", "middleware")
    code = "\n".join((ROOT / "router" / f"{name}.py").read_text(encoding="utf-8") for name in sources)
    named = set(re.findall(r'b?"(x-[a-z-]+[a-z]|retry-after|www-authenticate|cache-control)"', code))
    named |= {wish.decode() for wish in reading._WISHES}  # pyright: ignore[reportPrivateUsage] - held against the code itself
    for what in ("limit", "remaining", "reset"):
        assert f'f"x-ratelimit-{what}-{{kind}}"' in code
        named |= {f"x-ratelimit-{what}-{kind}" for kind in ("requests", "tokens")}
    page = (REFERENCE / "headers.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(x-[a-z-]+[a-z]|retry-after|www-authenticate|cache-control)`", page))
    assert documented == named


# --- the decision record


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway in front of a fake provider, whose tenant has a budget."""
    loop, upstream = Loop(), FakeUpstream()
    loop.run(upstream.__aenter__())
    tenants = [{"id": DEMO_TENANT, "budgets": [{"limit_usd": 5}]}]
    settings = fake_settings(upstream.openai_base, tmp_path_factory.mktemp("docs"), tenants=tenants)
    try:
        with running(settings) as gateway:
            yield gateway
    finally:
        loop.run(upstream.__aexit__(None, None, None))
        loop.stop()


def _record(gateway: Running) -> dict[str, Any]:
    """The record of a question that the gateway has answered."""
    question = {"model": "auto", "messages": [{"role": "user", "content": "What is a ladder?"}]}
    with httpx.Client(base_url=gateway.url, headers=gateway.headers, timeout=30) as client:
        reply = client.post("/v1/chat/completions", json=question).raise_for_status()
        return client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").raise_for_status().json()


def _paths(value: Any, path: str = "") -> Iterator[str]:
    """The dotted paths of a record's leaves; a list of objects is `[]`, the two repeated candidates are leaves."""
    if path in {"receipt.chosen", "receipt.preferred"}:
        yield path
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        yield from _paths(value[0], f"{path}[]")
    else:
        yield path


def test_every_field_of_a_decision_record_is_documented_and_no_other_is(gateway: Running) -> None:
    documented = {path for path, _meaning in _rows("decision-record.md")}
    assert documented - {"receipt"} == set(_paths(_record(gateway)))


def test_the_receipt_in_the_readme_has_the_fields_of_a_record() -> None:
    documented = {path for path, _meaning in _rows("decision-record.md")}
    records = [r for body in _fenced(ROOT / "README.md", "json") if "object" in (r := json.loads(body))]
    assert [record["object"] for record in records] == ["rung.decision"]
    assert set(_paths(records[0])) <= documented


# --- pages


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_internal_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        goal = (page.parent / file).resolve() if file else page
        assert goal.exists(), f"{_name(page)} links to {target}"
        if anchor:
            assert anchor in _anchors(goal), f"{_name(page)} links to {target}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_stands_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in _PAGES[2:] if page.parent.name != "adr"]
    missing = [page for page in pages if page != "README.md" and page not in index]
    assert not missing, "add a line for each to docs/README.md"


def test_the_architecture_names_every_module_of_the_gateway_and_no_other() -> None:
    tree = _fenced(ROOT / "docs/architecture.md", "text")[0].partition("router/")[2].partition("classifier/")[0]
    named: set[str] = set()
    room = ""
    for line in filter(str.strip, tree.splitlines()[1:]):
        name = line.split()[0]
        inside = line.startswith(" " * 4)
        room = room if inside else name
        named.add(room + name if inside else name)
    folders = {f"{p.parent.name}/" for p in (ROOT / "router").glob("*/__init__.py")}
    opened = {folder for folder in folders if any(name.startswith(folder) and name != folder for name in named)}
    files = {p.stem for p in (ROOT / "router").glob("*.py")} - {"__init__"}
    inside_rooms = {f"{room}{p.stem}" for room in opened for p in (ROOT / "router" / room).glob("*.py")}
    assert named == files | folders | {name for name in inside_rooms if not name.endswith("__init__")}


# --- examples


@pytest.mark.parametrize("body", _blocks("yaml"))
def test_yaml_examples_are_valid_configurations(body: str, tmp_path: Path) -> None:
    file = tmp_path / "rung.yaml"
    file.write_text(body, encoding="utf-8")
    settings = load(file)
    assert settings != Settings(), "an example that sets nothing shows nothing"
    assert configure(settings, {}, None).ladder.models


@pytest.mark.parametrize("body", _blocks("json"))
def test_json_examples_are_json(body: str) -> None:
    assert json.loads(body)


@pytest.mark.parametrize("body", [block for block in _blocks("python") if "OpenAI()" in block.values[0]])
def test_examples_of_the_openai_client_run(
    body: str, gateway: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", gateway.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", gateway.key)
    names: dict[str, Any] = {}
    exec(compile(body, "an example", "exec"), names)  # noqa: S102 - the examples are our own
    names["client"].close()
    assert capsys.readouterr().out.strip(), "an example that prints nothing shows nothing"


@pytest.mark.parametrize("body", _blocks("python"))
def test_python_examples_import_only_what_exists(body: str) -> None:
    tree = compile(body, "an example", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert imports, "an example shows where its names come from"
    for node in imports:
        module = importlib.import_module(str(node.module))
        assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)


def test_every_rung_command_in_the_users_pages_exists() -> None:
    known = _commands(typer.main.get_command(build()))
    pages = [page for page in _PAGES if page.name == "README.md" or page.parent.name in {"guides", "reference"}]
    for page in pages:
        for name, sub in _COMMAND.findall(page.read_text(encoding="utf-8")):
            assert name in known, f"{_name(page)}: rung {name}"
            subs = _commands(known[name])
            if name != "bench":  # an extension's commands are loaded only when it is called
                assert not subs or not sub or sub in subs, f"{_name(page)}: rung {name} {sub}"


def _commands(command: Any) -> dict[str, Any]:
    return getattr(command, "commands", {})
