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
RUN useradd --system --uid 10025 mailmux && install -d -o mailmux /data
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER mailmux
VOLUME /data
EXPOSE 8025
CMD ["granian", "--interface", "wsgi", "--no-ws", "--host", "0.0.0.0", "--port", "8025", \
    "--blocking-threads", "16", "--backpressure", "16", "--respawn-failed-workers", "wiring.wsgi:app"]
