"""Where the work on a log's partitions is done: in this process, or on a Ray cluster. The results are the same.

An engine maps a function over parts and gives the results in the parts' order, so that sums come to the same wherever
they were made. The functions are plain and the parts small (paths and row numbers): workers read the Parquet
themselves, from a folder or an fsspec URL that all of them reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from threadpoolctl import threadpool_limits
from tqdm import tqdm

Part = TypeVar("Part")
Result = TypeVar("Result")
IN_FLIGHT = 2  # parts per worker that are under way or waiting: enough to keep it busy, few enough to fit in memory

SHOWN_AFTER_S = 2.0  # small logs are done by then


class EngineError(ValueError):
    """The engine asked for cannot be had; the message says what to install."""


class Engine(Protocol):
    """Maps functions over parts."""

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """The results in the order of the parts."""
        ...


class LocalEngine:
    """This process, one part after the other."""

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """The results in the order of the parts, each made when it is asked for."""
        return map(function, parts)


class RayEngine:
    """A Ray cluster (extra `ray`).

    Args:
        address: as `ray.init` takes it; None uses the cluster that the environment names, or starts a local one.
        workers: parts under way at a time; None takes the cluster's CPUs.

    Raises:
        EngineError: Ray is not installed.
    """

    def __init__(self, address: str | None = None, *, workers: int | None = None) -> None:
        try:
            import ray  # an extra
        except ModuleNotFoundError as missing:
            raise EngineError("the engine ray needs the extra: pip install 'rung[ray]'") from missing
        self._ray: Any = ray
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False, include_dashboard=False)
        self._workers = workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """The results in the order of the parts; a bounded number is under way at any time."""
        remote = self._ray.remote(function)
        waiting: list[Any] = []
        for part in parts:
            if len(waiting) >= IN_FLIGHT * self._workers:
                yield self._ray.get(waiting.pop(0))
            waiting.append(remote.remote(part))
        while waiting:
            yield self._ray.get(waiting.pop(0))


class _Barred:
    """An engine whose progress is shown."""

    def __init__(self, engine: Engine, what: str) -> None:
        self._engine, self._what = engine, what

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """The results in the order of the parts."""
        every = list(parts)
        found = self._engine.map(function, every)
        yield from tqdm(found, total=len(every), desc=self._what, disable=None, leave=False, delay=SHOWN_AFTER_S)


def with_bar(engine: Engine, what: str) -> Engine:
    """The engine with a bar on a terminal's stderr that says how far `what` has come, where it takes a while."""
    return _Barred(engine, what)


def one_thread() -> AbstractContextManager[Any]:
    """Keep BLAS to one thread: with more it cuts matrices in other places, and the last digits change.

    Ray gives its tasks one thread each; what must come to the same here as there, to the bit, runs within this.
    """
    return threadpool_limits(limits=1, user_api="blas")


def engine_named(name: str, *, address: str | None = None) -> Engine:
    """`local` or `ray`.

    Raises:
        EngineError: there is no such engine, or it is not installed.
    """
    if name == "local":
        return LocalEngine()
    if name == "ray":
        return RayEngine(address)
    raise EngineError(f"there is no engine {name}; use local or ray")
