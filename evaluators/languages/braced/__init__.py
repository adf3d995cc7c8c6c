"""What languages with braces and static methods share: layout, members of classes, compile servers, stubs.

One decision: what differs between two such languages is a value that their own folders give, never a branch here.
"""
