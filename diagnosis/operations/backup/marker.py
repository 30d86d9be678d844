"""Says that a restore went past the point of no return and has not ended."""

from pathlib import Path

from diagnosis.storage.media import media_path


def marker_path() -> Path:
    """A hidden file in MEDIA_ROOT with the sha256 of the backup that is being restored."""
    return media_path(".restoring")


def marked() -> str | None:
    """The sha256 of the backup whose restore has not ended; ``None`` if there is none."""
    try:
        return marker_path().read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
