"""The one exception a user is meant to read: what went wrong, and what to type next. Holds no logic."""


class PrepError(Exception):
    """A mistake that the person at the keyboard can mend.

    what: one sentence that says what is wrong. fix: the next thing to do, ending with a command where there is one.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(f"{what}\n{fix}" if fix else what)
        self.what = what
        self.fix = fix
