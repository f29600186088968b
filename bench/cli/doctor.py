"""`mixer-bench doctor`: what this machine is, and whether the timer is honest on it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from tabulate import tabulate

from bench import backend as backends
from bench import machine
from bench.cli import _print
from bench.cli.time import frameworks
from bench.errors import StudyError, unknown
from bench.executors.process import variables
from bench.timing import doctor
from bench.timing.doctor import Finding

SEEN_WIDTH = 72
TIME_LIMIT_S = 300
"""Of one framework's checks, which take about ten seconds."""


def command(
    framework: Annotated[
        str, typer.Option(help="jax, torch, or both: jax,torch. Default: installed.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    format: Annotated[str, typer.Option(help="table, json or csv.")] = "table",
) -> int:
    """Show the machine; put faults into a step, and see that the timer catches them."""
    if format not in _print.DATA_FORMATS:
        raise StudyError(f"--format: {unknown('format', format, _print.DATA_FORMATS)}")
    names = frameworks(framework)
    for name in names:
        backends.check_framework(name)
    host = machine.fingerprint(device)
    with machine.lease(device, on_wait=_print.note):
        found = {name: _checked(name, device) for name in names}
    every = [one for findings in found.values() for one in findings]
    print(_report(host, found, doctor.verdict(every), format))
    return 0 if doctor.trusted(every) else 1


def _checked(framework: str, device: str) -> list[Finding]:
    """The findings of one framework, in a fresh process."""
    _print.note(f"{framework}: checking, about ten seconds")
    with tempfile.TemporaryDirectory(prefix="mixer-bench-") as folder:
        answer = Path(folder) / "findings.json"
        command = [sys.executable, "-P", "-m", "bench.timing.doctor"]
        try:
            done = subprocess.run(
                [*command, framework, device, str(answer)],
                env=variables(),
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [Finding("worker", False, f"took more than {TIME_LIMIT_S} s")]
        if done.returncode != 0:
            tail = " | ".join(done.stderr.strip().splitlines()[-2:])
            seen = f"ended with exit code {done.returncode}: {tail}"
            return [Finding("worker", False, seen)]
        return [Finding(**one) for one in json.loads(answer.read_text())]


def _report(
    host: machine.Machine,
    found: dict[str, list[Finding]],
    verdict: str,
    fmt: str,
) -> str:
    if fmt == "csv":
        return _print.data(_rows(found), "csv")
    if fmt == "json":
        checks = {
            name: [dataclasses.asdict(one) for one in findings]
            for name, findings in found.items()
        }
        whole = {
            "machine": {**dataclasses.asdict(host), "hardware": dict(host.hardware)},
            "environment": {name: machine.environment(name)[1] for name in found},
            "checks": checks,
            "verdict": verdict,
            "trusted": all(map(doctor.trusted, found.values())),
        }
        return json.dumps(whole, indent=2)
    lines = [f"{key:14} {value}" for key, value in _fingerprint(host, list(found))]
    table = tabulate(
        _rows(found),
        headers="keys",
        disable_numparse=True,
        maxcolwidths=[None, None, None, SEEN_WIDTH],
    )
    return "\n".join([*lines, "", table, "", verdict])


def _fingerprint(host: machine.Machine, names: Sequence[str]) -> list[tuple[str, str]]:
    """The machine and the versions, a line each."""
    return [
        ("machine", f"{host.name} ({host.machine_id})"),
        *host.hardware.items(),
        *(
            (
                name,
                " ".join(f"{k} {v}" for k, v in machine.environment(name)[1].items()),
            )
            for name in names
        ),
    ]


def _rows(found: dict[str, list[Finding]]) -> list[dict[str, Any]]:
    words = {True: "ok", False: "FAILED", None: "—"}
    return [
        {
            "framework": name,
            "check": one.check,
            "result": words[one.passed],
            "seen": one.seen,
        }
        for name, findings in found.items()
        for one in findings
    ]
