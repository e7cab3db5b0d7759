"""The `rung` command: what it prints, and one line instead of a traceback where something is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from router.cli import main
from router.cli.banner import banner
from router.cli.commands import build
from router.configuration.ladder import build_ladder
from router.configuration.settings import Settings
from router.resources.resources import Resources
from tests.patience import PATIENCE_S
from tests.second_looks import static_in_place_of_a_transformer

COMMANDS = [
    [],
    ["serve"],
    ["init"],
    ["route"],
    ["models"],
    ["models", "list"],
    ["tenants"],
    *[["tenants", name] for name in ("create", "list", "show", "set-budget", "disable")],
    ["keys"],
    *[["keys", name] for name in ("create", "list", "revoke")],
]
PRICED = {
    "id": "m",
    "upstream": "openai/x",
    "tier": "premium",
    "api_key": "k",
    "context_window": 8_000,
    "max_output": 1_000,
    "prices": {"input": 1, "output": 4},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(build(), list(arguments))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a wrong command says; it ends with 2."""
    monkeypatch.setattr(sys, "argv", ["rung", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    assert "Usage:" in run(*command, "--help")


def test_the_version_is_told() -> None:
    assert run("--version").startswith("rung ")


def test_init_writes_a_file_that_loads_and_does_not_overwrite_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")
    assert "rung.yaml written with 3 models" in run("init")
    written = (folder / "rung.yaml").read_text()
    assert "sk-of-a-test" not in written
    loaded = Settings.model_validate(yaml.safe_load(written))
    assert [model.tier for model in loaded.models] == ["economy", "standard", "premium"]
    suggested = build_ladder(Settings(), {"OPENAI_API_KEY": "sk-of-a-test"}).models
    of_the_file = build_ladder(loaded, {"OPENAI_API_KEY": "sk-of-a-test"}).models
    assert of_the_file == suggested, "prices of long prompts included"
    assert any(model.price_rules for model in of_the_file.values())
    assert all(model.prices is not None for model in loaded.models)
    assert "ready" in run("models", "list")
    assert "is there already" in refused(capsys, monkeypatch, "init")
    run("init", "--force")


def test_route_chooses_another_rung_for_a_proof_than_for_a_sum() -> None:
    def preferred(question: str) -> tuple[str, int]:
        choice = json.loads(run("route", question, "--json"))["choice"]
        return choice["model"], choice["allowance"]

    proof = "Prove that there are infinitely many primes congruent to 3 modulo 4."
    assert preferred("What is 2+2?") != preferred(proof)
    told = run("route", proof)
    for label in ("difficulty", "choice", "served", "why", "not cheaper", "not better"):
        assert label in told


def test_route_looks_again_where_the_decision_is_close_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")  # with the local model alone, nothing would be in question
    artefact = static_in_place_of_a_transformer(folder / "second", harder=2.0)

    def routed(margin: float) -> str:
        looking = {"artefact": str(artefact), "margin": margin}
        (folder / "rung.yaml").write_text(yaml.safe_dump({"classifier": {"second_look": looking}}), encoding="utf-8")
        return run("route", "Name three cities of Mongolia.")

    told = routed(100.0)
    assert "second look taken" in told
    assert "standard errors away" in told
    assert "second look" not in routed(1e-9)


def test_a_second_look_that_cannot_be_loaded_is_one_line_that_says_how_to_mend_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rung.yaml").write_text("classifier: {second_look: {artefact: nowhere}}", encoding="utf-8")
    for command in (["route", "Hi"], ["serve", "--port", "0"]):
        told = refused(capsys, monkeypatch, *command)
        assert "classifier.second_look" in told
        assert "rung-train second-look" in told
        assert len(told.splitlines()) == 1


def test_models_list_shows_prices_and_what_waits_for_a_key() -> None:
    told = run("models", "list")
    assert "waits: no key for it (set OPENAI_API_KEY)" in told
    assert "smollm2-135m" in told
    assert "upstream: local/smollm2-135m" in run("models", "show", "smollm2-135m")


def test_models_check_names_a_provider_that_nobody_knows(folder: Path) -> None:
    listed = [PRICED, {**PRICED, "id": "lost", "upstream": "nobodys/x"}]
    (folder / "rung.yaml").write_text(yaml.safe_dump({"models": listed}))
    done = CliRunner().invoke(build(), ["models", "check"])
    assert done.exit_code == 2
    assert "priced; ready" in done.output
    assert "LiteLLM knows no provider for 'nobodys/x': write it as provider/model" in done.output


def test_a_budget_of_another_tenant_s_key_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for tenant in ("acme", "other"):
        run("tenants", "create", tenant)
    key = run("keys", "create", "other").split()[1]
    told = refused(capsys, monkeypatch, "tenants", "set-budget", "acme", "5", "--key", key)
    assert f"the key {key} is other's" in told
    assert "per month" in run("tenants", "set-budget", "other", "5", "--key", key)


def test_tenants_and_keys_live_a_whole_life() -> None:
    assert "no tenants yet" in run("tenants", "list")
    assert "with $5.00 per total" in run("tenants", "create", "acme", "--budget", "5", "--window", "total")
    made = run("keys", "create", "acme", "--name", "laptop", "--model", "m", "--days", "1").splitlines()
    identity = made[-1].split("_")[1]
    assert made[-1].startswith("rk_")
    listed = run("keys", "list", "acme")
    assert identity in listed
    assert "active" in listed
    assert "only m; until 2" in listed
    assert made[-1] not in listed
    run("keys", "create", "acme", "--name", "thumbs", "--feedback")
    assert "only feedback; all models" in run("keys", "list", "acme")
    run("tenants", "set-budget", "acme", "0.50", "--window", "day", "--key", identity)
    shown = run("tenants", "show", "acme")
    assert "keys: 2" in shown
    run("keys", "revoke", identity)
    assert "revoked" in run("keys", "list", "acme")
    run("tenants", "disable", "acme")
    assert "disabled" in run("tenants", "list")
    run("tenants", "disable", "acme", "--enable")
    assert "active" in run("tenants", "list")


def test_a_slip_of_the_pen_in_a_key_s_models_is_told(folder: Path) -> None:
    (folder / "rung.yaml").write_text(yaml.safe_dump({"tiers": ["premium"], "models": [PRICED]}))
    run("tenants", "create", "acme")
    assert "no model 'n' is on the ladder of this folder (m)" in run("keys", "create", "acme", "--model", "n")
    assert "careful" not in run("keys", "create", "acme", "--model", "m")


def test_a_refund_is_an_amount_with_a_minus() -> None:
    run("tenants", "create", "acme")
    why = ("--reason", "double charge", "--by", "finance")
    assert "acme: $1.00 booked" in run("ledger", "adjust", "acme", "1", *why, "--reference", "1")
    assert "acme: $-0.25 booked" in run("ledger", "adjust", "acme", "-0.25", *why, "--reference", "2")
    assert "$0.75 spent in all" in run("ledger", "verify", "acme")


def test_what_the_file_declares_is_shown_and_changed_there(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {"id": "acme", "budgets": [{"limit_usd": 5}], "max_cost_usd": 0.05, "requests_per_minute": 600}
    (folder / "rung.yaml").write_text(yaml.safe_dump({"tenants": [declared]}))
    shown = run("tenants", "show", "acme")
    assert "requests_per_minute: 600" in shown
    assert "max_cost_usd: 0.05" in shown
    assert "change it there" in refused(capsys, monkeypatch, "tenants", "set-budget", "acme", "9")
    assert "$9.00 per day" in run("tenants", "set-budget", "acme", "9", "--window", "day"), "the file says none of it"


def test_a_folder_that_cannot_be_made_is_named_with_the_setting(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("RUNG_STORE__DATA_DIR", "file/below")
    told = refused(capsys, monkeypatch, "tenants", "list")
    assert "file/below/store cannot be made" in told
    assert "RUNG_STORE__DATA_DIR" in told


def test_a_gateway_whose_store_is_away_says_so_and_starts_nothing(folder: Path) -> None:
    environ = {"PATH": "", "REDIS_URL": "redis://127.0.0.1:1/0"}
    rung = Path(sys.executable).parent / "rung"
    done = subprocess.run([rung, "serve", "--port", "0"], capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 2
    assert done.stdout == "", "nothing serves, so nothing says so"
    assert done.stderr.startswith("rung: The store at 127.0.0.1:1 does not answer")
    assert "Traceback" not in done.stderr


def test_another_pepper_than_the_store_s_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "careful" not in run("tenants", "create", "acme")
    monkeypatch.setenv("RUNG_STORE__PEPPER", "another pepper of sixteen letters")
    assert "careful: this store's keys were hashed with another pepper" in run("tenants", "list")


def test_the_banner_names_a_store_by_its_address_and_not_by_its_password() -> None:
    settings = Settings.model_validate({"store": {"url": "redis://u:sesame@redis.example:6380/0"}})
    told = banner(settings, Resources(store_url="redis://u:sesame@redis.example:6380/0"))
    assert "store: redis.example:6380;" in told
    assert "sesame" not in told


def test_a_rotated_key_has_the_old_one_s_rights_and_the_old_one_ends() -> None:
    run("tenants", "create", "acme")
    old = run("keys", "create", "acme", "--name", "laptop", "--deny", "m", "--days", "9").splitlines()[-1].split("_")[1]
    made = run("keys", "rotate", old).splitlines()
    assert "is revoked" in made[0]
    fresh = made[-1].split("_")[1]
    listed = {line.split()[0]: line for line in run("keys", "list", "acme").splitlines()}
    assert "revoked" in listed[old]
    assert all(word in listed[fresh] for word in ("active", "all models; not m; until 2", "laptop"))
    later = run("keys", "rotate", fresh, "--hours", "2").splitlines()
    assert "2 more hours" in later[0]
    assert "active" in next(line for line in run("keys", "list", "acme").splitlines() if line.startswith(fresh))


def test_an_emptied_store_is_restored_from_exports(folder: Path) -> None:
    run("tenants", "create", "acme", "--budget", "5", "--window", "total")
    run("ledger", "adjust", "acme", "1.25", "--reason", "a test", "--by", "me", "--reference", "r1")
    exported = run("ledger", "export", "acme")
    (folder / "acme.jsonl").write_text(exported)
    (folder / ".rung/store/epoch").write_text("remembered")  # as a gateway does at its start
    shutil.rmtree(next(iter((folder / ".rung/store").glob("appendonly*"))))
    assert "no tenants yet" in run("tenants", "list")
    assert "acme: exact; $1.25 spent in all" in run("ledger", "restore", "acme", "acme.jsonl")
    shown = run("tenants", "show", "acme")
    assert "spent in all: $1.25" in shown
    assert "5.00" in shown
    assert "exact" in run("ledger", "verify")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tenants", "create", "UPPER CASE"], "tenant"),
        (["tenants", "create", "a", "--budget", "much"], "not an amount"),
        (["tenants", "create", "a", "--budget=-1"], "must lie in 0.."),
        (["tenants", "create", "a", "--window", "year"], "day, month or total"),
        (["tenants", "show", "nobody"], "nobody"),
        (["tenants", "set-budget", "nobody", "1"], "nobody"),
        (["keys", "create", "nobody"], "nobody"),
        (["keys", "revoke", "nothing"], "nothing"),
        (["keys", "rotate", "nothing"], "nothing"),
        (["ledger", "restore", "acme", "missing.jsonl"], "missing.jsonl"),
        (["keys", "list", "nobody"], "nobody"),
        (["route"], "Missing argument"),
        (["route", "x", "--quality", "2"], "quality"),
        (["fly"], "fly"),
        (["serve", "--config", "missing.yaml"], "no such file"),
        (["serve", "--workers", "0"], "workers"),
        (["init", "no/such/folder.yaml"], "no/such"),
        (["tenants", "set-budget", "acme", "-5"], "-5"),
        (["cache", "saved", "acme", "--month", "11-2026"], "is not a month"),
        (["logs", "export", "--out", "november.csv"], ".parquet or .jsonl"),
        (["route", "x", "--max-cost", "nan"], "nan is not a number"),
        (["route", "x", "--quality", "nan"], "nan is not a number"),
        (["keys", "create", "acme", "--days", "-1"], "-1.0 is not in the range"),
        (["keys", "create", "acme", "--days", "nan"], "nan is not a number"),
        (["keys", "create", "acme", "--days", "1e300"], "is not in the range"),
        (["keys", "rotate", "abc", "--hours", "nan"], "nan is not a number"),
        (["ledger", "adjust", "acme", "1e30", "--reason", "x", "--by", "me", "--reference", "r"], "up to 9,007,199"),
        (["ledger", "restore", "acme", __file__], "is no record of a tenant"),
        (["ledger", "restore", "acme", "/dev/null"], "holds no entry"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_said_in_a_line_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    told = refused(capsys, monkeypatch, *arguments)
    assert words in told
    assert "Traceback" not in told


def test_a_wrong_file_stops_every_command_that_reads_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rung.yaml").write_text("servr: {}")
    for command in (["models", "list"], ["route", "x"], ["serve"]):
        assert "servr: is not a setting" in refused(capsys, monkeypatch, *command)


def test_a_model_without_a_price_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unpriced = {name: value for name, value in PRICED.items() if name != "prices"}
    (folder / "rung.yaml").write_text(
        yaml.safe_dump({"models": [{**unpriced, "id": "dear", "upstream": "openai/nobody-knows"}]})
    )
    told = refused(capsys, monkeypatch, "models", "list")
    assert "dear" in told or "nobody-knows" in told
    assert "price" in told


def test_a_log_without_a_way_to_it_is_told_before_anything_is_started(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rung.yaml").write_text("log: {url: 'nosuch://bucket'}")
    for command in (["policy", "check"], ["serve"]):
        assert "log.url: Protocol not known: nosuch; name a folder" in refused(capsys, monkeypatch, *command)


def test_tiers_that_the_ladder_of_the_environment_has_not_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rung.yaml").write_text("tiers: [small, large]")
    assert "name your models too" in refused(capsys, monkeypatch, "models", "list")


def test_route_shows_the_ladder_where_nothing_can_be_called(folder: Path) -> None:
    keyless = {name: value for name, value in PRICED.items() if name != "api_key"}
    (folder / "rung.yaml").write_text(yaml.safe_dump({"models": [{**keyless, "api_key_env": "NOBODY_SETS_IT"}]}))
    told = run("route", "What is two and two?")
    assert "choice      premium: m, no thinking" in told
    assert "served      by nobody for now: m: no key for it (set NOBODY_SETS_IT)" in told
    quote = json.loads(run("route", "--json", "What is two and two?"))
    assert (quote["choice"]["model"], quote["served_by"]) == ("m", None)
    assert {row["available"] for row in quote["menu"]} == {False}


def test_ctrl_c_while_the_command_is_imported_ends_it_without_a_word(folder: Path) -> None:
    # An import that never ends, in front of the first one of all.
    (folder / "typer.py").write_text("print('importing', flush=True)\nwhile True: pass\n")
    # Where the tests run in a shell's background, Ctrl-C is ignored by all that they start.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    with subprocess.Popen(
        [sys.executable, "-c", f"{heard} from router.cli import main; main()"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        try:
            assert command.stdout is not None
            assert command.stdout.readline() == "importing\n"
            command.send_signal(signal.SIGINT)
            assert command.communicate(timeout=PATIENCE_S) == ("", "")
        finally:
            command.kill()
    assert command.returncode == -signal.SIGINT


def test_importing_the_application_imports_neither_torch_nor_litellm() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import router.app, router.cli.commands;"
        "print([name for name in ('litellm', 'sentence_transformers', 'pandas', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_itself_ends_with_2_and_one_line(folder: Path) -> None:
    (folder / "rung.yaml").write_text("quality: 7")
    done = subprocess.run(
        [Path(sys.executable).parent / "rung", "models", "list"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("rung: rung.yaml: 1 thing(s) to mend")
    assert "Traceback" not in done.stderr


def test_the_cache_tells_what_it_saved_and_forgets_a_tenant(folder: Path) -> None:
    run("tenants", "create", "acme")
    assert "acme: 0 answers forgotten" in run("cache", "purge", "acme")
    told = run("cache", "saved", "acme", "--month", "2026-11")
    assert "acme 2026-11: $0.00 saved by 0 answers to equal questions (hit)" in told


def test_a_tail_without_decisions_says_so() -> None:
    run("tenants", "create", "acme")
    assert "no decisions of acme are in the store" in run("logs", "tail", "--tenant", "acme")


def test_a_budgets_terms_are_set_kept_and_forgotten(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("tenants", "create", "acme")
    run("tenants", "create", "search@acme", "--budget", "2")
    terms = ("--soft", "0.8", "--rollover", "0.5", "--rollover-cap", "30", "--alert", "0.9", "--alert", "0.1")
    run("tenants", "set-budget", "acme", "10", "--window", "day", *terms)
    beside = "soft from 80%; 50% of the rest rolls over, $30.00 at most; alerts at 10%, 90%; at this pace"
    assert f"budget day (day): $10.00, $10.00 left; {beside}" in run("tenants", "show", "acme")
    own, above = run("tenants", "show", "search@acme").split("budget @acme")
    assert "alerts at 10%, 90%" in above
    assert "alerts at 50%, 80%, 100%" in own
    run("tenants", "set-budget", "acme", "20", "--window", "day")
    told = run("tenants", "show", "acme")
    assert "budget day (day): $20.00, $20.00 left; soft from 80%" in told, "what is left out stays as it was"
    assert "of it search@acme: $0.00 this month" in told
    assert "budget @acme day (day): $20.00" in run("tenants", "show", "search@acme")
    run("tenants", "set-budget", "acme", "20", "--window", "day", "--plain")
    assert "soft" not in run("tenants", "show", "acme")
    assert "acme: exact" in run("ledger", "verify", "acme")
    for wrong, why in (
        (("--soft", "3"), "0 to 1"),
        (("--alert", "0"), "above 0"),
        (("--rollover", "0.5", "--window", "total"), "next window"),
    ):
        assert why in refused(capsys, monkeypatch, "tenants", "set-budget", "acme", "20", *wrong)
