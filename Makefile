.DEFAULT_GOAL := run
PY := .venv/bin/python
.PHONY: run test lint lock ml dev venv

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

# Everything, within 15 minutes: what touches the database first on MariaDB, then all on SQLite.
test: dev lint
	@$(PY) tests/on_mariadb.py $(PY) -m pytest -q -n 2 --dist loadgroup -m "not data" \
		--ignore tests/architecture --ignore tests/browser --ignore tests/deployment \
		--ignore tests/export --ignore tests/toolchain
	@$(PY) -m pytest -n 2 --dist loadgroup

lint: dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/djlint --lint --quiet webapp patients diagnosis
	DJANGO_SETTINGS_MODULE=tests.settings $(PY) manage.py makemigrations --check --dry-run

# Resolve the locks anew; needs uv. `make lock UPGRADE=--upgrade` takes newer versions.
lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	@requirements/lock.sh $(UPGRADE)
