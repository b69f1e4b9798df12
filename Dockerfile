# Custody's image, and two that the compose installation needs besides: a PostgreSQL with the demo's data and a Keycloak
# that need write nothing but their data. Built from this directory: docker build --target custody .
#
# Versions are pinned here. To pin the very bytes, give what your registry has checked:
#   --build-arg NODE_IMAGE=node:24.21.0-bookworm-slim@sha256:…
ARG NODE_IMAGE=node:24.21.0-bookworm-slim
ARG POSTGRES_IMAGE=postgres:18.4-bookworm
ARG KEYCLOAK_IMAGE=quay.io/keycloak/keycloak:26.7.3

FROM ${NODE_IMAGE} AS build
WORKDIR /src
ENV TURBO_TELEMETRY_DISABLED=1 DO_NOT_TRACK=1
COPY . .
RUN npm ci --no-audit --no-fund
RUN npm run build
RUN node infra/image/assemble.mjs /app
RUN node infra/image/demo-sql.cjs > /demo.sql

# The demo's target. POSTGRES_PASSWORD_FILE and /run/secrets/demo-app-password as compose gives them.
FROM ${POSTGRES_IMAGE} AS demo-database
COPY infra/docker-compose/postgres/00-account.sh /docker-entrypoint-initdb.d/00-account.sh
COPY --from=build /demo.sql /usr/local/share/custody/demo.sql
USER 999:999

# What Keycloak would otherwise build at each start, in directories that it may not write to. A new volume gets the owner of
# the directory that it takes the place of, so this must be there.
FROM ${KEYCLOAK_IMAGE} AS identity-provider
RUN /opt/keycloak/bin/kc.sh build --db=dev-file --health-enabled=true \
 && mkdir -p /opt/keycloak/data/h2 /opt/keycloak/data/tmp
USER 1000:0

FROM ${NODE_IMAGE} AS custody
RUN groupadd --gid 10001 custody \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/custody --no-create-home --shell /usr/sbin/nologin custody \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/custody \
 && rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn* /usr/local/bin/yarn*
WORKDIR /app
COPY --from=build /app /app
COPY --chmod=0755 infra/image/custody-health infra/image/custody-drain /usr/local/bin/
RUN ln -s /app/cli/bin/custody.js /usr/local/bin/custody
ENV NODE_ENV=production \
    CUSTODY_HOME=/var/lib/custody \
    CUSTODY_CONFIG=/etc/custody/custody.yaml
USER 10001:10001
EXPOSE 15432 15480
STOPSIGNAL SIGTERM
# Which service it is says the command: node services/proxy|ingest|query|siem-export/dist/main.js
ENTRYPOINT []
CMD ["node", "services/proxy/dist/main.js"]
