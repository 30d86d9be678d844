"""Grouped splits: no pseudo-patient ever stands on two sides."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from export.dataset import SPLITS, Field
from export.errors import DataError


def official_split(fields: Sequence[Field]) -> tuple[list[Field], list[Field]]:
    """The train and the calibration fields, as ``groups.csv`` parts them.

    Raises:
        DataError: a side is empty, or a group or a file's content appears on both.
    """
    train, calibration = ([f for f in fields if f.split == split] for split in SPLITS)
    if not train or not calibration:
        raise DataError("groups.csv must name fields of both splits, train and calibration.")
    check_disjoint([train, calibration])
    return train, calibration


def check_disjoint(sides: Iterable[Sequence[Field]]) -> None:
    """Make sure that no group and no file content appears on two of ``sides``.

    Raises:
        DataError: one does; figures measured so would be worthless.
    """
    side_of: dict[str, int] = {}
    for number, side in enumerate(sides):
        for field in side:
            for key in (f"group {field.group}", f"content {field.sha256}"):
                if side_of.setdefault(key, number) != number:
                    raise DataError(
                        f"Leakage: {key} (for instance {field.path.name}) stands on two sides of "
                        "the split; put all its fields on one side in groups.csv."
                    )


def group_folds(fields: Sequence[Field], folds: int) -> list[list[Field]]:
    """Part ``fields`` into ``folds`` disjoint by group and balanced by class.

    Class by class, the largest group goes to the fold that holds fewest fields of the class so
    far, then fewest in all. Nothing is random, so every run has the same folds.

    Raises:
        DataError: a class has fewer groups than there are folds.
    """
    groups: dict[int, dict[str, list[Field]]] = defaultdict(lambda: defaultdict(list))
    for field in fields:
        groups[field.label][field.group].append(field)
    parts: list[list[Field]] = [[] for _ in range(folds)]
    for label, by_name in sorted(groups.items()):
        if len(by_name) < folds:
            raise DataError(f"Class {label} has {len(by_name)} groups, too few for {folds} folds.")
        of_class = [0] * folds
        for _, members in sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0])):
            target = min(range(folds), key=lambda i: (of_class[i], len(parts[i]), i))
            parts[target] += members
            of_class[target] += len(members)
    check_disjoint(parts)
    return parts
