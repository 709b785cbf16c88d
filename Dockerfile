# Thin on purpose: what it does is in the Makefile, where it is tested.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /brag
COPY Makefile ./
COPY requirements requirements
RUN make install
COPY app app
COPY db db
COPY settings settings
RUN make prepare

FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home brag
WORKDIR /brag
COPY --from=build --chown=brag /brag /brag
USER brag
ENV ENVIRONMENT=production HOST=0.0.0.0 PORT=8000
EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthcheck', timeout=5)"]
CMD ["make", "run"]
