"""The laboratory's dashboard: figures of a period, and whether the inputs have drifted.

It names no patient. Words stand here and in the templates, figures in ``diagnosis.statistics``.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from django.views.decorators.http import require_safe
from numpy.typing import NDArray

from diagnosis.core.drift import FEWEST, PER_PATIENT, Drift, Level
from diagnosis.core.imaging.contract import LABELS
from diagnosis.models import Diagnosis
from diagnosis.portal import charts, wording
from diagnosis.reports.wording import figure
from diagnosis.statistics.agreement import FEWEST_PATIENTS, Agreement
from diagnosis.statistics.inputs import POPULATIONS, Inputs, inputs
from diagnosis.statistics.period import CHOICES, Period, period_of
from diagnosis.statistics.proportions import Proportion
from diagnosis.statistics.readings import Readings, readings
from diagnosis.statistics.volumes import (
    REFUSALS,
    SAMPLE,
    Refusals,
    Turnaround,
    Volumes,
    answer_times,
    refusals,
    signing_times,
    volumes,
)
from patients.models import Site, Stain
from webapp.audit.services import audit_record

MAY = ("diagnosis.view_diagnosis", "diagnosis.view_review")

_PERIODS = {
    7: gettext_lazy("7 days"),
    30: gettext_lazy("30 days"),
    90: gettext_lazy("90 days"),
    365: gettext_lazy("1 year"),
}
_POPULATIONS = {
    "decoded": gettext_lazy("All images"),
    "accepted": gettext_lazy("Accepted by the input checks"),
}
# Beside the input checks, which have their words in ``wording``.
_STATISTICS = {
    "stain_balance": gettext_lazy("Balance of the stain (azure to eosin)"),
    "stain_strength": gettext_lazy("Strength of the stain"),
    "ood_score": gettext_lazy("Distance from training images"),
}
_DIMENSIONS = {
    "given": gettext_lazy("By the model’s category"),
    "version": gettext_lazy("By model version"),
    "site": gettext_lazy("By specimen site"),
    "stain": gettext_lazy("By stain"),
}
_UNITS = (
    (0.9995, 0.001, gettext_lazy("ms")),
    (60.0, 1.0, gettext_lazy("s")),
    (3600.0, 60.0, gettext_lazy("min")),
    (2 * 86400.0, 3600.0, gettext_lazy("h")),
    (float("inf"), 86400.0, gettext_lazy("d")),
)


@dataclass(frozen=True)
class IntervalRow:
    """A figure in [0, 1] with its interval, as drawn; ``low`` is ``None`` without one."""

    label: str
    text: str
    note: str
    value: str
    low: str | None
    high: str | None


@dataclass(frozen=True)
class DriftCard:
    """One statistic of the inputs as drawn."""

    label: str
    level: str
    verdict: str
    distance: str
    limits: str
    found: str
    expected: str
    picture: charts.Pair


@require_safe
@permission_required(MAY, raise_exception=True)
def dashboard(request: HttpRequest) -> HttpResponse:
    """Volumes, turnaround, refusals, readings and inputs of the period that is asked for."""
    days = request.GET.get("days", "")
    period = period_of(int(days) if days.isdecimal() and len(days) < 4 else 0)
    population = request.GET.get("inputs", "")
    population = population if population in POPULATIONS else "decoded"
    audit_record(
        actor=request.user,
        action="dashboard.viewed",
        target=cast(User, request.user),
        detail={"days": period.days, "inputs": population},
    )
    context: dict[str, Any] = {
        "days": period.days,
        "periods": {number: _PERIODS[number] for number in CHOICES},
        "population": population,
        "populations": _POPULATIONS,
        "begun": Diagnosis.objects.exists(),
        "demonstration": period.only_drawn,
    }
    if context["begun"]:
        context |= _figures(period) | {"drift": _drift(inputs(population))}
    return render(request, "diagnosis/dashboard.html", context)


def _figures(period: Period) -> dict[str, Any]:
    counted, answered, signed = volumes(period), answer_times(period), signing_times(period)
    refused, read = refusals(period), readings(period)
    day = pgettext("format of a day without its year, see the filter date", "j M")
    bins = [date_format(edge, day) for edge in period.edges[:-1]]
    return {
        "counted": counted,
        "refused_share": wording.percent(_share(sum(counted.refused), counted.fields)),
        "signed_count": sum(counted.signed),
        "answer_median": duration(answered.median),
        "answer_slow": duration(answered.slow),
        "signing_median": duration(signed.median),
        "signing_slow": duration(signed.slow),
        "charts": _charts(bins, counted, answered, signed),
        "refusals": _refusals(refused),
        "refusals_cut": REFUSALS if refused.fields == REFUSALS else 0,
        "kappa": _kappa(read.latest),
        "agreement": _agreement(read),
        "confusion": _confusion(read.latest),
        "classes": [wording.category(label) for label in LABELS],
        "readings": read,
        "overrides": _overrides(read),
        "override_scale": f"{100 * _override_scale(read):.0f}\N{NO-BREAK SPACE}%",
        "few_patients": FEWEST_PATIENTS,
    }


def _charts(
    bins: Sequence[str], counted: Volumes, answered: Turnaround, signed: Turnaround
) -> list[dict[str, Any]]:
    """Title, sentence and chart of each picture over time."""
    fields = [
        (_("Screened"), counted.screened),
        (_("Refused"), counted.refused),
        (_("Without a result"), counted.unfinished),
    ]
    return [
        _over_time(
            _("Uploaded fields"),
            charts.columns(_("Uploaded fields by day and what became of them"), bins, fields),
            counted.fields,
        ),
        _over_time(
            _("Signed cases"),
            charts.columns(
                _("Cases by the day they were signed"), bins, [(_("Signed"), counted.signed)]
            ),
            sum(counted.signed),
        ),
        _over_time(
            _("From upload to the model’s answer"),
            _times(_("Time from upload to the model’s answer, by day of upload"), bins, answered),
            answered.count,
            SAMPLE,
        ),
        _over_time(
            _("From first field to signature"),
            _times(_("Time from first field to signature, by day of signature"), bins, signed),
            signed.count,
            SAMPLE,
        ),
    ]


def _over_time(
    title: str, chart: charts.Chart, count: int, looked_at: int | None = None
) -> dict[str, Any]:
    """One picture; ``looked_at`` is how many of ``count`` it is of, if not all."""
    part = looked_at is not None and looked_at < count
    note = _("About %(part)s of %(count)s, picked evenly.") % {"part": looked_at, "count": count}
    return {"title": title, "chart": chart, "any": count > 0, "note": note if part else ""}


def _times(label: str, bins: Sequence[str], found: Turnaround) -> charts.Chart:
    largest = max((value for value in found.slows if value is not None), default=0.0)
    size, unit = _unit(largest)
    series = [
        (name, [None if value is None else value / size for value in values])
        for name, values in (
            (_("Median"), found.medians),
            (_("Nine of ten within"), found.slows),
        )
    ]
    return charts.lines(label, bins, series, str(unit), lambda value: duration(value * size))


def duration(seconds: float | None) -> str:
    """``32 ms``, ``3.4 s``, ``12.0 min``, ``5.1 h``, ``2.3 d``, in German ``3,4 s``; – for none."""
    if seconds is None:
        return "–"
    size, unit = _unit(seconds)
    return figure(f"{seconds / size:.{1 if size >= 1 else 0}f}\N{NO-BREAK SPACE}{unit}")


def _unit(seconds: float) -> tuple[float, Promise]:
    """Seconds of the unit in which a time is well read, and its symbol."""
    return next((size, unit) for below, size, unit in _UNITS if seconds < below)


def _refusals(found: Refusals) -> list[wording.Bar]:
    return [
        wording.Bar(
            label=wording.check_label(name),
            text=f"{count} ({wording.percent(count / found.fields)})",
            value=count / found.fields,
        )
        for name, count in found.failed.items()
    ]


def _kappa(found: Agreement) -> str:
    return "–" if found.kappa is None else figure(f"{found.kappa:.2f}")


def _agreement(found: Readings) -> list[IntervalRow]:
    rows = []
    for label, one in (
        (_("Latest reading"), found.latest),
        (_("Read blind, before the model’s class was shown"), found.blinded),
    ):
        if one.kappa is None:
            continue
        interval = "" if one.low is None else f" ({one.low:.2f} – {one.high:.2f})"
        rows.append(
            IntervalRow(
                label=label,
                text=figure(f"κ\N{NO-BREAK SPACE}{one.kappa:.2f}{interval}"),
                note=_("same class in %(share)s; %(size)s")
                % {"share": wording.percent(one.observed), "size": _size(one.fields, one.patients)},
                value=_place(one.kappa),
                low=None if one.low is None else _place(one.low),
                high=None if one.high is None else _place(one.high),
            )
        )
    return rows


def _confusion(found: Agreement) -> list[tuple[str, list[int]]]:
    return [
        (wording.category(label), row)
        for label, row in zip(LABELS, found.table.tolist(), strict=True)
    ]


def _overrides(found: Readings) -> list[tuple[str, list[IntervalRow]]]:
    """Heading and rows of each dimension that has any."""
    scale = _override_scale(found)
    return [
        (str(_DIMENSIONS[name]), rows)
        for name in _DIMENSIONS
        if (rows := _override_rows(name, found.overrides[name], scale))
    ]


def _override_scale(found: Readings) -> float:
    """Where the axis ends, so that small shares are not all at its beginning."""
    highs = [share.high for shares in found.overrides.values() for share in shares.values()]
    return next(end for end in (0.1, 0.25, 0.5, 1.0) if max(highs, default=0.0) <= end)


def _override_rows(
    name: str, shares: Mapping[Hashable, Proportion], scale: float
) -> list[IntervalRow]:
    return [
        IntervalRow(
            label=_value(name, value),
            text=f"{wording.percent(one.value)} ({wording.percent(one.low)} – "
            f"{wording.percent(one.high)})",
            note=_size(one.fields, one.patients),
            value=_place(one.value / scale),
            low=_place(one.low / scale),
            high=_place(one.high / scale),
        )
        for value, one in sorted(shares.items(), key=lambda item: _order(name, item[0]))
    ]


def _order(name: str, value: Hashable) -> tuple[int, str]:
    if name == "given" and value in LABELS:
        return LABELS.index(str(value)), ""
    return (int(str(value)), "") if name == "version" else (0, str(value))


def _value(name: str, value: Hashable) -> str:
    if name == "given":
        return wording.category(str(value))
    if name == "version":
        return _("Version %(number)s") % {"number": value}
    known = Stain if name == "stain" else Site
    return str(known(value).label) if value in known.values else str(value)


def _size(fields: int, patients: int) -> str:
    counted = (
        ngettext("%(count)s field", "%(count)s fields", fields) % {"count": fields},
        ngettext("%(count)s patient", "%(count)s patients", patients) % {"count": patients},
    )
    return ", ".join(counted)


def _drift(found: Inputs | None) -> dict[str, Any]:
    """What the page says of the inputs."""
    if found is None:
        return {"state": "no_version"}
    facts: dict[str, Any] = {
        "version": found.version,
        "fields": found.fields,
        "patients": found.patients,
        "fewest": FEWEST,
        "per_patient": PER_PATIENT,
    }
    if found.reference is None:
        return facts | {"state": "no_reference"}
    facts |= {
        "training_fields": found.reference.fields,
        "training_groups": found.reference.groups,
        "watch_rate": wording.percent(found.reference.false_alarms["watch"]),
        "drift_rate": wording.percent(found.reference.false_alarms["drift"]),
    }
    if not found.enough:
        return facts | {"state": "too_few"}
    return facts | {
        "state": found.level.name.lower(),
        "cards": [_drift_card(drift) for drift in found.drifts if drift.distance is not None],
    }


def _drift_card(drift: Drift) -> DriftCard:
    verdicts = {Level.NONE: _("As trained"), Level.WATCH: _("Watch"), Level.DRIFT: _("Drift")}
    return DriftCard(
        label=str(_STATISTICS.get(drift.statistic) or wording.check_label(drift.statistic)),
        level=drift.level.name.lower(),
        verdict=verdicts[drift.level],
        distance=figure(f"{drift.distance:.2f}"),
        limits=figure(f"{drift.limits.watch:.2f} / {drift.limits.drift:.2f}"),
        found=figure(f"{_median(drift.values):.3g}"),
        expected=figure(f"{_median(drift.expected):.3g}"),
        picture=charts.pair(drift.expected, drift.values),
    )


def _median(ascending: NDArray[np.float64]) -> float:
    return float(np.median(ascending))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _place(value: float) -> str:
    """A place on an axis from 0 to 1; what lies below it is drawn at 0."""
    return f"{min(max(value, 0.0), 1.0):.4f}"
