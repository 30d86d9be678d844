"""The picture of docs/architecture.md, drawn from the import contracts of pyproject.toml.

``python -m tests.architecture.rooms`` draws it anew; a test compares.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence

from tests.product import ROOT

PAGE = ROOT / "docs/architecture.md"
PICTURE = re.compile(r"(?<=```text\n).*?(?=```)", re.DOTALL)


def drawn() -> str:
    """One line a layer; what lies inside a room stands below it, indented. Then ``export``."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layered = [found for found in contracts["contracts"] if found["type"] == "layers"]
    inside = {room: found["layers"] for found in layered for room in found.get("containers", [])}
    (site,) = (found["layers"] for found in layered if "containers" not in found)
    pictures = [_lines(site, inside), _lines(["export"], inside)]
    return "\n".join("".join(f"{line}\n" for line in lines) for lines in pictures)


def _lines(
    layers: Sequence[str], inside: Mapping[str, Sequence[str]], room: str = "", indent: str = ""
) -> Iterator[str]:
    for layer in layers:
        names = layer.replace("(", "").replace(")", "")
        yield indent + names.replace(" : ", " · ")
        within = f"{room}.{names}" if room else names
        if within in inside:
            yield from _lines(inside[within], inside, within, f"{indent}│   ")


if __name__ == "__main__":
    PAGE.write_text(PICTURE.sub(lambda _: drawn(), PAGE.read_text("utf-8"), count=1), "utf-8")
