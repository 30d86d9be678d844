"""A token of a version that kept keys goes on working, and its key leaves the database."""

import hashlib

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone

from webapp.accounts.models import ApiToken

KEY = hashlib.sha1(b"as REST framework made them", usedforsecurity=False).hexdigest()
TABLES = """
    CREATE TABLE authtoken_token (
        {key} varchar(40) NOT NULL PRIMARY KEY, created datetime NOT NULL, user_id integer NOT NULL)
    CREATE TABLE axes_accessattempt (id integer PRIMARY KEY, username varchar(255))
"""


def tables() -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.table_names(cursor))


@pytest.mark.django_db(transaction=True)
def test_keys_of_an_earlier_version_become_digests(clinician: User) -> None:
    recorder = MigrationRecorder(connection)
    call_command("migrate", "accounts", "0003", verbosity=0)
    quoted = connection.ops.quote_name("key")
    with connection.cursor() as cursor:
        for statement in TABLES.format(key=quoted).split("CREATE")[1:]:
            cursor.execute(f"CREATE {statement}")
        row = [KEY, timezone.now().replace(tzinfo=None), clinician.pk]
        cursor.execute("INSERT INTO authtoken_token VALUES (%s, %s, %s)", row)
    recorder.record_applied("authtoken", "0001_initial")
    content = ContentType.objects.create(app_label="authtoken", model="token")
    Permission.objects.create(content_type=content, codename="add_token", name="Can add token")

    call_command("migrate", verbosity=0)

    assert not {"authtoken_token", "axes_accessattempt"} & tables()
    assert not recorder.migration_qs.filter(app="authtoken").exists()
    assert not Permission.objects.filter(codename="add_token").exists()
    assert ApiToken.objects.get().digest == hashlib.sha256(KEY.encode()).hexdigest()
    headers = {"Authorization": f"Token {KEY}"}
    assert Client().get("/api/diagnoses", headers=headers).status_code == 200
    call_command("migrate", "accounts", "0003", verbosity=0)
    call_command("migrate", verbosity=0)
    assert ApiToken.objects.count() == 1, "there is nothing to take over again"
