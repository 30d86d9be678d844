"""How the API reads a JSON body."""

import json
from collections.abc import Mapping
from math import isfinite
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError


class JSONParser(parsers.JSONParser):
    """RFC 8259 to the letter: UTF-8, each member once, no number that JSON does not have.

    Of a member that comes twice another program would take the other one, and infinity is no
    value of anything here.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The parsed document; ``ParseError`` if it is not JSON or nested too deep."""
        try:
            return json.loads(
                stream.read().decode("utf-8-sig"),
                object_pairs_hook=_members,
                parse_constant=_refuse_number,
                parse_float=_number,
            )
        except UnicodeDecodeError as error:
            raise ParseError("JSON parse error - not UTF-8; send the document in UTF-8") from error
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deep") from error
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member comes twice; send each once")
    return members


def _number(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        _refuse_number("a number beyond all bounds")
    return value


def _refuse_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")
