"""Confines processes and talks to them: the half of the sandbox that runs around and inside candidates.

One decision: the standard library alone, and nothing of ours from outside this package, because its
modules run in small warm processes that fork once for every candidate; `evaluators.sandbox` starts
them and speaks to them in lines.
"""
