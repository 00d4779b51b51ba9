"""The command that writes the published contracts."""

from pathlib import Path
from typing import Annotated

import typer

from nanocensus.terminal import error_console, say


def schema(
    folder: Annotated[Path, typer.Option(help="Where to write the contracts.")] = Path("schemas"),
    page: Annotated[Path, typer.Option(help="The page that documents the columns.")] = Path(
        "docs/reference/columns.md"
    ),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if what is there differs.")] = False,
) -> None:
    """Write the published contracts (JSON Schema) and the page of columns from the code."""
    from nanocensus.pipeline.contracts import published
    from nanocensus.store.commit import commit_bytes

    drifted = {}
    for path, text in published(folder, page).items():
        there = path.exists()
        if not there or path.read_text(encoding="utf-8") != text:
            drifted[path] = "differs" if there else "not there"
            if not check:
                commit_bytes(path, text.encode())
    for path, how in drifted.items():
        say(f"{how if check else 'written'}: {path}")
    if check and drifted:
        say(
            "The contracts lag behind the code. Run `nanocensus schema` and review what changed.", console=error_console
        )
        raise typer.Exit(1)
