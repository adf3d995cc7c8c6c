"""Which values flow into which names in Java.

One decision: what braced languages share is taken as it is; here is only what Java's grammar alone has.
"""

from collections.abc import Mapping

from evaluators.languages.braced.flows import RULES as SHARED
from evaluators.languages.braced.flows import iterate, update
from evaluators.languages.flows import Rule

RULES: Mapping[str, Rule] = {**SHARED, "update_expression": update, "enhanced_for_statement": iterate}

__all__ = ["RULES"]
