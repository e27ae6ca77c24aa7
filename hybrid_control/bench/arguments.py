"""Command lines of modules that are started by `python -m`: help, and one line for a user's mistake."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from zipfile import BadZipFile


def parser_of(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m hybrid_control.bench.MODULE`; description: the module's own docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m hybrid_control.bench.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(
    parser: argparse.ArgumentParser,
    main: Callable[[argparse.Namespace], object],
    argv: Sequence[str] | None = None,
) -> None:
    """Parse and call. What is wrong with options or files is said in one line; the exit status is 2 then."""
    arguments = parser.parse_args(argv)
    try:
        main(arguments)
    except (ValueError, OSError, BadZipFile) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
