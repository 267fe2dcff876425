# The gateway: plain nginx. `berth gateway-config` writes its configuration into a shared volume.
#
#   docker build -f operator/gateway.Dockerfile -t berth-gateway .
#
# Any nginx 1.22 or later with http_ssl, http_v2 and http_auth_request. Releases pin the base by digest.
ARG BASE_IMAGE=docker.io/nginxinc/nginx-unprivileged:1.28-bookworm
FROM ${BASE_IMAGE}
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="Berth gateway" \
      org.opencontainers.image.description="nginx in front of the registries of Berth" \
      org.opencontainers.image.vendor="Berth" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
USER 65532:65532
WORKDIR /
EXPOSE 8443 8080
# Buffers of one blob are reused for the next, not returned to the kernel and allocated again page by page
# (docs/adr/0004-gateway.md): blocks up to 4 MiB come from the heap, of which a worker keeps at most 16 MiB free.
ENV MALLOC_MMAP_THRESHOLD_=4194304 MALLOC_TRIM_THRESHOLD_=16777216

# nginx finishes open requests, then quits.
STOPSIGNAL SIGQUIT
# The configuration is checked first, so that a bad one is reported before the port is taken.
ENTRYPOINT ["/bin/sh", "-c", "nginx -e stderr -t -q -c \"$0\" && exec nginx -e stderr -c \"$0\""]
CMD ["/run/berth-gateway/nginx.conf"]
