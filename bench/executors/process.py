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
from pathlib import Path
from typing import Any

from bench import variants
from bench.errors import AttemptError, OutOfMemory, TimedOut
from bench.executors.work import failure, perform
from bench.specs import Cell, Effort, WorkItem


class Process:
    """Starts a worker for every item and waits for it."""

    def run(self, item: WorkItem) -> dict[str, Any]:
        """Record values of one attempt; the worker's death is one of them."""
        with tempfile.TemporaryDirectory(prefix="mixer-bench-") as folder:
            answer, errors = Path(folder) / "values.json", Path(folder) / "stderr"
            try:
                with errors.open("wb") as stderr:
                    code = _worker(item, answer, stderr)
            except AttemptError as error:
                return failure(error)
            if answer.exists():
                values: dict[str, Any] = json.loads(answer.read_text())
                return values
            return failure(_death(code, errors.read_text(errors="replace")))


def _worker(item: WorkItem, answer: Path, stderr: Any) -> int:
    # -P: a folder called bench where the user stands must not shadow this package.
    command = [sys.executable, "-P", "-m", "bench.executors.process", str(answer)]
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    worker = subprocess.Popen(
        command,
        env={
            **os.environ,
            **variants.process_environment(item.cell.variant),
            "PYTHONPATH": path,
        },
        stdin=subprocess.PIPE,
        stdout=stderr,
        stderr=stderr,
        start_new_session=True,  # one signal reaches the worker and all it started
    )
    try:
        worker.communicate(encode(item).encode(), timeout=item.effort.time_limit_s)
    except subprocess.TimeoutExpired as error:
        raise TimedOut(
            f"stopped after {item.effort.time_limit_s:g} s; raise time_limit_s"
        ) from error
    finally:
        _end(worker)
    return worker.returncode


def _end(worker: subprocess.Popen[bytes]) -> None:
    """Whatever happened, leave no process behind that would disturb the next."""
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def _death(code: int, stderr: str) -> AttemptError:
    tail = " | ".join(stderr.strip().splitlines()[-3:])
    if code == -signal.SIGKILL:
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
    return WorkItem(**values)


def main(answer: Path) -> None:
    """The worker: read an item, perform it, leave the values in `answer`."""
    values = perform(decode(sys.stdin.read()))
    temporary = answer.with_suffix(".tmp")
    temporary.write_text(json.dumps(values))
    temporary.replace(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
