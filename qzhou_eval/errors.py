"""The one exception that means "the input is wrong": one line for the user, exit code 2."""


class BadInput(ValueError):
    """Something the user gave is wrong. The message says what, where, and what to do."""
