"""What a signed case was opened for: those so far, for their content."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0014_no_signed_at")]

    operations = [
        migrations.AddField(
            model_name="amendment",
            name="kind",
            field=models.CharField(
                choices=[("content", "Content"), ("identity", "Identity")],
                default="content",
                editable=False,
                max_length=16,
            ),
        ),
    ]
