"""Run each item in a fresh Python process: a crash, a kill and a timeout are rows.

The item goes in as JSON on standard input, the values come back as JSON in a file, so
that nothing a library prints can be taken for a result.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from bench import cores, variants
from bench.errors import AttemptError, OutOfMemory, TimedOut
from bench.executors.ceiling import ceiling_of
from bench.executors.work import failure, perform
from bench.specs import Bandwidth, Cell, Effort, Limit, OwnCore, Parent, WorkItem

_OF_PILOT = ("sweep", "batch_knee")


class Process:
    """Starts a worker for every item and waits for it."""

    ceiling = staticmethod(ceiling_of)
    """Only where work runs on this machine does this machine's ceiling hold."""

    def run(self, item: WorkItem) -> dict[str, Any]:
        """Record values of one attempt; the worker's death is one of them.

        A pilot sweep has a process of its own: what it leaves in an allocator, in
        caches and in a peak of memory must not be in the window that is reported.
        """
        if item.cell.batch_size != "auto" or item.picked_batch is not None:
            return self._in_worker(item)
        pilot = self._in_worker(dataclasses.replace(item, role="pilot"))
        if pilot["status"] != "ok":
            return pilot
        picked = dataclasses.replace(item, picked_batch=pilot["batch_size"])
        return {**self._in_worker(picked), **{name: pilot[name] for name in _OF_PILOT}}

    def _in_worker(self, item: WorkItem) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="mixer-bench-") as folder:
            answer, errors = Path(folder) / "values.json", Path(folder) / "stderr"
            kills = cores.memory_kills()
            try:
                with errors.open("wb") as stderr:
                    code = _worker(item, answer, stderr)
            except AttemptError as error:
                return failure(error)
            if answer.exists():
                values: dict[str, Any] = json.loads(answer.read_text())
                return values
            starved = kills is None or cores.memory_kills() != kills
            return failure(_death(code, errors.read_text(errors="replace"), starved))


def _worker(item: WorkItem, answer: Path, stderr: Any) -> int:
    # -P: a folder called bench where the user stands must not shadow this package.
    command = [sys.executable, "-P", "-m", "bench.executors.process"]
    parent, held = os.pipe()  # nobody writes: it ends when this process does
    worker = subprocess.Popen(
        [*command, str(parent), str(answer)],
        env={**variables(), **variants.process_environment(item.cell.variant)},
        stdin=subprocess.PIPE,
        stdout=stderr,
        stderr=stderr,
        start_new_session=True,  # one signal reaches the worker and all it started
        pass_fds=(parent,),
    )
    os.close(parent)
    try:
        worker.communicate(encode(item).encode(), timeout=item.effort.time_limit_s)
    except subprocess.TimeoutExpired as error:
        also = "" if item.checkpoints is None else ", or run again: training goes on"
        raise TimedOut(
            f"stopped after {item.effort.time_limit_s:g} s; raise time_limit_s{also}"
        ) from error
    finally:
        _end(worker)
        os.close(held)
    return worker.returncode


def variables() -> dict[str, str]:
    """The environment of a fresh process: ours, and this very package found first."""
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    # nvidia-smi, which names the part, counts by bus; CUDA must count alike.
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **os.environ, "PYTHONPATH": path}


def _end(worker: subprocess.Popen[bytes]) -> None:
    """Whatever happened, leave no process behind that would disturb the next."""
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def _death(code: int, stderr: str, starved: bool) -> AttemptError:
    """What ended the worker; `starved` if the kernel killed for memory or is mute."""
    tail = " | ".join(stderr.strip().splitlines()[-3:])
    if code == -signal.SIGKILL and starved:
        return OutOfMemory(
            "the worker was killed (signal 9), as the kernel does when memory runs out"
        )
    cause = f"signal {-code}" if code < 0 else f"exit code {code}"
    return AttemptError(f"the worker ended with {cause} and no result: {tail}")


def encode(item: WorkItem) -> str:
    """A work item as JSON; `decode` gives back an equal one."""
    return json.dumps(dataclasses.asdict(item))


def decode(text: str) -> WorkItem:
    """The work item in `text`."""
    values = json.loads(text)
    values["cell"] = Cell(**values["cell"])
    values["effort"] = Effort(**values["effort"])
    for name in ("ceiling", "peak"):
        values[name] = values[name] and Limit(**values[name])
    copied = values["bandwidth"]
    values["bandwidth"] = None if copied is None else Bandwidth(**copied)
    own = values["own_core"]
    values["own_core"] = None if own is None else OwnCore(**own)
    start = values["parent"]
    if start is not None:
        values["parent"] = Parent(**{**start, "cell": Cell(**start["cell"])})
    return WorkItem(**values)


def _die_with(parent: int) -> None:
    """Without its parent a worker would train on, beside the one that a new run starts.

    The read returns when the parent has ended, however it ended.
    """
    os.read(parent, 1)
    os.killpg(0, signal.SIGKILL)


def main(answer: Path, parent: int) -> None:
    """The worker: read an item, perform it, leave the values in `answer`."""
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    values = perform(decode(sys.stdin.read()))
    temporary = answer.with_suffix(".tmp")
    temporary.write_text(json.dumps(values))
    temporary.replace(answer)


if __name__ == "__main__":
    main(Path(sys.argv[2]), int(sys.argv[1]))
