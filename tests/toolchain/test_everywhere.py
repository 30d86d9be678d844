"""`make test` tells of every database, whichever failed."""

import sys

import pytest

from tests.everywhere import CHECK, LEFT_OUT, main
from tests.product import ROOT
from tests.servers.mysql import NOT_HERE


def _ends(status: int) -> tuple[str, ...]:
    return (sys.executable, "-c", f"print('run'); raise SystemExit({status})")


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ({"SQLite": 0, "MariaDB": 0, "MySQL": 0}, 0),
        ({"SQLite": 0, "MariaDB": 1, "MySQL": 0}, 1),
        ({"SQLite": 2, "MariaDB": 0, "MySQL": NOT_HERE}, 1),
        ({"SQLite": 0, "MariaDB": 0, "MySQL": NOT_HERE}, 0),
    ],
)
def test_every_run_is_made_and_told(
    ends: dict[str, int], status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main({name: _ends(code) for name, code in ends.items()}) == status
    out = capfd.readouterr().out
    assert out.count("run\n") == len(ends)
    for name, code in ends.items():
        words = {0: "passed in", NOT_HERE: "NOT RUN"}.get(code, "FAILED in")
        assert f"\n{name}: {words}" in out


@pytest.mark.parametrize("path", LEFT_OUT)
def test_what_check_leaves_out_is_there(path: str) -> None:
    """pytest ignores a path that is not there without a word."""
    assert (ROOT / path).exists()
    assert f"--ignore={path}" in CHECK["SQLite"]
