from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0010_case_signed_at")]

    operations = [
        migrations.AddIndex(
            model_name="case", index=models.Index(fields=["signed_at"], name="case_signed")
        ),
    ]
