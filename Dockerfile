# Axon's own image: the controllers, and what checks workspaces out in the Pods of Tasks.
# `tests/cluster/images` makes the same layout for the tests, where no engine is at hand.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends make
WORKDIR /src
COPY . .
# The helper is copied into Pods of any image: it must not need that image's libraries.
RUN cargo build --locked --release --bin axon \
 && RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --package axon-helper --target "$(uname -m)-unknown-linux-gnu" \
 && install -D target/release/axon /out/axon \
 && install -D "target/$(uname -m)-unknown-linux-gnu/release/axon-helper" /out/axon-helper

# axon is linked to the C library, which looks host names up.
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 61100 axon \
 && useradd --uid 61100 --gid 61100 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin axon
COPY --from=build /out/axon /out/axon-helper /usr/local/bin/
USER 61100:61100
ENTRYPOINT ["/usr/local/bin/axon"]
