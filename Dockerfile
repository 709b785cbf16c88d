# Thin on purpose: what it does is in the Makefile, where it is tested. docs/deployment.md tells how
# to run it.
FROM python:3.11-slim AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /brag
COPY Makefile ./
COPY requirements/requirements.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip make install
COPY app app
COPY db db
COPY settings settings
# Whoever runs it may not write beside the code. VAR_DIR and EMBEDDING_MODEL are as they are by default.
RUN --mount=type=cache,target=/root/.cache/pip make prepare \
    && .venv/bin/python -m compileall -q app settings

FROM python:3.11-slim
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends git make openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home brag \
    && install -d -o brag -g brag /brag/var/metrics /brag/var/postgres /brag/var/qdrant \
        /brag/var/tmp
WORKDIR /brag
# What changes seldom comes first. `make` looks at the times of what was built, so all of it is taken
# from there.
COPY --from=build /brag/.venv .venv
COPY --from=build /brag/requirements requirements
COPY --from=build /brag/var/models var/models
COPY --from=build /brag/Makefile ./
COPY brag ./
COPY --from=build /brag/db db
COPY --from=build /brag/settings settings
COPY --from=build /brag/app app
USER 10001
ENV ENVIRONMENT=production HOST=0.0.0.0 PORT=8000
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import os, urllib.request as r; \
    r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthcheck', timeout=5)"]
CMD ["make", "run"]
