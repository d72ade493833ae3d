"""The one exception for a user's mistake: what is wrong, and what is allowed."""


class UserError(ValueError):
    """One clear line for standard error; the commands exit with code 2 on it."""
