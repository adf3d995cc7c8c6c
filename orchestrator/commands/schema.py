"""`polytune schema`: what a study file may say, for editors and for people."""

from typing import Annotated

import typer

from orchestrator.commands.output import print_json

EPILOG = "Example: polytune schema --markdown"


def schema(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the reference of all keys as a page in place of the schema.")
    ] = False,
) -> None:
    """Print the JSON Schema of study files, with every key's type, default, meaning and an example."""
    from orchestrator.study.reference import json_schema
    from orchestrator.study.referencepage import page

    if markdown:
        typer.echo(page(json_schema()), nl=False)
    else:
        print_json(json_schema())
