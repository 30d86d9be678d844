"""Pseudo-patients for an image set that names none, and a split that keeps them whole.

Fields of one patient follow each other in the numbering and often overlap. Overlapping fields
are found by perceptual hash; together with runs of serial numbers they are joined into groups.
Groups found so are a lower bound of what belongs together: two fields of one patient that
neither overlap nor lie close in the numbering stay apart.
"""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from export.config import CLASS_LABELS
from export.errors import DataError

THUMBNAIL = 64  # pixels a side
MARGIN = 8  # overlapping fields are found when shifted by up to this, an eighth of the side
STEP = 4  # pixels between the shifts tried
HASH_LIMIT = 16  # of 64 bits
CORRELATION = 0.6
SERIAL_RUN = 37  # numbers; the groups of the project's groups.csv are made of such blocks
FEWEST_RUNS = 5  # that a class is cut into, lest a small one be a single group
HELD_OUT_SHARE = 0.2

Pair = tuple[int, int]


def thumbnail(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey uint8 [64, 64] of an RGB image uint8 [H, W, 3], squashed to a square."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def perceptual_hashes(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Perceptual hashes, float32 [N, 64] of −1 and +1, of grey images uint8 [N, H, W].

    DCT of the image at 32×32; the 8×8 block of its low frequencies, without those that are
    constant along a row or a column, against the block's median (Zauner 2010).
    With −1 and +1 the product of two hashes is 64 less twice their Hamming distance.
    """
    blocks = np.empty((len(grey), 64), np.float32)
    for block, image in zip(blocks, grey, strict=True):
        small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        block[:] = cv2.dct(small)[1:9, 1:9].ravel()
    above = blocks > np.median(blocks, axis=1, keepdims=True)
    return np.where(above, np.float32(1), np.float32(-1))


def near_duplicates(thumbnails: NDArray[np.uint8]) -> list[Pair]:
    """Pairs (i, j), i < j, of fields that show the same place, shifted by up to an eighth.

    The hash of each field's middle is compared with those of 25 shifted cut-outs of every other
    field; at up to 16 different bits of 64 the pair counts if the two correlate by 0.6 or more
    where they fit best (normalised cross-correlation, Lewis 1995).

    Both limits were chosen on the train side of the project's set (2,026 fields, 2,051,325
    pairs, of which 100 correlate so when every one is tried): the hash proposes 7,901 pairs, all
    100 among them (recall 100 of 100), and the correlation keeps exactly these, all inside one
    group of groups.csv (precision 100 of 100). The hash alone, without shifts, finds 46 of them
    at up to 12 bits, and at 14 takes in 23 that are none. Overlaps by larger shifts are missed.
    Mirrored fields, looked for without shifts, gave no pair; they are not looked for.

    Args:
        thumbnails: uint8 [N, 64, 64] of ``thumbnail``.
    """
    side = THUMBNAIL - 2 * MARGIN
    middles = perceptual_hashes(thumbnails[:, MARGIN:-MARGIN, MARGIN:-MARGIN])
    shifts = range(0, 2 * MARGIN + 1, STEP)
    proposed: set[Pair] = set()
    for top in shifts:
        for left in shifts:
            shifted = thumbnails[:, top : top + side, left : left + side]
            proposed |= _close_pairs(middles, perceptual_hashes(shifted))
    return sorted(pair for pair in proposed if _look_alike(*(thumbnails[i] for i in pair)))


def serial_neighbours(labels: NDArray[np.int64], stems: Sequence[str]) -> list[Pair]:
    """Pairs that join the fields of each serial run.

    A run is a block of 37 numbers (from a multiple of 37 on) at the end of the names of one
    class that otherwise read the same; shorter in a class of fewer than 185 fields, so that it
    has several. Names without a number at their end belong to no run.

    Args:
        labels: int64 [N].
        stems: file names without their endings.
    """
    sizes = np.bincount(labels)
    first: dict[tuple[int, str, int], int] = {}
    pairs = []
    for index, (label, stem) in enumerate(zip(labels.tolist(), stems, strict=True)):
        if numbered := re.fullmatch(r"(.*?)(\d+)", stem):
            length = min(SERIAL_RUN, math.ceil(sizes[label] / FEWEST_RUNS))
            run = (label, numbered[1], int(numbered[2]) // length)
            if first.setdefault(run, index) != index:
                pairs.append((first[run], index))
    return pairs


def find_groups(
    thumbnails: NDArray[np.uint8], labels: NDArray[np.int64], stems: Sequence[str]
) -> list[str]:
    """The name of each field's group: near-duplicates and serial neighbours, joined.

    No pair of ``near_duplicates`` ever straddles two groups. On the train side of the project's
    set there are 33 such groups where groups.csv has 23: each lies inside one of groups.csv
    (precision of pairs 100,670 of 100,670), which joins more (recall 100,670 of 153,802).

    Args:
        thumbnails: uint8 [N, 64, 64] of ``thumbnail``.
        labels: int64 [N].
        stems: file names without their endings.
    """
    parents = list(range(len(labels)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for one, other in near_duplicates(thumbnails) + serial_neighbours(labels, stems):
        low, high = sorted((root(one), root(other)))
        parents[high] = low  # so that a group's root is its first field
    classes = list(CLASS_LABELS)
    names: dict[int, str] = {}
    for index, label in enumerate(labels):
        if root(index) == index:
            names[index] = f"{classes[label]}-F{len(names):03d}"
    return [names[root(index)] for index in range(len(labels))]


def hold_out(labels: NDArray[np.int64], groups: Sequence[str]) -> NDArray[np.bool_]:
    """Which fields to keep from training, bool [N]: whole groups, about a fifth of each class.

    The smallest groups of a class are held out, because many small groups say more about unseen
    patients than one large one. Nothing is random, so every run has the same split.

    Args:
        labels: int64 [N].
        groups: each field's group.

    Raises:
        DataError: a class would be missing on one side; it has too few groups.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    held_out = np.zeros(len(labels), np.bool_)
    for label, name in enumerate(CLASS_LABELS):
        # A near-duplicate under two classes makes a group of both; it counts for the first.
        own = [group for group, of in members.items() if labels[of].min() == label]
        goal = HELD_OUT_SHARE * np.count_nonzero(labels == label)
        taken = 0
        # The digest breaks ties, lest all come from one end of the numbering.
        for group in sorted(own, key=lambda g: (len(members[g]), _digest(g))):
            size = len(members[group])
            if taken and abs(taken + size - goal) > abs(taken - goal):
                break
            held_out[members[group]] = True
            taken += size
        if len(set(held_out[labels == label].tolist())) < 2:
            raise DataError(
                f"The {np.count_nonzero(labels == label)} images of class {name} form "
                f"{len(own)} group(s) of near-duplicates and serial neighbours, too few for a "
                "training and a calibration side; add fields of other patients, or name the "
                "groups in groups.csv."
            )
    return held_out


def _close_pairs(hashes: NDArray[np.float32], others: NDArray[np.float32]) -> set[Pair]:
    """Pairs (i, j), i < j, of which one's hash is close to the other's among ``others``."""
    pairs: set[Pair] = set()
    for start in range(0, len(hashes), 1024):  # bounds the memory that a large set takes
        products = hashes[start : start + 1024] @ others.T
        rows, columns = np.nonzero(products >= 64 - 2 * HASH_LIMIT)
        both = zip((rows + start).tolist(), columns.tolist(), strict=True)
        pairs.update((min(i, j), max(i, j)) for i, j in both if i != j)
    return pairs


def _look_alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether the middle of ``one`` is somewhere in ``other``."""
    middle = one[MARGIN:-MARGIN, MARGIN:-MARGIN]
    fit = cv2.matchTemplate(other, middle, cv2.TM_CCOEFF_NORMED)
    return bool(fit.max() >= CORRELATION)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
