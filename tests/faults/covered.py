"""Which tests are to notice a change to which file: the code of money, access and cache, by subject."""

from __future__ import annotations

STORE = "tests/router/store"
_HOLDS = tuple(f"{STORE}/test_{name}.py" for name in ("ledger", "ledger_budgets", "ledger_reaper"))
_BOOKS = tuple(f"{STORE}/test_{name}.py" for name in ("books", "rollover", "organisation"))
_LEDGER = (*_HOLDS, *_BOOKS, f"{STORE}/test_calendar.py", f"{STORE}/test_ledger_machine.py")
_DIRECTORY = (f"{STORE}/test_directory.py", f"{STORE}/test_directory_changes.py", "tests/router/test_auth.py")
_TRIPS = (f"{STORE}/test_trips.py", f"{STORE}/test_store.py")
_CACHE = (f"{STORE}/test_cache.py", f"{STORE}/test_flights.py")
_SESSIONS = (f"{STORE}/test_sessions.py", "tests/router/api/test_sessions.py")
_ONCE = (f"{STORE}/test_claims.py", "tests/router/service/test_once.py", "tests/router/api/test_idempotency.py")
_HEDGING = ("tests/router/dispatch/test_race.py", "tests/router/dispatch/test_hedging.py")
_NEAR = (f"{STORE}/test_near.py",)
# Subject -> file -> the tests that are to notice.
COVERED: dict[str, dict[str, tuple[str, ...]]] = {
    "money (Lua)": {
        f"router/store/lua/{name}.lua": _LEDGER
        for name in (
            *("core", "holds", "windows", "reserve", "settle", "renew", "purse", "reap"),
            *("account", "adjust", "compact", "restore", "snapshot", "settling", "rollover", "open_holds"),
        )
    }
    | {f"router/store/lua/{name}.lua": (*_TRIPS, f"{STORE}/test_flights.py") for name in ("admit", "close")},
    "money (Python)": {
        "router/store/ledger.py": (*_HOLDS, _BOOKS[0], f"{STORE}/test_store.py"),
        "router/store/ledger_types.py": (f"{STORE}/test_ledger_types.py", *_HOLDS, _BOOKS[0]),
        "router/store/books.py": _BOOKS,
        "router/store/outbox.py": (f"{STORE}/test_outbox.py", f"{STORE}/test_store.py"),
        "router/money/billing.py": ("tests/router/money/test_billing.py",),
        "policies/cost.py": ("tests/policies/test_cost.py", "tests/router/money/test_billing.py"),
        "router/money/settlement.py": ("tests/router/money/test_settlement.py",),
        "router/store/trips.py": (*_TRIPS, f"{STORE}/test_flights.py"),
    },
    "access": {
        "router/auth.py": _DIRECTORY[::-1],
        "router/store/credentials.py": _DIRECTORY,
        "router/store/directory.py": _DIRECTORY,
        "router/store/directory_types.py": _DIRECTORY,
    },
    "cache": {
        "router/store/cache.py": _CACHE,
        "router/store/flights.py": _CACHE[::-1],
        **{
            f"router/store/lua/{name}.lua": _CACHE
            for name in ("cache_put", "cache_purge", "flight_look", "flight_land", "flights")
        },
    },
    "sessions": {f"router/store/lua/{name}.lua": _SESSIONS for name in ("session_put", "session_take")},
    "once": {
        "router/service/once.py": _ONCE,
        "router/store/claims.py": _ONCE,
        **{f"router/store/lua/{name}.lua": _ONCE for name in ("claim_take", "claim_end")},
    },
    "cache in other words": {
        "classifier/sameness.py": ("tests/classifier/test_sameness.py",),
        "router/store/near.py": _NEAR,
        "router/store/near_index.py": _NEAR,
        "router/store/lua/near_put.lua": _NEAR,
        "router/service/semantics.py": ("tests/router/api/test_semantic_cache.py",),
    },
    "attempts": {
        "router/dispatch/hedging.py": _HEDGING,
        "router/dispatch/race.py": _HEDGING,
        "router/upstream/cap.py": ("tests/router/upstream/test_cap.py",),
    },
    "limits": {
        "router/store/limits.py": (f"{STORE}/test_limits.py",),
        **{f"router/store/lua/{name}.lua": (f"{STORE}/test_limits.py",) for name in ("limits", "limits_give")},
    },
}
