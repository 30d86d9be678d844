"""Headers of the parts of a form as clients write them, beyond what Django reads.

Django drops a header that is not UTF-8 and a part whose file name comes to nothing, and the file
is "missing"; a transfer encoding that it does not know it takes for the file itself. It has no
setting for any of that, so ``BodyMiddleware`` puts ``part_headers`` in the place of the one
function in which Django reads these headers.
"""

import os
import re
from typing import Any

from django.http import multipartparser
from django.http.multipartparser import FIELD, FILE, LazyStream, MultiPartParserError

LARGEST_HEADERS = 16 * 1024  # bytes; Django's 1024 are few for 255 letters as %E6%A0%87 each
UNNAMED = "unnamed"
LONGEST_NAME, LONGEST_SUFFIX = 255, 20  # characters; a temporary file is named after the suffix

_django = multipartparser.parse_boundary_stream  # type: ignore[attr-defined]
_sanitized: Any = multipartparser.MultiPartParser.sanitize_file_name
_TAKEN = {
    "content-transfer-encoding": ("", "7bit", "8bit", "binary", "base64"),
    "content-encoding": ("", "identity"),
}
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+\\?")  # Shift-JIS and GBK end letters in a backslash
# Letters of Latin-1 stand alone among those of ASCII; bytes of other encodings come in runs.
_LATIN_1 = re.compile(rb"(?:[\xc0-\xd6\xd8-\xf6\xf8-\xff]?[\x00-\x5b\x5d-\x7f])*\\?")


def part_headers(stream: LazyStream, max_header_size: int) -> tuple[str, dict[str, Any], Any]:
    """As Django's ``parse_boundary_stream``: kind of the part, its headers, its content."""
    chunk = stream.read(LARGEST_HEADERS)
    end = chunk.find(b"\r\n\r\n")
    if end >= 0:
        lines = chunk[:end].split(b"\r\n")
        chunk = b"\r\n".join(map(_in_utf8, lines)) + chunk[end:]
    stream.unget(chunk)
    kind, headers, stream = _django(stream, 4 * LARGEST_HEADERS)
    _require_plain(headers)
    _, disposition = headers.get("content-disposition", ("", {}))
    if "filename" in disposition and "name" in disposition:
        kind = _named(disposition, stream)
    return kind, headers, stream


def _in_utf8(line: bytes) -> bytes:
    """The line itself, or its reading in Latin-1, or its other bytes as ``%B1``: no guess at
    what encoding it was can put letters into a name that nobody wrote."""
    try:
        line.decode()
    except UnicodeDecodeError:
        if _LATIN_1.fullmatch(line):
            return line.decode("latin-1").encode()
        return _BEYOND_ASCII.sub(lambda run: b"".join(b"%%%02X" % byte for byte in run[0]), line)
    return line


def _require_plain(headers: dict[str, Any]) -> None:
    """Refuse a part that is encoded in a way that is not taken."""
    for name, taken in _TAKEN.items():
        found = str(headers.get(name, ("",))[0]).strip().lower()
        if found not in taken:
            raise MultiPartParserError(
                f"{name} {found[:40]!r} is not taken; send the part as it is"
            )


def _named(disposition: dict[str, bytes], stream: LazyStream) -> str:
    """Make sure that a file has a name, and that it is not too long; gives the kind of part."""
    if not disposition["filename"]:
        start = stream.read(1)
        stream.unget(start)
        if not start:
            return FIELD  # what a browser sends where no file was chosen
    name = _sanitized(None, disposition["filename"].decode(errors="replace")) or UNNAMED
    stem, suffix = os.path.splitext(name)
    suffix = suffix[:LONGEST_SUFFIX]
    shortened = stem[: LONGEST_NAME - len(suffix)] + suffix
    if shortened != name or name == UNNAMED:
        disposition["filename"] = shortened.encode()
    return FILE
