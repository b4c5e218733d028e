# Weft sidecar: what a container needs to have a sidecar in it, whatever image it is of (docs/containers.md). Its folder /sidecar is put
# into a volume; nothing in it needs anything outside of it. Built from the repository's root:
#   docker build -f apps/proxy/sidecar.Dockerfile -t weft/sidecar .
# The first stage is the same for every app, so that it is built once for all of them.
FROM node:24-slim AS source
WORKDIR /weft
COPY . .
RUN npm ci --ignore-scripts --no-audit --no-fund && node tools/src/generate/main.ts

FROM source AS bundle
RUN node tools/src/image/bundle.ts proxy /sidecar/proxy && node tools/src/image/bundle.ts weft /sidecar/weft

FROM node:24-slim AS programs
RUN apt-get update && apt-get install -y --no-install-recommends iptables iproute2 patchelf
COPY tools/src/image/sidecar/collect.sh /
RUN bash /collect.sh /sidecar
COPY tools/src/image/health.sh tools/src/image/sidecar/with-sidecar.sh /sidecar/bin/
RUN mv /sidecar/bin/with-sidecar.sh /sidecar/bin/with-sidecar && chmod 755 /sidecar/bin/with-sidecar

FROM scratch
COPY --from=programs /sidecar /sidecar
COPY --from=bundle /sidecar /sidecar
HEALTHCHECK NONE
# Into the volume that containers mount at /sidecar; those that run keep the files they have open.
ENTRYPOINT ["/sidecar/bin/cp", "-a", "--remove-destination", "/sidecar/.", "/volume/"]
