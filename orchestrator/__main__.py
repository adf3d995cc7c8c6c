"""`python -m orchestrator` is the command line, for where the console script is not on PATH."""

from orchestrator.cli import main

main()
