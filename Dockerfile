# All of PromptSales that is Python: harness, agents, MCP servers, issuer, Locust, migration and seed. Built from the root:
#   docker build --build-arg ACCEPT_EULA=Y -t promptsales-harness:0.1.0 .
# ACCEPT_EULA=Y accepts the licence of Microsoft's ODBC driver, which is the builder's to accept: it has no default.
#
# The base's digest was read in public repositories that name it for this tag; it was not pulled to be compared.
ARG BASE=python:3.13-slim-bookworm@sha256:ed86c82274b3c69b52fb5820f358f0bd7df0b603332063cb5c6e32bd220c3e6e

# -- the environment, with what builds it left behind
FROM ${BASE} AS builder
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gnupg \
    && rm -rf /var/lib/apt/lists/*
# As Microsoft's manual says for Debian 12; the list names the key's file.
ADD https://packages.microsoft.com/keys/microsoft.asc /tmp/microsoft.asc
ADD https://packages.microsoft.com/config/debian/12/prod.list /microsoft/mssql-release.list
RUN gpg --dearmor --output /microsoft/microsoft-prod.gpg /tmp/microsoft.asc \
    && chmod 0644 /microsoft/*

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
WORKDIR /app
COPY pyproject.toml README.md LICENSE conftest.py ./
COPY harness harness
COPY fixtures fixtures
COPY schemas schemas
COPY scenarios scenarios
COPY etl etl
# In place: the code lies once, in /app, beside the files that it reads. Neither tools of development nor embedded servers.
RUN /opt/venv/bin/pip install --editable . \
    && /opt/venv/bin/python -m compileall -q harness fixtures schemas \
    && ln -s /results results

# -- what runs
FROM ${BASE}
LABEL org.opencontainers.image.title="promptsales-harness" \
      org.opencontainers.image.description="PromptSales: harness, agents, MCP servers, issuer, load, migration and seed" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=builder /microsoft/microsoft-prod.gpg /usr/share/keyrings/microsoft-prod.gpg
COPY --from=builder /microsoft/mssql-release.list /etc/apt/sources.list.d/mssql-release.list
ARG ACCEPT_EULA
# sshd is the agents'; the host keys that its package makes go: no two machines shall share one.
# hadolint ignore=DL3008
RUN if [ "${ACCEPT_EULA}" != Y ]; then \
        echo "Microsoft's ODBC driver has a licence (https://aka.ms/odbc18eula): docker build --build-arg ACCEPT_EULA=Y" >&2; \
        exit 1; \
    fi \
    && apt-get update \
    && ACCEPT_EULA=Y apt-get install -y --no-install-recommends \
        ca-certificates msodbcsql18 openssh-client openssh-server tini unixodbc \
    && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* \
    && groupadd --gid 10001 harness \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /bin/sh harness \
    && install -d -o 10001 -g 10001 /results /keys /secret

COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app
WORKDIR /app
# HOME is what a pod may write to; the root file system is for reading.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    HOME=/tmp \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["tini", "--"]
CMD ["harness", "--help"]
