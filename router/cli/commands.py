"""The `rung` command. Other packages add sub-commands (`rung bench`) by the entry points `rung.commands`."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from classifier import ArtefactError
from policies.errors import PolicyError
from router import __version__
from router.cli import cache, init, keys, ledger, logs, models, policy, route, serve, tenants
from router.configuration.settings import ConfigError
from router.errors import RungError

_HELP = """Rung: a difficulty-aware gateway in front of LLM providers.

Start with `rung serve` (no key needed: a small local model answers), ask with the two lines that it prints, and see
how a question would be routed with `rung route "your question"`.
"""


# What stands in the list of commands for those that are not loaded to make it.
_EXTENSIONS = {"bench": "Measure the classifier and the policy against other routers."}


def _version(value: bool) -> None:
    if value:
        print(f"rung {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options of the command itself."""


def build() -> typer.Typer:
    """The whole command, those of installed extensions included."""
    app = typer.Typer(
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(help=_HELP)(_root)
    app.command("serve")(serve.serve)
    app.command("init")(init.init)
    app.command("route")(route.route)
    app.add_typer(models.app, name="models")
    app.add_typer(policy.app, name="policy")
    app.add_typer(tenants.app, name="tenants")
    app.add_typer(keys.app, name="keys")
    app.add_typer(ledger.app, name="ledger")
    app.add_typer(logs.app, name="logs")
    app.add_typer(cache.app, name="cache")
    for extension in entry_points(group="rung.commands"):
        if len(sys.argv) > 1 and sys.argv[1] == extension.name:
            app.add_typer(extension.load(), name=extension.name)  # loaded only when it is asked for: it may be heavy
        else:
            about = _EXTENSIONS.get(extension.name, f"See `rung {extension.name} --help`.")
            app.add_typer(typer.Typer(help=about), name=extension.name)
    return app


def run() -> None:
    """Run the command; what went wrong is one line that says how to mend it."""
    try:
        build()()
    except (ConfigError, RungError, PolicyError, ArtefactError, OSError) as error:
        print(f"rung: {error}", file=sys.stderr)
        sys.exit(2)
