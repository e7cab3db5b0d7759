"""The store, the only importer of redis: ledger, limits, cache, directory and decisions.

`Store` is the whole of it for a request; `embedded` starts a private server where no REDIS_URL is given.
"""

from router.store.alerts import Alert, AlertBook, Errand, Found
from router.store.cache import AnswerCache, answer_key
from router.store.claims import Claim, Claimed
from router.store.classifier_book import Bar, ClassifierBook
from router.store.connection import Connection
from router.store.credentials import Token
from router.store.decisions import DecisionStream
from router.store.directory import Directory
from router.store.directory_types import FEEDBACK, INFERENCE, Key, Principal, Tenant
from router.store.flights import Flights, Look, Role
from router.store.ledger import Ledger
from router.store.ledger_types import Budget, Ending, Funds, Grant, Hold, Meter, Standing, State, Terms, Window
from router.store.limits import Limiter, Limits, Rule, Verdict, rules
from router.store.log_book import LogBook, Progress
from router.store.outcomes import OutcomeStream, Taken, Told
from router.store.sessions import SessionNote, StoredSession
from router.store.store import Settlement, Store
from router.store.trips import Answer, Opening, Places, Receipt, Wanted

__all__ = [
    "FEEDBACK",
    "INFERENCE",
    "Alert",
    "AlertBook",
    "Answer",
    "AnswerCache",
    "Bar",
    "Budget",
    "Claim",
    "Claimed",
    "ClassifierBook",
    "Connection",
    "DecisionStream",
    "Directory",
    "Ending",
    "Errand",
    "Flights",
    "Found",
    "Funds",
    "Grant",
    "Hold",
    "Key",
    "Ledger",
    "Limiter",
    "Limits",
    "LogBook",
    "Look",
    "Meter",
    "Opening",
    "OutcomeStream",
    "Places",
    "Principal",
    "Progress",
    "Receipt",
    "Role",
    "Rule",
    "SessionNote",
    "Settlement",
    "Standing",
    "State",
    "Store",
    "StoredSession",
    "Taken",
    "Tenant",
    "Terms",
    "Token",
    "Told",
    "Verdict",
    "Wanted",
    "Window",
    "answer_key",
    "rules",
]
