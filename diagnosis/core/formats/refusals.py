"""Limits and refusals that every coding of an image shares."""

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.i18n import gettext_noop as _

MAX_PIXELS = 50_000_000  # beyond any microscope camera; 150 MB decoded
MAX_SIDE = 65_535  # what JPEG can hold; PNG libraries stop at a million


def require_size(width: int, height: int) -> None:
    """Look at what a header declares before anything is decoded.

    Raises:
        ImageRefusedError: more pixels than any microscope camera has.
    """
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise too_many_pixels()


def too_many_pixels() -> ImageRefusedError:
    """The picture is larger than a field can be."""
    return ImageRefusedError(
        "too_many_pixels",
        _("The image has more than {millions} million pixels, or more than {side} on one side."),
        _("Send a single field at the camera's own resolution, not a stitched scan."),
        millions=MAX_PIXELS // 1_000_000,
        side=MAX_SIDE,
    )


def several_frames(frames: int) -> ImageRefusedError:
    """More than one picture in one file."""
    return ImageRefusedError(
        "several_frames",
        _("The file holds {frames} pictures (an animation or several pages)."),
        _("Send one still picture per file."),
        frames=frames,
    )


def reduced_picture() -> ImageRefusedError:
    """A preview or thumbnail where the photograph should be."""
    return ImageRefusedError(
        "reduced_picture",
        _("The file holds a reduced copy of a photograph where the photograph should be."),
        _("Send the photograph in full size, as a JPEG or TIFF file."),
    )


def too_costly() -> ImageRefusedError:
    """The file takes more work than a photograph of its size can."""
    return ImageRefusedError(
        "too_costly",
        _("The file takes more time or memory to read than the photograph of a field can."),
        _("Export the picture again as an ordinary JPEG, PNG or TIFF file and send that."),
    )


def too_many_scans(passes: int) -> ImageRefusedError:
    """Each scan of a JPEG costs a pass over all its pixels."""
    return ImageRefusedError(
        "too_many_scans",
        _("The JPEG file is coded in more than {passes} passes."),
        _("Export the picture again as an ordinary JPEG or PNG file."),
        passes=passes,
    )


def damaged() -> ImageRefusedError:
    """The file does not hold what its header promises."""
    return ImageRefusedError(
        "damaged_image",
        _("The image file is cut off or damaged."),
        _("Copy the file again from the camera, or export it again, and send that."),
    )
