# One image for the API, the workers, beat and the sandbox; the command says which.
FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.lock requirements-uv.lock ./
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements-uv.lock \
    && /venv/bin/uv pip install --no-cache --compile-bytecode --python /venv/bin/python --require-hashes -r requirements.lock
COPY . .
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index \
    --config-settings editable_mode=compat -e .

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 MAILMUX_API_HOST=0.0.0.0 MAILMUX_DATA_DIR=/data
RUN useradd --system --no-log-init --uid 10025 mailmux && install -d -o mailmux /data /data/attachments /data/sandbox
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10025
VOLUME /data
EXPOSE 8025
# Of the API, which is what the image runs by itself; docker-compose.yml has that of the workers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8025/readyz', timeout=4)"]
CMD ["granian", "--interface", "wsgi", "--http", "1", "--no-ws", "--log-level", "error", "--host", "0.0.0.0", \
    "--port", "8025", "--workers", "1", "--blocking-threads", "16", "--backpressure", "512", \
    "--respawn-failed-workers", "wiring.wsgi:app"]
