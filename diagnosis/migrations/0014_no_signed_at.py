"""When a case was first signed is the time of its first report; it is not kept a second time."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0013_outcome_index")]

    operations = [
        migrations.RemoveIndex(model_name="case", name="case_signed"),
        migrations.RemoveField(model_name="case", name="signed_at"),
    ]
