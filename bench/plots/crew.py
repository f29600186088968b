"""Several processes that draw at once: the same files, sooner.

They come from a server without threads (`forkserver`), which imports what they need
while this process reads rows. Each works on whole items, so what it writes does not
depend on how many there are, and tells of each part of one as soon as it is there.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Lock
from typing import Any, TypeVar

from bench import cores
from bench.errors import ResultsError

Made = TypeVar("Made")
MOST = 4
"""More processes than this wait for each other: there are about as many figures."""

_LATE_S = 0.5
"""A Ctrl-C ends the workers, too, and may reach them first: it may be on its way."""

_LOOK_S = 0.02
"""As long as this, an item may be over before it is seen to be."""

_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""One for each worker: more would wait busily where another worker has work."""

_given: tuple[Any, ...] = ()
"""What every item of a worker needs; sent to it once."""
_sending: Connection
_lock: Lock
"""A worker's end of the pipe, and who may write into it."""


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
    asked = _BLAS_THREADS in os.environ
    os.environ.setdefault(_BLAS_THREADS, "1")
    try:
        forkserver.ensure_running()
    finally:
        if not asked:
            del os.environ[_BLAS_THREADS]
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def each(
    work: Callable[..., Iterable[Made]],
    items: Sequence[str],
    given: tuple[Any, ...],
    count: int,
) -> Iterator[Made]:
    """The parts of `work(item, *given)` for each item, in order, as they get there."""
    _serve()
    context = multiprocessing.get_context("forkserver")
    arriving, sending = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        count, context, _start, (sending, context.Lock(), *given)
    )
    try:
        done = [pool.submit(_worked, work, n, item) for n, item in enumerate(items)]
        sending.close()  # the workers have theirs
        yield from _in_order(done, arriving)
    except BrokenProcessPool as error:
        time.sleep(_LATE_S)
        raise ResultsError(
            "a process that drew figures was ended from outside, perhaps for want of "
            "memory; draw fewer at once with --figure"
        ) from error
    finally:
        arriving.close()  # nobody reads on: a worker in the middle of a part gives up
        pool.shutdown(cancel_futures=True)


def _in_order(done: Sequence[Future[None]], arriving: Connection) -> Iterator[Any]:
    """The parts of the first item as they arrive, then those of the next."""
    came: list[list[Any]] = [[] for _ in done]
    for n, one in enumerate(done):
        over = False
        while not over:
            over = one.done()  # asked first: all its parts are then in the pipe
            if not over:
                wait([arriving], _LOOK_S)
            for at, part in _there(arriving):
                came[at].append(part)
            yield from came[n]
            came[n].clear()
        one.result()


def _there(arriving: Connection) -> Iterator[tuple[int, Any]]:
    """What is in the pipe."""
    try:
        while arriving.poll():
            yield arriving.recv()
    except (EOFError, OSError):  # of workers that have ended: the futures say how
        time.sleep(_LOOK_S)


def _start(sending: Connection, lock: Lock, *given: Any) -> None:
    """A worker ends with a Ctrl-C, without a word, and with its parent."""
    global _given, _sending, _lock
    _given, _sending, _lock = given, sending, lock
    gc.disable()  # looking for garbage takes a tenth of a worker's short life
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as behind nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _worked(work: Callable[..., Iterable[Any]], n: int, item: str) -> None:
    for part in work(item, *_given):
        with _lock:
            _sending.send((n, part))
