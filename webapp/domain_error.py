"""The one error by which services refuse what people and programs ask for."""

from typing import Any


class DomainError(Exception):
    """What was asked for is not done, and nothing is written.

    The API answers with a problem document (``webapp.api.errors``), the portal shows the text.

    Attributes:
        code: stable machine-readable name, in the API's answers.
        hint: what to do about it; empty where the message says it.
        members: what the API's answer says beside, by name.
        at_odds: whether it contradicts what is on record (409), not what is asked for (422).
    """

    at_odds = True

    def __init__(self, code: str, message: str, hint: str = "", **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.members = members

    @property
    def sentences(self) -> str:
        """Message and hint as one text."""
        return f"{self} {self.hint}".rstrip()
