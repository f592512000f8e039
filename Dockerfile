# Builds haflux and leaves an image with the program alone.
#
#   docker build -t haflux .
#   docker run -v ./haflux.toml:/etc/haflux/haflux.toml:ro -v haflux:/var/lib/haflux -p 80:80 -p 8086:8086 haflux

# The version that rust-toolchain.toml names.
FROM rust:1.95.0-slim-bookworm AS builder
# Versions are those of the image's Debian: pinned ones vanish from its mirrors.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked \
 && strip --strip-debug -o /haflux target/release/haflux

FROM debian:bookworm-slim
RUN useradd --system --uid 8086 --home-dir /var/lib/haflux --shell /usr/sbin/nologin haflux \
 && install -d -o haflux -g haflux -m 0700 /var/lib/haflux \
 && install -d /etc/haflux
# The authorities that servers are verified by, unless `ca` names others.
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=builder /haflux /usr/bin/haflux
# haflux, by number: Kubernetes' runAsNonRoot believes no name.
USER 8086:8086
# The journal. What is acknowledged lives here until every node has it: keep it on a volume that outlives the container.
VOLUME /var/lib/haflux
EXPOSE 80 8086
# The status page, not /ping: a haflux whose nodes are down is at work, and restarting it would help nobody.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["haflux", "ping", "--url", "http://127.0.0.1:8086/haproxy?stats"]
# SIGTERM stops gracefully: give it longer than its own limits, e.g. `docker stop --time 60`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["haflux"]
CMD ["run", "--config", "/etc/haflux/haflux.toml"]
