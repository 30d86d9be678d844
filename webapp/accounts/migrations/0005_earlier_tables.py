from django.db import migrations
from django.db.migrations.recorder import MigrationRecorder

APPS = ("authtoken", "axes")
TABLES = (
    "authtoken_token",
    "axes_accessattemptexpiration",
    "axes_accessattempt",
    "axes_accessfailurelog",
    "axes_accesslog",
)


def drop(apps, schema_editor):
    """Take away what apps left behind that are not installed any more: plain names and addresses
    in the one, permissions that mean nothing in both. An earlier version makes them anew."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        for table in TABLES:
            if table in there:
                cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)}")
    using = connection.alias
    Permission = apps.get_model("auth", "Permission")
    Permission.objects.using(using).filter(content_type__app_label__in=APPS).delete()
    MigrationRecorder(connection).migration_qs.filter(app__in=APPS).delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_tokens_hashed")]

    operations = [migrations.RunPython(drop, migrations.RunPython.noop)]
