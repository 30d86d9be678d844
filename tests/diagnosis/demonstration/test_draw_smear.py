"""``manage.py draw_smear``."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from django.core.management import CommandError, call_command

from diagnosis.core.imaging.synthetic import draw_smear


def test_draw_smear_writes_the_drawing(tmp_path: Path) -> None:
    call_command("draw_smear", str(tmp_path / "smear.png"), seed=3)
    written = cv2.cvtColor(cv2.imread(str(tmp_path / "smear.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(written, draw_smear(3))


@pytest.mark.parametrize("name", ["smear.txt", "nowhere/smear.png"])
def test_draw_smear_says_why_it_cannot(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match=r"smear\.(txt should end|png cannot be written)"):
        call_command("draw_smear", str(tmp_path / name))


def test_draw_smear_writes_over_nothing_unless_told(tmp_path: Path) -> None:
    file = tmp_path / "field.jpg"
    file.write_bytes(b"a photograph")
    with pytest.raises(CommandError, match="is there already; name another file, or say --force"):
        call_command("draw_smear", str(file))
    assert file.read_bytes() == b"a photograph"
    call_command("draw_smear", str(file), force=True)
    assert file.read_bytes().startswith(b"\xff\xd8")


def test_draw_smear_does_not_follow_a_link_to_a_file(tmp_path: Path) -> None:
    file, link = tmp_path / "field.jpg", tmp_path / "link.jpg"
    link.symlink_to(file)
    with pytest.raises(CommandError, match="is there already"):
        call_command("draw_smear", str(link))
    assert not file.exists()
