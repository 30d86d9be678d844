"""Seals a published version: no file of it may change unnoticed, its contract least of all.

``assets.extra/SHA256SUMS`` lists every other file of the version as ``sha256sum`` does, so
``sha256sum --check assets.extra/SHA256SUMS`` in the version's folder says the same. It finds
damage and edits by hand; who can write the folder can seal it again.
"""

from pathlib import Path

from diagnosis.core.errors import ContractError
from diagnosis.core.files import read_sums, sha256_of, sums_text

SEAL = "assets.extra/SHA256SUMS"


def seal(version_dir: Path) -> None:
    """Write ``SHA256SUMS`` of the files that are there now."""
    (version_dir / SEAL).write_text(sums_text(_sums(version_dir)), "utf-8")


def check_seal(version_dir: Path) -> None:
    """Make sure that the version's files are those that were published.

    Raises:
        ContractError: a file was changed, added or taken away, or there is no seal; names it.
    """
    try:
        sealed, found = read_sums(version_dir / SEAL), _sums(version_dir)
    except (OSError, ValueError) as error:
        raise ContractError(
            f"{version_dir / SEAL} cannot be used ({error}); publish the version again."
        ) from error
    changed = [
        f"{name} {_difference(sealed.get(name), found.get(name))}"
        for name in sorted(sealed.keys() | found.keys())
        if sealed.get(name) != found.get(name)
    ]
    if changed:
        raise ContractError(
            f"{version_dir} does not match its seal: {', '.join(changed[:5])}; restore the version "
            "from a backup, or publish it again."
        )


def _difference(sealed: str | None, found: str | None) -> str:
    if found is None:
        return "is missing"
    return "was added" if sealed is None else "has another checksum"


def _sums(version_dir: Path) -> dict[str, str]:
    """sha256 of every file but the seal, by path relative to the version."""
    return {
        path.relative_to(version_dir).as_posix(): sha256_of(path)
        for path in version_dir.rglob("*")
        if path.is_file() and path != version_dir / SEAL
    }
