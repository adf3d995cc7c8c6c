"""The commands that have a module of their own; `orchestrator.cli` registers each by a line."""
