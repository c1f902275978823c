# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /app
COPY requirements.lock ./
RUN /app/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY web web
COPY sql sql
RUN /app/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tailrace \
    && install -d -o tailrace -g tailrace /data
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TAILRACE_HOST=0.0.0.0 \
    TAILRACE_RESULTS=/data/results \
    TAILRACE_EXPORTS=/data/exports \
    TAILRACE_SPILL_DIRECTORY=/data/spill
WORKDIR /data
VOLUME /data
# By number, so that a cluster can see that it is not root.
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
# SIGTERM lets running exports end within TAILRACE_GRACE_SECONDS.
STOPSIGNAL SIGTERM
CMD ["tailrace", "serve"]
