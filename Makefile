.DEFAULT_GOAL := run
# Without compiled modules each of the many processes takes four times as long to start.
unexport PYTHONDONTWRITEBYTECODE
PY := .venv/bin/python
IN_MEMORY := $(PY) tests/in_memory.py
.PHONY: run check quick test everywhere test-mysql test-long bench bench-quick lint messages lock ml dev venv

# Portal, API, admin and worker on http://127.0.0.1:8000 (PORT, DEMO_PASSWORD: see .env.example)
run: .env
	@$(PY) manage.py serve

# Never overwritten: losing SECRET_KEY signs everybody out.
.env: | venv
	@umask 077; $(PY) -c 'import pathlib, secrets; \
	text = pathlib.Path(".env.example").read_text("utf-8"); \
	text = text.replace("\nSECRET_KEY=\n", f"\nSECRET_KEY={secrets.token_urlsafe(50)}\n"); \
	pathlib.Path(".env.part").write_text(text, "utf-8")'
	@mv .env.part .env
	@echo "Wrote .env with a fresh SECRET_KEY."

venv:
	@requirements/venv.sh run

# What the tests need; the lock also holds all the others.
dev:
	@tests/system_packages.sh
	@requirements/venv.sh dev

ml:
	@requirements/venv.sh ml

# Lint and the quick tests on SQLite: what to run while working. CONTRIBUTING.md says what is left out.
check: dev
	@$(MAKE) --no-print-directory --jobs=2 lint quick

quick: dev
	@$(IN_MEMORY) $(PY) -m tests.everywhere check

# Everything: on SQLite, and what touches the database on MariaDB too.
test: dev
	@$(MAKE) --no-print-directory --jobs=2 lint everywhere

everywhere: dev
	@$(IN_MEMORY) $(PY) -m tests.everywhere

# What touches the database, on Oracle's MySQL.
test-mysql: dev
	@$(IN_MEMORY) $(PY) -m tests.everywhere mysql

# The full run of what `make test` does in small; its figures are kept in docs/measured.
test-long: dev
	@mkdir -p docs/measured
	@for database in sqlite mariadb; do \
		$(PY) -m tests.load.outage --uploads 2000 --kills 10 --database $$database \
			| tee docs/measured/outage-$$database.json || exit 1; done

# What the model-server client adds, and the portal's pages with a million diagnoses on MariaDB.
bench: dev
	@$(PY) -m tests.load.client_overhead
	@mkdir -p docs/measured
	@$(PY) -m tests.load.portal_pages --write docs/measured/portal-mariadb.json

bench-quick: dev
	@$(PY) -m tests.load.client_overhead --rounds 20
	@$(PY) -m tests.load.portal_pages --diagnoses 20000 --rounds 5

lint: dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/deptry --config requirements/deptry.toml --no-ansi .
	.venv/bin/typos
	.venv/bin/djlint --lint --quiet webapp patients diagnosis
	DJANGO_SETTINGS_MODULE=tests.settings $(PY) manage.py makemigrations --check --dry-run

# Bring webapp/locale up to date with the strings of the code: run it, translate what is empty or
# fuzzy in the .po files, run it again. No date: it would differ each time.
messages: dev
	@DJANGO_SETTINGS_MODULE=tests.settings $(PY) manage.py makemessages --all --no-obsolete --no-wrap \
		--add-location=file -i tests -i export -i serving -i docs
	@for po in webapp/locale/*/LC_MESSAGES/django.po; do sed -i '/^"POT-Creation-Date:/d' $$po \
		&& msgfmt --check-format -o $${po%.po}.mo $$po || exit 1; done

# Resolve the locks anew; needs uv. `make lock UPGRADE=--upgrade` takes newer versions.
lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	@requirements/lock.sh $(UPGRADE)
