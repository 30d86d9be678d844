"""What has become of a case since a report on it was signed."""

import json

from django.utils.translation import gettext, ngettext

from diagnosis.reports.content.snapshot import Document, canonical


def changes_since(signed: Document, now: Document) -> list[str]:
    """A sentence for each kind of change between two contents of one case; none if nothing.

    What they conclude, and what was added to the form of contents since, is no change.

    Args:
        signed: of the report.
        now: of the case as it stands.
    """
    now = json.loads(canonical(now))
    before = {field["id"]: field for field in signed["fields"]}
    after = {field["id"]: field for field in now["fields"]}
    found = []
    if added := len(after.keys() - before.keys()):
        found.append(
            ngettext("%(count)d field came after it.", "%(count)d fields came after it.", added)
            % {"count": added}
        )
    if gone := len(before.keys() - after.keys()):
        found.append(
            ngettext(
                "%(count)d field no longer belongs to the case.",
                "%(count)d fields no longer belong to the case.",
                gone,
            )
            % {"count": gone}
        )
    both = [(before[key], after[key]) for key in before.keys() & after.keys()]
    if any(old["reading"] != new["reading"] for old, new in both):
        found.append(gettext("Readings of fields have changed."))
    if any(_differ({**old, "reading": None}, {**new, "reading": None}) for old, new in both):
        found.append(gettext("Results of fields have changed."))
    if _differ(signed["patient"], now["patient"]):
        found.append(gettext("Details of the patient have been corrected."))
    if _differ(signed["specimen"], now["specimen"]):
        found.append(gettext("Details of the specimen have been corrected."))
    if signed["laboratory"] != now["laboratory"]:
        found.append(gettext("The laboratory’s name or address has changed."))
    return found


def _differ(signed: Document, now: Document) -> bool:
    return any(now.get(key) != value for key, value in signed.items())
