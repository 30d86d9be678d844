from django.db import migrations

NAMES = ("Technician", "Haematologist", "Administrator", "Auditor")


def make_groups(apps, schema_editor):
    """The groups, without permissions: ``diagnosis.roles`` gives them after the migration."""
    Group = apps.get_model("auth", "Group")
    _become(Group, "Clinician", "Haematologist")
    for name in NAMES:
        Group.objects.get_or_create(name=name)


def back_to_one_group(apps, schema_editor):
    """The others stay: they may have members, and an earlier version does not mind them."""
    _become(apps.get_model("auth", "Group"), "Haematologist", "Clinician")


def _become(Group, old_name, new_name):
    """The group, its members and permissions under another name; one with that name takes them."""
    old = Group.objects.filter(name=old_name).first()
    if old is None:
        return
    new = Group.objects.filter(name=new_name).first()
    if new is None:
        old.name = new_name
        old.save()
        return
    new.user_set.add(*old.user_set.all())
    new.permissions.add(*old.permissions.all())
    old.delete()


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("diagnosis", "0005_signoff"),
    ]

    operations = [migrations.RunPython(make_groups, back_to_one_group)]
