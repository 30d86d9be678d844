"""How fields are parted: by group, so that no pseudo-patient ever stands on two sides.

``leaky_random_split`` is the one exception, and says so.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from export.config import CLASS_LABELS
from export.data.dataset import SPLITS, DataSet, Field, labels_of, load_thumbnails, short_name
from export.data.grouping import near_duplicates
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


def near_duplicates_across(sides: Sequence[Sequence[Field]]) -> list[tuple[Field, Field]]:
    """Pairs of overlapping fields that stand on two of ``sides``.

    A hint and no proof of leakage: see ``grouping.near_duplicates`` for what it finds.

    Raises:
        DataError: files are missing or cannot be decoded; names them.
    """
    placed = [(field, number) for number, side in enumerate(sides) for field in side]
    pairs = near_duplicates(load_thumbnails([field.path for field, _ in placed]))
    return [(placed[i][0], placed[j][0]) for i, j in pairs if placed[i][1] != placed[j][1]]


def describe(dataset: DataSet) -> list[str]:
    """What a user should know of an image set before training on it, line by line.

    Raises:
        DataError: files are missing or cannot be decoded; names them.
    """
    sides = [[f for f in dataset.fields if f.split == split] for split in SPLITS]
    lines = [
        f"{len(dataset.fields)} fields in {dataset.folder}; "
        f"{dataset.duplicates} exact duplicates dropped",
        "groups: given by groups.csv"
        if dataset.grouping == "given"
        else "groups: no groups.csv; pseudo-patients found from perceptual hashes and serial "
        "numbers, and split by rule",
    ]
    for split, side in zip(SPLITS, sides, strict=True):
        counts = []
        for label, name in enumerate(CLASS_LABELS):
            groups = [field.group for field in side if field.label == label]
            counts.append(f"{name} {len(groups)} ({len(set(groups))} groups)")
        lines.append(f"{split}: {len(side)} fields: {', '.join(counts)}")
    pairs = near_duplicates_across(sides)
    examples = [f"{short_name(a.path)} and {short_name(b.path)}" for a, b in pairs[:3]]
    found = f", for instance {'; '.join(examples)}" if examples else ""
    return [*lines, f"near-duplicate pairs across the split: {len(pairs)}{found}"]


def group_folds(fields: Sequence[Field], folds: int) -> list[list[Field]]:
    """Part ``fields`` into ``folds`` disjoint by group and balanced by class.

    Class by class, the largest group goes to the fold that holds fewest fields of the class so
    far, then fewest in all. Nothing is random, so every run has the same folds. A group of
    several classes, which near-duplicates with different labels make, counts for the first.

    Raises:
        DataError: a class has fewer groups than there are folds.
    """
    members: dict[str, list[Field]] = defaultdict(list)
    for field in fields:
        members[field.group].append(field)
    groups: dict[int, dict[str, list[Field]]] = defaultdict(dict)
    for name, of_group in members.items():
        groups[min(field.label for field in of_group)][name] = of_group
    parts: list[list[Field]] = [[] for _ in range(folds)]
    for label, by_name in sorted(groups.items()):
        if len(by_name) < folds:
            raise DataError(f"Class {label} has {len(by_name)} groups, too few for {folds} folds.")
        of_class = [0] * folds
        for _, of_group in sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0])):
            target = min(range(folds), key=lambda i: (of_class[i], len(parts[i]), i))
            parts[target] += of_group
            of_class[target] += len(of_group)
    check_disjoint(parts)
    return parts


def leaky_random_split(
    fields: Sequence[Field], seed: int, share: float = 0.2
) -> tuple[list[Field], list[Field]]:
    """Training and held-out fields drawn at random within each class, groups torn apart.

    The usual image-level split of the literature on this set. Neighbouring and overlapping fields
    of one slide stand on both sides, so it leaks. It is here only to be compared with published
    figures; whatever is measured with it must be marked as leaky, and nothing trained on it may
    be published.

    Args:
        seed: the same seed gives the same sides.
        share: of each class that is held out, rounded to whole fields.
    """
    rng = np.random.default_rng(seed)
    labels = labels_of(fields)
    held_out = np.zeros(len(fields), np.bool_)
    for label in range(len(CLASS_LABELS)):
        of_class = rng.permutation(np.flatnonzero(labels == label))
        held_out[of_class[: round(share * len(of_class))]] = True
    training = [field for field, held in zip(fields, held_out, strict=True) if not held]
    return training, [field for field, held in zip(fields, held_out, strict=True) if held]
