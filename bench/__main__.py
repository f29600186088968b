"""The entry point of `mixer-bench`: an interruption while it starts is no traceback."""

from __future__ import annotations


def main() -> None:
    """Import the command line, which takes a moment, and run it."""
    try:
        from bench.cli import app
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    app.main()


if __name__ == "__main__":
    main()
