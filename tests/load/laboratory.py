"""Fills an empty MariaDB or MySQL with a laboratory's records of some years, by SQL alone.

The server makes the rows itself (``INSERT … SELECT`` from a table of numbers), so a million
diagnoses take minutes. What a row holds follows from its number: each run makes the same.
"""

import json
from dataclasses import dataclass

from diagnosis.core.imaging.contract import LABELS, ModelContract
from diagnosis.core.imaging.validate import FIXES

BATCH = 50_000
YEARS = 5
USERS = 20
LARGE, USUAL = 200, 24  # fields of the first two specimens
CONTENT = 16_000  # characters of a report of 24 fields
# Separated by spaces: as lists they would take a page.
_GIVEN = (
    "Ada Ali Amir Ana Anna Arash Aria Ben Carlos Chen Clara Dana David Elena Emil Emma Eva Farah "
    "Fatima Felix Grace Hana Hassan Helena Ida Ines Ivan James Jan Jana Jonas José Julia Karim "
    "Kaveh Klara Lara Laura Leila Leon Li Lina Luca Lukas Maja Maria Marie Maryam Max Mehdi Mei "
    "Mia Mina Mohammad Nadia Nils Nina Noah Nora Olga Omar Paul Petra Reza Rosa Sara Sofia Tariq "
    "Tom Vera Wei Yasmin Zahra Zoë"
)
_STEMS = (
    "Al And Bar Berg Car Dal Ek Fer Ghad Haas Ibr Jan Kov Lind Mar Nov Oliv Per Ros Sant Tor Var "
    "West Zand"
)
_ENDINGS = "ström ez ić mann ini son ov er ari a"
FIRST_NAMES = _GIVEN.split()
SURNAMES = [stem + ending for stem in _STEMS.split() for ending in _ENDINGS.split()]


@dataclass(frozen=True)
class Laboratory:
    """How much there is to be.

    Attributes:
        diagnoses: how many, at least 1,000; one in each case's worth has no specimen.
        fields: of a usual case. The first specimen has ``LARGE``, the second ``USUAL``.
        images: names of stored image files, which the diagnoses share.
        contract: of the version that is to have answered.
    """

    diagnoses: int
    fields: int
    images: tuple[str, ...]
    contract: ModelContract

    @property
    def specimens(self) -> int:
        """How many there are; each has a case."""
        return 2 - (LARGE + USUAL - self.diagnoses) // (self.fields + 1)  # rounded up

    @property
    def patients(self) -> int:
        """How many there are; a third of them has a second specimen."""
        return -(-self.specimens * 3 // 4)

    @property
    def open_cases(self) -> int:
        """The latest tenth, and in a small laboratory enough to fill a page."""
        return min(self.specimens, max(self.specimens // 10, 200))

    def statements(self) -> list[str]:
        """SQL that fills the tables, in order; user 1 is there already, and no trigger is: signed
        cases are not signed step by step here."""
        return [
            # Columns that say nothing here, and those of later versions, take the type's zero.
            "SET SESSION sql_mode = '', foreign_key_checks = 0, unique_checks = 0",
            *_number_table(self.diagnoses),
            self._users(),
            *_name_tables(),
            self._patients(),
            self._specimens(),
            *(self._diagnoses(*part) for part in _parts(self.diagnoses)),
            *(self._reviews(*part) for part in _parts(self.diagnoses)),
            self._cases(),
            self._headlines(),
            self._signatures(),
            self._reports(),
            *(self._events(*part) for part in _parts(self.diagnoses)),
            "DROP TABLE bench_number",
            *(f"ANALYZE TABLE {table}" for table in TABLES),
        ]

    def _users(self) -> str:
        return f"""
            INSERT INTO auth_user (id, username, first_name, last_name, password, is_active,
                date_joined)
            SELECT seq, CONCAT('reader-', seq), 'Reader', CONCAT('Number ', seq), '!', 1, NOW(6)
            FROM {_numbers(2, USERS)}"""

    def _patients(self) -> str:
        first = f"FLOOR({len(FIRST_NAMES)} * POW({_chance('first', 'seq')}, 1.5))"
        last = f"FLOOR({len(SURNAMES)} * POW({_chance('last', 'seq')}, 1.5))"
        return f"""
            INSERT INTO patients_patient (id, medical_record_number, name, searched,
                date_of_birth, sex, created_at)
            SELECT seq, CONCAT('MRN-', LPAD(seq * 7 + 1000003, 8, '0')),
                CONCAT(family.name, ', ', given.name),
                LOWER(CONCAT('MRN-', LPAD(seq * 7 + 1000003, 8, '0'), ' ', family.name, ', ',
                    given.name)),
                DATE('1940-01-01') + INTERVAL FLOOR(30000 * {_chance("born", "seq")}) DAY,
                ELT(1 + seq % 2, 'female', 'male'), {_arrival("seq", self.patients)}
            FROM {_numbers(1, self.patients)}
                JOIN bench_given given ON given.id = {first}
                JOIN bench_family family ON family.id = {last}"""

    def _specimens(self) -> str:
        arrival = _arrival("seq", self.specimens)
        other = f"1 + FLOOR({self.patients} * {_chance('patient', 'seq')})"
        return f"""
            INSERT INTO patients_specimen (id, accession_number, patient_id, collected_at,
                received_at, stain, site, objective, created_at)
            SELECT seq, {_accession("seq", self.specimens)},
                IF(seq <= {self.patients}, seq, {other}),
                {arrival} - INTERVAL 3 HOUR, {arrival}, 'wright-giemsa',
                IF(seq % 4, 'peripheral-blood', 'bone-marrow-aspirate'), '100x', {arrival}
            FROM {_numbers(1, self.specimens)}"""

    def _diagnoses(self, first: int, last: int) -> str:
        checks, answer = _sql(json.dumps(_validation())), _sql(_probabilities())
        images = ", ".join(f"'{name}'" for name in self.images)
        specimen = f"""CASE
            WHEN seq <= {LARGE} THEN 1 WHEN seq <= {LARGE + USUAL} THEN 2
            WHEN (seq - {LARGE + USUAL + 1}) % {self.fields + 1} = {self.fields} THEN NULL
            ELSE 3 + (seq - {LARGE + USUAL + 1}) DIV {self.fields + 1} END"""
        kind = _chance("kind", "IFNULL(specimen, seq)")
        outcome = f"""CASE
            WHEN seq > {self.diagnoses - max(10, self.diagnoses // 2000)} THEN 'waiting'
            WHEN {_chance("failed", "seq")} < 0.001 THEN 'failed'
            WHEN {_chance("refused", "seq")} < 0.06 THEN 'rejected'
            WHEN {kind} < 0.25 AND {_chance("field", "seq")} < 0.6 THEN 'suspicious'
            WHEN {kind} < 0.40 AND {_chance("field", "seq")} < 0.7 THEN 'indeterminate'
            ELSE 'not_suspicious' END"""
        arrival = _arrival("seq", self.diagnoses)
        return f"""
            INSERT INTO diagnosis_diagnosis (id, specimen_id, intake_key, file_name, upload_sha256,
                image_sha256, image_name, media_type, width, height, status, outcome,
                predicted_class, confidence, probabilities, ood_score, validation, model_name,
                model_version, model_digest, model_architecture, failure, attempts, attempts_max,
                next_attempt_at, created_at, created_by_id, completed_at)
            SELECT seq, specimen, CONCAT(IFNULL(specimen, 0), ':', SHA2(seq, 256)),
                CONCAT('field-', seq, '.jpg'), SHA2(seq, 256), SHA2(CONCAT('i', seq), 256),
                ELT(1 + seq % {len(self.images)}, {images}), 'image/jpeg', 1024, 768,
                CASE found WHEN 'waiting' THEN 'received' WHEN 'failed' THEN 'failed'
                    WHEN 'rejected' THEN 'refused' ELSE 'screened' END,
                IF(found IN ('waiting', 'failed'), NULL, found),
                IF(judged, IF(found = 'suspicious', '{LABELS[2]}', '{LABELS[0]}'), NULL),
                IF(judged, 0.9, NULL), IF(judged, {answer}, NULL), IF(judged, 4.2, NULL),
                IF(judged OR found = 'rejected', {checks}, NULL),
                '{self.contract.name}',
                IF(judged OR found = 'rejected', {self.contract.version}, NULL),
                '{self.contract.digest}', '{self.contract.architecture}',
                IF(found = 'failed', 'model_unavailable', ''), 1, 8,
                NOW(6) + INTERVAL 30 DAY, arrival, 1 + seq % {USERS},
                IF(found = 'waiting', NULL, arrival + INTERVAL 1 SECOND)
            FROM (SELECT seq, specimen, arrival, found,
                    found IN ('suspicious', 'indeterminate', 'not_suspicious') AS judged
                FROM (SELECT seq, specimen, {arrival} AS arrival, {outcome} AS found
                    FROM (SELECT seq, {specimen} AS specimen FROM {_numbers(first, last)}) numbered
                ) told
            ) decided"""

    def _reviews(self, first: int, last: int) -> str:
        """Every field of a signed case, and half of those of one in review."""
        is_open = f"specimen_id > {self.specimens - self.open_cases}"
        is_read = f"({_in_review('specimen_id')} AND id % 2)"
        return f"""
            INSERT INTO diagnosis_review (diagnosis_id, reviewer_id, verdict, label, reason,
                blinded, created_at)
            SELECT id, 1 + id % {USERS}, 'agree', predicted_class, '', 0,
                created_at + INTERVAL 1 HOUR
            FROM diagnosis_diagnosis
            WHERE id BETWEEN {first} AND {last} AND status = 'screened'
                AND specimen_id IS NOT NULL AND (NOT {is_open} OR {is_read})"""

    def _cases(self) -> str:
        counts = ", ".join(
            f"SUM(IFNULL(d.outcome = '{name}', 0))"
            for name in ("suspicious", "indeterminate", "not_suspicious", "rejected")
        )
        is_open = f"specimen_id > {self.specimens - self.open_cases}"
        urgency = _chance("urgent", "specimen_id")
        arrival = _arrival("specimen_id", self.specimens)
        return f"""
            INSERT INTO diagnosis_case (specimen_id, status, closed, priority, assignee_id,
                suspicious, indeterminate, not_suspicious, rejected, waiting, failed, reviewed,
                headline, rule, created_at)
            SELECT specimen_id,
                IF({is_open}, IF({_in_review("specimen_id")}, 'in_review', 'new'),
                    IF({_chance("amended", "specimen_id")} < 0.02, 'amended', 'signed')),
                NOT {is_open}, IF({urgency} < 0.03, 1, IF({urgency} < 0.15, 2, 3)),
                IF({is_open} AND {_chance("taken", "specimen_id")} < 0.5, NULL,
                    1 + FLOOR({USERS} * {_chance("who", "specimen_id")})),
                {counts}, SUM(d.status = 'received'), SUM(d.status = 'failed'), COUNT(r.id),
                '', '', {arrival}
            FROM diagnosis_diagnosis d LEFT JOIN diagnosis_review r ON r.diagnosis_id = d.id
            WHERE specimen_id IS NOT NULL GROUP BY specimen_id"""

    def _headlines(self) -> str:
        """As ``core.aggregate.case_verdict`` decides, for a minimum of 2 usable fields."""
        verdict = (
            "CASE WHEN suspicious THEN '{}' WHEN waiting THEN '{}' "
            "WHEN suspicious + indeterminate + not_suspicious < 2 THEN '{}' "
            "WHEN indeterminate THEN '{}' ELSE '{}' END"
        )
        headline = verdict.format(
            "suspicious", "waiting", "indeterminate", "indeterminate", "not_suspicious"
        )
        rule = verdict.format(
            "suspicious_field",
            "fields_wait",
            "too_few_fields",
            "indeterminate_field",
            "all_not_suspicious",
        )
        return f"""
            UPDATE diagnosis_case SET headline = {headline}, rule = {rule},
                calm = headline IN ('waiting', 'not_suspicious')"""

    def _signatures(self) -> str:
        return f"""
            INSERT INTO diagnosis_signature (case_id, signer_id, printed_name, meaning,
                content_sha256, signed_at)
            SELECT id, 1 + id % {USERS}, CONCAT('Reader Number ', 1 + id % {USERS}), 'review',
                SHA2(CONCAT('content-', id), 256), created_at + INTERVAL 6 HOUR
            FROM diagnosis_case WHERE closed"""

    def _reports(self) -> str:
        """Of the size that a case of the usual number of fields has."""
        return f"""
            INSERT INTO diagnosis_report (case_id, number, content, content_sha256, pdf_name,
                pdf_sha256, created_at)
            SELECT id, 1, CONCAT('{{"filler":"', REPEAT('x', {CONTENT}), '"}}'),
                SHA2(CONCAT('content-', id), 256), CONCAT('reports/', id, '.pdf'),
                SHA2(CONCAT('pdf-', id), 256), created_at + INTERVAL 6 HOUR
            FROM diagnosis_case WHERE closed"""

    def _events(self, first: int, last: int) -> str:
        """What the audit trail holds of each diagnosis: taken, answered, looked at."""
        actions = ("created", "screened", "viewed")
        return f"""
            INSERT INTO audit_auditevent (at, actor_id, action, target_type, target_id, detail,
                request_id)
            SELECT created_at + INTERVAL seq MINUTE,
                IF(seq = 2, NULL, created_by_id),
                CONCAT('diagnosis.', ELT(seq, {", ".join(map(_sql, actions))})),
                'diagnosis.diagnosis', d.id, '{{}}', LEFT(SHA2(d.id * 3 + seq, 256), 32)
            FROM diagnosis_diagnosis d JOIN {_numbers(1, 3)}
            WHERE d.id BETWEEN {first} AND {last}"""


TABLES = (
    "patients_patient",
    "patients_specimen",
    "diagnosis_diagnosis",
    "diagnosis_review",
    "diagnosis_case",
    "diagnosis_signature",
    "diagnosis_report",
    "audit_auditevent",
)


def accession(number: int, specimens: int) -> str:
    """The accession number of a specimen."""
    return f"H{26 - YEARS + number * YEARS // (specimens + 1)}-{number:06}"


def _accession(number: str, specimens: int) -> str:
    year = f"{26 - YEARS} + {number} * {YEARS} DIV {specimens + 1}"
    return f"CONCAT('H', {year}, '-', LPAD({number}, 6, '0'))"


def _parts(total: int) -> list[tuple[int, int]]:
    """First and last of each batch."""
    return [(first, min(first + BATCH - 1, total)) for first in range(1, total + 1, BATCH)]


def _sql(text: str) -> str:
    """``text`` as an SQL literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _chance(of: str, key: str) -> str:
    """SQL for a number from 0 to below 1 that looks random and is the same each time."""
    return f"(CONV(SUBSTR(SHA2(CONCAT('{of}', {key}), 256), 1, 8), 16, 10) / 4294967296)"


def _in_review(specimen: str) -> str:
    return f"({_chance('review', specimen)} < 0.3)"


def _arrival(number: str, total: int) -> str:
    """SQL for the time at which the ``number``-th of ``total`` came in; the last came just now."""
    seconds = YEARS * 365 * 86_400
    return f"(NOW(6) - INTERVAL {seconds} * ({total} - {number}) DIV {total} SECOND)"


def _number_table(largest: int) -> list[str]:
    """A table of the numbers from 1 to at least ``largest``."""
    doublings = range((largest - 1).bit_length())
    return [
        "CREATE TABLE bench_number (seq INT PRIMARY KEY)",
        "INSERT INTO bench_number VALUES (1)",
        *(f"INSERT INTO bench_number SELECT seq + {2**n} FROM bench_number" for n in doublings),
    ]


def _numbers(first: int, last: int) -> str:
    """SQL for the numbers from ``first`` to ``last``, in a column ``seq``."""
    return f"(SELECT seq FROM bench_number WHERE seq BETWEEN {first} AND {last}) numbers"


def _name_tables() -> list[str]:
    statements = []
    for table, names in (("bench_given", FIRST_NAMES), ("bench_family", SURNAMES)):
        rows = ", ".join(f"({number}, {_sql(name)})" for number, name in enumerate(names))
        statements += [
            f"CREATE TEMPORARY TABLE {table} (id INT PRIMARY KEY, name VARCHAR(50)) "
            "CHARACTER SET utf8mb4",
            f"INSERT INTO {table} VALUES {rows}",
        ]
    return statements


def _validation() -> dict[str, object]:
    checks = [
        {"name": name, "score": 0.91, "threshold": 0.5, "passed": True, "fix": fix}
        for name, fix in FIXES.items()
    ]
    return {"accepted": True, "score": 0.91, "threshold": 0.5, "checks": checks}


def _probabilities() -> str:
    return json.dumps(dict(zip(LABELS, (0.02, 0.03, 0.9, 0.05), strict=True)))
