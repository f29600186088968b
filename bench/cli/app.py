"""The application: verbs gathered, errors explained in one line, the exit code.

Exit codes: 0 fine; 1 the command worked and the answer is no (failed cells, say);
2 the user's mistake, in one line; 70 our fault; 130 interrupted.
"""

from __future__ import annotations

import codecs
import importlib
import io
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import bench
from bench.errors import BenchError

INTERRUPTED = 130

VERBS = (
    *("claims", "models", "doctor", "time", "run", "status", "plot", "table"),
    *("pareto", "report", "fit", "budget", "compare", "verify", "check", "fold"),
    *("merge", "import", "weights"),
)
"""In the order of the help; each is a module of `bench.cli`, imported when asked."""

EXAMPLES = {
    "claims": ["mixer-bench claims", "mixer-bench claims results --format github"],
    "models": ["mixer-bench models", "mixer-bench models --image-size 448"],
    "doctor": ["mixer-bench doctor"],
    "time": [
        "mixer-bench time Mixer-B/16 ViT-B/16 --framework jax,torch",
        "mixer-bench time Mixer-B/16 --batch-size 8 --mode infer,train",
    ],
    "run": [
        "mixer-bench run studies/quickstart.yaml --dry-run",
        "mixer-bench run studies/quickstart.yaml",
    ],
    "plot": [
        "mixer-bench plot published",
        "mixer-bench plot results --figure pareto --width 3.25in",
    ],
    "table": [
        "mixer-bench table published --format latex",
        "mixer-bench table results --where mode=infer --baseline Mixer-B/16",
        "mixer-bench table results --where study=throughput --pivot framework",
    ],
    "pareto": [
        "mixer-bench pareto published --x img_per_sec_core --where table=mixer-table3",
        "mixer-bench pareto published --across pretrain_dataset",
    ],
    "report": ["mixer-bench report results published -o report.html"],
    "fit": [
        "mixer-bench fit results --form offset",
        "mixer-bench fit results --form joint --size macs",
    ],
    "budget": [
        "mixer-bench budget results",
        "mixer-bench budget results --run Mixer-B/16:ImageNet:300 --budget 3d",
        "mixer-bench budget results --recipe mixer-jft --devices 8",
    ],
    "verify": ["mixer-bench verify results/mine/study.parquet --sample 5 --hours 1"],
    "import": [
        "mixer-bench import benchmark.csv --from timm --source timm-a100 "
        "--citation 'timm 1.0, results' --set cores=1 --set core_kind=gpu "
        "-o theirs.parquet",
        "mixer-bench import lab.csv --map name=model --map rate=img_per_sec_core "
        "--set mode=infer --source lab --citation 'our log' -o lab.parquet",
    ],
    "merge": ["mixer-bench merge results/a results/b -o both.parquet"],
    "status": [
        "mixer-bench status studies/quickstart.yaml",
        "mixer-bench status results",
    ],
    "check": ["mixer-bench check results", "mixer-bench check my.yaml"],
    "fold": ["mixer-bench fold results"],
    "weights": ["mixer-bench weights Mixer-B_16.npz"],
    "compare": [
        "mixer-bench compare results/a results/b --max-slowdown 5%",
        "mixer-bench compare results@git_sha=HEAD~1 results@git_sha=HEAD",
    ],
}
"""What stands below the help of each verb."""


def _epilog(verb: str) -> str | None:
    """The examples of a verb, on lines of their own (\\b keeps them apart)."""
    lines = EXAMPLES.get(verb)
    return "\b\nExamples:\n" + "\n".join(f"  {one}" for one in lines) if lines else None


def _version(value: bool) -> None:
    if value:
        typer.echo(f"mixer-bench {bench.__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """How MLP-Mixer, ViT and ResNet scale: measure it, compare it, draw it."""
    del version, debug  # --debug is read in _run, where errors are caught


def application(verbs: Sequence[str] = VERBS) -> typer.Typer:
    """The command line with these verbs; each costs the import of what it needs."""
    made = typer.Typer(
        name="mixer-bench",
        help=_options.__doc__,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    made.callback()(_options)
    for verb in verbs:
        name = "import_" if verb == "import" else verb  # Python's own word
        module = importlib.import_module(f"bench.cli.{name}")
        made.command(name=verb, epilog=_epilog(verb))(module.command)
    return made


def _asked(arguments: Sequence[str]) -> Sequence[str]:
    """The verb that the arguments name, alone; all of them where help is wanted."""
    first = next((word for word in arguments if not word.startswith("-")), None)
    return (first,) if first in VERBS else VERBS


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `mixer-bench`; ends the process with the right exit code."""
    logging.basicConfig(format="mixer-bench: %(message)s", level=logging.WARNING)
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(_run(given))


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments  # taken anywhere, before or after the verb
    try:
        rest = [word for word in arguments if word != "--debug"]
        rest = rest or ["--help"]
        _speak_plainly()
        app = application(() if rest == ["--version"] else _asked(rest))
        result: Any = app(args=rest, standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except BrokenPipeError:
        code = _unheard()
    except SystemExit as stop:
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        code = _unheard()  # click has caught it, and would say 1: the answer is no
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        code = _explain(error)
    if code == INTERRUPTED:  # some versions of typer return it, some raise
        print("mixer-bench: interrupted; finished attempts are kept", file=sys.stderr)
    return code


def _unheard() -> int:
    """`mixer-bench models | head`: nobody reads on, which is no fault."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())  # what is left is dropped without a word
    return 0


_ASCII = {"—": "-", "–": "-", "×": "x", "‡": "*", "→": "->", "µ": "u", "…": "..."}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What an encoding lacks: its plain twin, else its code point as JSON has it."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    units = [ascii_ for char in text for ascii_ in [_ASCII.get(char) or _escape(char)]]
    return "".join(units), error.end


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1]


def _speak_plainly() -> None:
    """A terminal without Unicode gets plain signs instead of a failure.

    Lines leave at once: in a pipe that takes both streams (`2>&1`) a note would else
    stand in the midst of the table above it, glued to its last line.
    """
    codecs.register_error("mixer-bench", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="mixer-bench", line_buffering=True)


def _explain(error: Exception) -> int:
    """One line on stderr, and the exit code that goes with it."""
    # typer has carried its own copy of click since 0.26 and used click before; both
    # kinds of usage error know these two names.
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        text = error.format_message()
        line = f"{text} See mixer-bench --help." if text else ""
        code = 2
    elif isinstance(error, BenchError):
        line, code = str(error), 2
    else:
        kind = type(error).__name__
        line = f"internal error: {kind}: {error}; run again with --debug"
        code = 70
    if line:
        print(f"mixer-bench: {' '.join(line.split())}", file=sys.stderr)
    return code
