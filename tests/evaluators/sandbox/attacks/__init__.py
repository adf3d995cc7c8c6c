"""Hostile programs, and the campaign that sets them against a sandbox."""

from attacks import escaping, exhausting, forging, lingering
from attacks.hostile import Attack

ATTACKS: tuple[Attack, ...] = (*forging.ATTACKS, *escaping.ATTACKS, *exhausting.ATTACKS, *lingering.ATTACKS)

__all__ = ["ATTACKS", "Attack"]
