from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_password_state")]

    operations = [
        migrations.CreateModel(
            name="WrongPasswords",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subject", models.CharField(max_length=64, unique=True)),
                ("level", models.FloatField()),
                ("counted_at", models.DateTimeField(db_index=True)),
                ("paused_until", models.DateTimeField()),
            ],
        ),
    ]
