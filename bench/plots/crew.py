"""Several processes that draw at once: the same files, sooner.

They come from a server without threads (`forkserver`), which imports what they need
while this process reads rows. Each works on whole items, so what it writes does not
depend on how many there are.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any, TypeVar

from bench import cores
from bench.errors import ResultsError

Made = TypeVar("Made")
MOST = 4
"""More processes than this wait for each other: there are about as many figures."""

_LATE_S = 0.5
"""A Ctrl-C ends the workers, too, and may reach them first: it may be on its way."""

_given: tuple[Any, ...] = ()
"""What every item of a worker needs; sent to it once."""


def size(items: int) -> int:
    """How many processes are worth their start: one means this one."""
    return max(1, min(items, cores.threads(), MOST))


def call(modules: Sequence[str]) -> None:
    """Let the server start and import `modules`; does not wait for it."""
    multiprocessing.set_forkserver_preload(["__main__", *modules])
    _serve()


def _serve() -> None:
    # A Ctrl-C is for this process; what it starts here never sees it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def each(
    work: Callable[..., Made], items: Sequence[str], given: tuple[Any, ...], count: int
) -> Iterator[Made]:
    """`work(item, *given)` for each item, in their order, as soon as it is there."""
    _serve()
    pool = ProcessPoolExecutor(
        count, multiprocessing.get_context("forkserver"), _start, given
    )
    try:
        yield from pool.map(functools.partial(_worked, work), items)
    except BrokenProcessPool as error:
        time.sleep(_LATE_S)
        raise ResultsError(
            "a process that drew figures was ended from outside, perhaps for want of "
            "memory; draw fewer at once with --figure"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(*given: Any) -> None:
    """A worker ends with a Ctrl-C, without a word, and with its parent."""
    global _given
    _given = given
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as behind nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _worked(work: Callable[..., Any], item: Any) -> Any:
    return work(item, *_given)
