"""How long the portal's pages take with a million diagnoses on MariaDB, and with a thousand.

``python -m tests.load.portal_pages`` starts MariaDB with two laboratories in it and the whole
product on each, and asks both for every page in turn, signed in as a clinician, so that whatever
else the machine does slows both alike. It prints a table; ``--write FILE`` keeps the figures as
JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests

from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.store import read_live, version_dir
from tests.load.laboratory import LARGE, USUAL, Laboratory, accession
from tests.product import KEY, ROOT, Product, clean_environment, copy_product
from tests.servers.mariadb import mariadb

STORE = ROOT / "serving/models"
PASSWORD = "a-password-for-one-measurement"
# As a server of a database of some gigabytes has; its default of 128 MiB is for a laptop.
MARIADB = ("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M")
DIAGNOSES, FEW, FEW_FIELDS, IMAGES = 1_000_000, 1_000, 2, 8
WARM_UP = 3
P95 = 0.95


@dataclass
class Site:
    """The product on one laboratory's records, with somebody signed in."""

    laboratory: Laboratory
    url: str
    session: requests.Session
    pages: dict[str, str]
    filling_s: int


def pages_of(laboratory: Laboratory, cursor: Any) -> dict[str, str]:
    """Address by name of everything that is measured."""
    cases, diagnoses = laboratory.specimens, laboratory.diagnoses
    first, late = accession(1, cases), accession(cases, cases)
    cursor.execute("SELECT name, medical_record_number FROM patients_patient WHERE id = 1")
    name, record_number = cursor.fetchone()
    cursor.execute(f"SELECT id FROM patients_patient ORDER BY name, id LIMIT 1 OFFSET {cases // 3}")
    patient = cursor.fetchone()[0]
    searches = {
        "accession number": late,
        "part of an accession number": late[-4:],
        "record number": record_number,
        "surname": name.split(",")[0],
        "both names": name.replace(",", ""),
        "one letter": "a",
        "no match": "nobody-is-called-this",
    }
    views = (
        "mine", "nobody", "suspicious", "indeterminate", "waiting", "not_suspicious", "closed"
    )  # fmt: skip
    kinds = ("suspicious", "indeterminate", "not_suspicious", "rejected", "waiting", "failed")
    filters = {
        "stat": {"priority": "1", "status": "any"},
        "four filters": {
            "status": "closed", "priority": "2", "assignee": "mine", "headline": "suspicious"
        },
        "a day": {"status": "any", "received_from": "2024-03-05", "received_to": "2024-03-05"},
    }  # fmt: skip
    return {
        "work list": "/",
        "work list, deep": f"/?{urlencode({'after': _key(cursor, closed=0)})}",
        **{f"work list, view {view}": f"/?show={view}" for view in views},
        "work list, signed, deep": f"/?{urlencode({'show': 'closed', 'after': _key(cursor, 1)})}",
        **{f"work list, {what}": f"/?{urlencode(sent)}" for what, sent in filters.items()},
        **{f"work list, {what}": _search("/", words) for what, words in searches.items()},
        "all fields": "/diagnoses",
        "all fields, deep": f"/diagnoses?before={diagnoses // 2}",
        **{f"all fields, {kind}": f"/diagnoses?show={kind}" for kind in kinds},
        **{f"all fields, {what}": _search("/diagnoses", word) for what, word in searches.items()},
        "all fields, failed, one letter": "/diagnoses?show=failed&search=a",
        "unassigned": "/diagnoses/unassigned",
        "unassigned, deep": f"/diagnoses/unassigned?before={diagnoses // 2}",
        "patients": "/patients/",
        "patients, deep": f"/patients/?after={patient}",
        **{f"patients, {what}": _search("/patients/", word) for what, word in searches.items()},
        "patient": f"/patients/{laboratory.patients}",
        f"case, {USUAL} fields": f"/specimens/{accession(2, cases)}",
        f"case, {LARGE} fields": f"/specimens/{first}",
        "field": f"/diagnoses/{LARGE + 1}",
        "field of many": f"/diagnoses/{LARGE // 2}",
        "thumbnail": f"/diagnoses/{LARGE + 1}/thumbnail",
        "report of an open case": f"/specimens/{late}/report",
        **{f"dashboard, {days} days": f"/dashboard?days={days}" for days in (7, 30, 90, 365)},
    }


def _search(address: str, words: str) -> str:
    return f"{address}?{urlencode({'search': words})}"


def _key(cursor: Any, closed: int) -> str:
    """The work list's key of the case in the middle of the open or the closed ones."""
    which = f"FROM diagnosis_case WHERE closed = {closed}"
    cursor.execute(f"SELECT COUNT(*) {which}")
    order = "closed, calm, priority, created_at, id"
    cursor.execute(f"SELECT {order} {which} ORDER BY {order} LIMIT 1 OFFSET %s", [
        cursor.fetchone()[0] // 2
    ])  # fmt: skip
    *numbers, created, pk = cursor.fetchone()
    return "_".join([*map(str, numbers), f"{created.isoformat()}+00:00", str(pk)])


def images(media: Path) -> tuple[str, ...]:
    """Draw some fields into ``media``; gives their names there."""
    from tests.diagnosis.made.pictures import smear_jpeg

    names = tuple(f"fields/drawn/{seed}.jpg" for seed in range(1, IMAGES + 1))
    for seed, name in enumerate(names, start=1):
        path = media / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(smear_jpeg(seed, 768, 1024))
    return names


def open_site(stack: ExitStack, folder: Path, server: str, diagnoses: int, fields: int) -> Site:
    """Start the product on a database of its own and fill it."""
    root = copy_product(folder)
    database = f"portal_{diagnoses}"
    cursor = _connect(stack, server).cursor()
    cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    variables = {
        "DATABASE_URL": server.rsplit("/", 1)[0] + f"/{database}",
        "DEMO_PASSWORD": PASSWORD,
        "MEDIA_ROOT": str(folder / "media"),
        "MIN_USABLE_FIELDS": "2",
    }
    # Filled before the product starts, which draws a demonstration where there is no patient.
    for command in ("migrate", "demo_user"):
        run_command(root, variables, command)
    cursor.execute(f"USE {database}")
    drop_triggers(cursor)  # they are made again when the product starts
    contract = ModelContract.load(
        version_dir(STORE, "all_smear", read_live(STORE, "all_smear").stable)
    )
    laboratory = Laboratory(diagnoses, fields, images(folder / "media"), contract)
    began = time.monotonic()
    for statement in laboratory.statements():
        cursor.execute(statement)
        cursor.fetchall()
    filling_s = round(time.monotonic() - began)
    product = stack.enter_context(Product(root, variables))
    product.wait_until_ready()
    pages = pages_of(laboratory, cursor)
    return Site(laboratory, product.url, _sign_in(product.url), pages, filling_s)


def run_command(root: Path, variables: dict[str, str], command: str) -> None:
    """Run ``manage.py COMMAND`` of the product in ``root``."""
    environment = clean_environment(SECRET_KEY=KEY, **variables)
    subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=root,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def drop_triggers(cursor: Any) -> None:
    """Let signed cases be laid down in one statement."""
    cursor.execute(
        "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()"
    )
    for (name,) in cursor.fetchall():
        cursor.execute(f"DROP TRIGGER {name}")


def _connect(stack: ExitStack, server: str) -> Any:
    import MySQLdb

    parts = urlsplit(server)
    connection = MySQLdb.connect(
        host=parts.hostname,
        port=parts.port,
        user=parts.username,
        password=parts.password,
        charset="utf8mb4",
        autocommit=True,
    )
    stack.callback(connection.close)
    return connection


def _sign_in(url: str) -> requests.Session:
    session = requests.Session()
    session.get(f"{url}/login", timeout=30)
    form = {
        "username": "demo",
        "password": PASSWORD,
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
    }
    answer = session.post(f"{url}/login", form, headers={"Referer": url}, timeout=30)
    if "sessionid" not in session.cookies:
        raise RuntimeError(f"Signing in failed with status {answer.status_code}.")
    return session


def measure(sites: list[Site], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Figures of each page, one dictionary a site, from ``rounds`` requests to each in turn."""
    return {name: list(_measure_page(sites, name, rounds)) for name in sites[0].pages}


def _measure_page(sites: list[Site], name: str, rounds: int) -> Iterator[dict[str, float]]:
    taken: list[list[float]] = [[] for _ in sites]
    rows = [0] * len(sites)
    for _ in range(WARM_UP + rounds):
        for number, site in enumerate(sites):
            began = time.perf_counter()
            answer = site.session.get(site.url + site.pages[name], timeout=300)
            taken[number].append(1000 * (time.perf_counter() - began))
            if answer.status_code != 200:
                raise RuntimeError(f"{name} answered {answer.status_code}.")
            rows[number] = answer.text.count("<tr>") - 1 if "<tr>" in answer.text else 0
    for number, times in enumerate(taken):
        times = sorted(times[WARM_UP:])
        yield {
            "best_ms": round(times[0], 1),
            "median_ms": round(statistics.median(times), 1),
            "p95_ms": round(times[min(len(times) - 1, int(P95 * len(times)))], 1),
            "rows": rows[number],
        }


def figures(sites: list[Site], rounds: int) -> dict[str, Any]:
    """What ``main`` writes.

    ``best_ms`` is the quickest answer, the nearest to a machine that does nothing else; ``ratio``
    is the large laboratory's median over the small one's.
    """
    small, large = (site.laboratory.diagnoses for site in sites)
    measured = measure(sites, rounds)
    pages = {
        name: {
            "best_ms": of_large["best_ms"],
            "median_ms": of_large["median_ms"],
            "p95_ms": of_large["p95_ms"],
            "rows": of_large["rows"],
            "small_median_ms": of_small["median_ms"],
            "small_p95_ms": of_small["p95_ms"],
            "small_rows": of_small["rows"],
            "ratio": round(of_large["median_ms"] / of_small["median_ms"], 2),
        }
        for name, (of_small, of_large) in measured.items()
    }
    return {
        "database": "mariadb",
        "diagnoses": large,
        "cases": sites[1].laboratory.specimens,
        "patients": sites[1].laboratory.patients,
        "small_diagnoses": small,
        "filling_s": sites[1].filling_s,
        "rounds": rounds,
        "processors": os.cpu_count(),
        "load_average": round(os.getloadavg()[1], 1),
        "slowest_p95_ms": max(page["p95_ms"] for page in pages.values()),
        "pages": pages,
    }


def table(found: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"{'page':<44}{'best ms':>9}{'median ms':>10}{'p95 ms':>9}{'rows':>6}"
        f"{'with ' + str(found['small_diagnoses']):>11}{'ratio':>7}"
    ]
    for name, page in found["pages"].items():
        lines.append(
            f"{name:<44}{page['best_ms']:>9.1f}{page['median_ms']:>10.1f}{page['p95_ms']:>9.1f}"
            f"{page['rows']:>6}"
            f"{page['small_median_ms']:>11.1f}{page['ratio']:>7.2f}"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table; keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--diagnoses", type=int, default=DIAGNOSES)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-")))
        server = stack.enter_context(mariadb(*MARIADB))
        sites = [
            open_site(stack, folder / "few", server, FEW, FEW_FIELDS),
            open_site(stack, folder / "many", server, options.diagnoses, USUAL),
        ]
        found = figures(sites, options.rounds)
    sys.stdout.write(table(found))
    if options.write:
        options.write.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
