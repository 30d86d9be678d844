"""The kinds of failure that cross the pure core's boundary.

Neither imports Django: ``imaging``, ``predictors``, ``pipeline`` and ``export`` raise them,
the web layer turns them into pages and problem details.
"""

from functools import partial
from typing import Any


class ImageRefusedError(Exception):
    """The bytes are not an image this system can read, and a person can mend that.

    Attributes:
        code: stable machine-readable name, e.g. ``truncated_image``.
        message: one sentence for a clinician saying what is wrong.
        fix: one sentence saying what to do about it.
        template, figures: of which ``message`` is made, for whoever says it in another language.

    Args:
        message: the template; ``{name}`` stands for one of the figures.
    """

    names_nobody = True  # so its text may be logged; see webapp.logs.redaction

    def __init__(self, code: str, message: str, fix: str, **figures: float) -> None:
        self.code = code
        self.template = message
        self.figures = figures
        self.message = message.format(**figures) if figures else message
        self.fix = fix
        super().__init__(f"{code}: {self.message} {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Made anew from its parts where it arrives in another process."""
        again = partial(ImageRefusedError, self.code, self.template, self.fix, **self.figures)
        return again, ()


class DecodersBusyError(Exception):
    """As much is being decoded as this process may decode at once.

    Says nothing about the image: it is worth sending again, and costs a diagnosis none of its
    attempts.

    Attributes:
        retry_after_s: seconds after which asking again makes sense.
    """

    names_nobody = True
    retry_after_s = 5

    def __init__(self) -> None:
        super().__init__("too many pictures are being decoded at once")


class PredictorError(Exception):
    """The model could not answer; says whether asking again can help.

    Attributes:
        permanent: ``False`` for what passes (a restart, a full queue), which callers retry
            with backoff; ``True`` for what does not (a damaged version, a wrong shape).
    """

    names_nobody = True

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class ModelUnavailableError(PredictorError):
    """No model could be asked just now.

    Says nothing about the image, so waiting for it costs a diagnosis none of its attempts.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=False)


class ModelAwayError(ModelUnavailableError):
    """No model server answers: it is down, or loading."""


class ModelBusyError(ModelUnavailableError):
    """The model is there, and has more to do than it can do in time."""


class ContractError(ValueError):
    """A published model version does not describe itself correctly; always an operator's matter."""

    names_nobody = True
