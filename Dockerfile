# One image per service:  docker build --build-arg SERVICE=recorder -t artlab-recorder .
# docs/containers.md says how to run them, and how to build behind a mirror of the package index.
ARG PYTHON_IMAGE=python:3.11-slim

# What the service needs, and nothing that installed it, is taken over into the image below.
FROM ${PYTHON_IMAGE} AS packages
ARG SERVICE
WORKDIR /build
RUN ["python3", "-m", "venv", "--without-pip", "/opt/artlab"]
COPY pyproject.toml requirements.lock tools/lock_for.py ./
# pip's settings come as secrets, so that no address and no password stays in a layer.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    --mount=type=cache,target=/root/.cache/pip \
    python3 lock_for.py "${SERVICE:?pass --build-arg SERVICE=}" > wanted.txt \
    && python3 -m pip --python /opt/artlab/bin/python --disable-pip-version-check \
       install --quiet --no-compile --no-deps --require-hashes -r wanted.txt
# Only this service and the kit: what it must not import is not there.
COPY services/__init__.py /app/services/__init__.py
COPY services/kit /app/services/kit
COPY services/${SERVICE} /app/services/${SERVICE}
COPY protos/artlab /app/protos/artlab
COPY configs /app/configs
# The root file system will be read-only: compile now. Hash-based files stay valid when a copy
# changes the times.
RUN ["/opt/artlab/bin/python", "-m", "compileall", "-q", "-j", "0", \
     "--invalidation-mode", "unchecked-hash", "/app", "/opt/artlab/lib"]
RUN ["install", "-d", "-o", "10001", "-g", "10001", "/build/data"]

FROM ${PYTHON_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="artlab-${SERVICE}" \
      org.opencontainers.image.description="Artlab, a generation server for arts education"
COPY --from=packages /opt/artlab /opt/artlab
COPY --from=packages /app /app
# A fresh volume takes over this folder's owner; only the recorder mounts one.
COPY --from=packages --chown=10001:10001 /build/data /data
WORKDIR /app
ENV SERVICE=${SERVICE} \
    PATH=/opt/artlab/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app:/app/protos \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
# A number, so that an orchestrator can prove that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "services.kit.healthcheck"]
ENTRYPOINT ["python", "-m", "services.kit.entrypoint"]
