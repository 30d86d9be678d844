# The product in one image: web server, worker and one-off `manage.py` commands. How it is
# started, with which files and volumes: docker-compose.yml, serving/kubernetes, docs/operations.md.

# The Debian release and the Python minor version are those the tests run on: libmariadb of
# newer releases insists on a TLS certificate that MySQL's own container does not have.
FROM python:3.11.15-slim-bookworm AS packages

# mysqlclient has no wheel for Linux. Debian keeps only the newest build of a package, so that a
# pinned one could not be installed a week later; the base image names the release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libmariadb-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/production.txt /tmp/production.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/production.txt


FROM python:3.11.15-slim-bookworm

# The client programs are for `manage.py backup` and `restore`.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libmariadb3 mariadb-client \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 app \
    && useradd --system --uid 10001 --gid app --no-create-home --shell /usr/sbin/nologin app \
    && install -d -o app -g app /srv/media
COPY --from=packages /opt/venv /opt/venv

# The root file system may be read-only: only MEDIA_ROOT and /tmp are written.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MEDIA_ROOT=/srv/media \
    MODEL_STORE=/models
WORKDIR /app
COPY manage.py ./
COPY webapp webapp
COPY patients patients
COPY diagnosis diagnosis
COPY serving/entrypoint.py serving/healthcheck.py serving/
# The key signs nothing: it is made for this one command and kept nowhere. A clone may be closed to
# others than its owner; the image's user is another.
RUN SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
    python manage.py collectstatic --noinput \
    && python -m compileall -q . \
    && chmod -R a+rX .

USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "serving.healthcheck"]
ENTRYPOINT ["python", "serving/entrypoint.py"]
CMD ["gunicorn", "-c", "python:webapp.gunicorn_config", "--bind=0.0.0.0:8000"]
