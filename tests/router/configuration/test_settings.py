"""Settings: who wins, and what is said where something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.configuration import settings
from router.configuration.settings import ConfigError, Settings
from router.resources.pepper import read_pepper


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str) -> None:
    Path("rung.yaml").write_text(text, encoding="utf-8")


def test_without_file_and_environment_the_defaults_hold() -> None:
    assert settings.load() == Settings()


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    write("server: {port: 1111, host: 10.0.0.1}\nquality: 0.7\n")
    monkeypatch.setenv("RUNG_SERVER__PORT", "2222")
    loaded = settings.load()
    assert (loaded.server.port, loaded.server.host, loaded.server.workers, loaded.quality) == (2222, "10.0.0.1", 1, 0.7)


def test_a_file_may_be_named_by_the_environment_or_in_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.yaml").write_text("quality: 0.1")
    (folder / "b.yaml").write_text("quality: 0.2")
    monkeypatch.setenv("RUNG_CONFIG", "a.yaml")
    assert settings.load().quality == 0.1
    assert settings.load(folder / "b.yaml").quality == 0.2


def test_redis_url_is_the_store_s_where_nothing_else_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://of-the-environment")
    assert settings.load().store.url == "redis://of-the-environment"
    write("store: {timeout_ms: 50}")
    assert (settings.load().store.url, settings.load().store.timeout_ms) == ("redis://of-the-environment", 50)
    write("store: {url: 'redis://of-the-file'}")
    assert settings.load().store.url == "redis://of-the-file"
    monkeypatch.setenv("RUNG_STORE__URL", "redis://of-rung")
    assert settings.load().store.url == "redis://of-rung"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_SERVER__PORT", "")
    monkeypatch.setenv("REDIS_URL", "")
    assert settings.load() == Settings()


def test_lists_come_as_json_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_TIERS", '["low", "high"]')
    assert settings.load().tiers == ["low", "high"]


MODEL = "{id: a, upstream: openai/x, tier: economy}"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("servr: {port: 1}", ["servr", "is not a setting", "perhaps server? Remove it or mend its spelling"]),
        ("registry: {folder: r, public_keys: [abc]}", ["registry.public_keys.0", "{64}"]),
        ("bogus: 3", ["bogus: is not a setting of Rung; remove it"]),
        ("server: {prot: 1}", ["server.prot", "is not a setting"]),
        ("server: {port: 99999}", ["server.port", "65535"]),
        ("server: {port: abc}\nquality: 3", ["2 thing(s)", "server.port", "quality"]),
        ("store: {url: 'http://x'}", ["store.url", "redis://"]),
        ("store: text", ["store"]),
        ("models: [{id: auto, upstream: openai/x, tier: economy}]", ["`auto` is the name"]),
        (f"models: [{MODEL}, {MODEL}]", ["stands there twice"]),
        ("models: [{id: a, upstream: openai/x, tier: gold}]", ["`gold` is not one of tiers"]),
        ("models: [{id: a, upstream: openai/x, tier: economy, api_key: k, api_key_env: K}]", ["not both"]),
        ("tenants: [{id: UPPER}]", ["tenants.0.id"]),
        ("tenants: [{id: a, budgets: [{limit_usd: -1}]}]", ["tenants.0.budgets.0.limit_usd", "0 is the first"]),
        ("- a list", ["must be a mapping"]),
        ("a: [", ["is not valid YAML"]),
        ("tenants: []\nquality: 0.1\ntenants: []", ["is not valid YAML", "`tenants` stands there twice", "line 3"]),
        ("tenants: [{id: a, name: x, name: y}]", ["`name` stands there twice"]),
        ("tiers: []", ["tiers", "at least 1 item"]),
        ("tiers: [a, a]", ["tiers: `a` stands there twice"]),
        (
            "tenants: [{id: a, budgets: [{limit_usd: 5}, {limit_usd: 6}]}]",
            ["tenants.0", "two of window `month`, and only one can hold"],
        ),
        ("models: [{id: a b, upstream: openai/x, tier: economy}]", ["models.0.id: must begin with a letter or digit"]),
        (
            "models: [{id: a, upstream: openai/x, tier: economy, api_base: 'my server:8000'}]",
            ["models.0.api_base: must begin with https://"],
        ),
        ("a: !!python/object/apply:os.system [ls]", ["is not valid YAML"]),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_place(text: str, named: list[str]) -> None:
    write(text)
    with pytest.raises(ConfigError) as caught:
        settings.load()
    assert "rung.yaml" in str(caught.value)
    for words in named:
        assert words in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("RUNG_TIERS", "economy"), ("RUNG_MODELS", "{"), ("RUNG_SERVER", "x")])
def test_a_variable_that_should_hold_json_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{name}: must hold JSON"):
        settings.load()


def test_an_unknown_nested_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_SERVER__PROT", "1")
    with pytest.raises(ConfigError, match=r"server\.prot"):
        settings.load()


def test_a_named_file_that_is_not_there_or_not_text_is_an_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match="`rung init` writes one"):
        settings.load(folder / "missing.yaml")
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        settings.load(folder / "binary.yaml")


@pytest.mark.parametrize("key", ["sk-proj-abc", "AIzaSyD3xyz", "gsk_8fGhJ", "MY KEY", ""])
def test_a_key_where_its_variable_belongs_is_refused_and_not_repeated(key: str) -> None:
    write(f"models: [{{id: a, upstream: openai/x, tier: economy, api_key_env: '{key}'}}]")
    with pytest.raises(ConfigError, match="must be the name of an environment variable") as caught:
        settings.load()
    assert not key or key not in str(caught.value)


def test_a_mapping_s_merged_names_may_be_overridden() -> None:
    write(
        "models:\n  - &own {id: a, upstream: hosted_vllm/x, tier: economy, ability: 0.4}\n"
        "  - {<<: *own, id: b}\n  - {<<: *own, id: c, ability: 0.5}\n"
    )
    assert [(model.id, model.ability) for model in settings.load().models] == [("a", 0.4), ("b", 0.4), ("c", 0.5)]


def test_no_secret_is_shown() -> None:
    write("models: [{id: a, upstream: openai/x, tier: economy, api_key: sk-very-secret}]")
    assert "very-secret" not in repr(settings.load())


def test_the_pepper_is_drawn_once_and_kept_for_its_owner_only(folder: Path) -> None:
    loaded = settings.load()
    first = read_pepper(loaded)
    assert read_pepper(loaded) == first
    assert len(first) == 64
    assert (folder / ".rung" / "pepper").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (folder / ".rung").iterdir()] == ["pepper"]


def test_a_pepper_that_is_short_or_damaged_is_an_error_that_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".rung").mkdir()
    (folder / ".rung" / "pepper").write_bytes(b"")
    with pytest.raises(ConfigError, match="is damaged"):
        read_pepper(settings.load())
    monkeypatch.setenv("RUNG_STORE__PEPPER", "short")
    with pytest.raises(ConfigError, match="at least 16 characters"):
        read_pepper(settings.load())
    monkeypatch.setenv("RUNG_STORE__PEPPER", "long enough for anybody")
    assert read_pepper(settings.load()) == b"long enough for anybody"


def test_a_data_directory_that_cannot_be_made_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_text("")
    monkeypatch.setenv("RUNG_STORE__DATA_DIR", "file/below")
    with pytest.raises(ConfigError, match="RUNG_STORE__DATA_DIR"):
        read_pepper(settings.load())
