"""Limits and refusals that every coding of an image shares."""

from diagnosis.errors import ImageRefused

MAX_PIXELS = 50_000_000  # beyond any microscope camera; 150 MB decoded
MAX_SIDE = 65_535  # what JPEG can hold; PNG libraries stop at a million


def require_size(width: int, height: int) -> None:
    """Look at what a header declares before anything is decoded.

    Raises:
        ImageRefused: more pixels than any microscope camera has.
    """
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise too_many_pixels()


def too_many_pixels() -> ImageRefused:
    """The picture is larger than a field can be."""
    return ImageRefused(
        "too_many_pixels",
        f"The image has more than {MAX_PIXELS // 1_000_000} million pixels, or more than "
        f"{MAX_SIDE} on one side.",
        "Send a single field at the camera's own resolution, not a stitched scan.",
    )


def several_frames(frames: int) -> ImageRefused:
    """More than one picture in one file."""
    return ImageRefused(
        "several_frames",
        f"The file holds {frames} pictures (an animation or several pages).",
        "Send one still picture per file.",
    )


def damaged() -> ImageRefused:
    """The file does not hold what its header promises."""
    return ImageRefused(
        "damaged_image",
        "The image file is cut off or damaged.",
        "Copy the file again from the camera, or export it again, and send that.",
    )
