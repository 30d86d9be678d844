import hashlib

from django.db import migrations

OLD = "authtoken_token"


def keep_digests(apps, schema_editor):
    """Tokens of earlier versions go on working, and their keys leave the database.

    By SQL: the app that made the table is not installed any more. The same again after an
    interruption does no harm.
    """
    connection = schema_editor.connection
    ApiToken = apps.get_model("accounts", "ApiToken")
    quoted = connection.ops.quote_name
    with connection.cursor() as cursor:
        if OLD not in connection.introspection.table_names(cursor):
            return
        cursor.execute(f"SELECT {quoted('key')}, user_id FROM {quoted(OLD)}")  # noqa: S608
        for key, user_id in cursor.fetchall():
            digest = hashlib.sha256(key.encode()).hexdigest()
            ApiToken.objects.using(connection.alias).get_or_create(
                digest=digest, defaults={"user_id": user_id, "name": "of an earlier version"}
            )
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA secure_delete = ON")  # overwritten, not only let go of
        cursor.execute(f"DELETE FROM {quoted(OLD)}")  # noqa: S608


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_wrong_passwords")]

    operations = [migrations.RunPython(keep_digests, migrations.RunPython.noop)]
