# An image with wb and nothing else: docker build -t wb . after make dist.
# It holds no vLLM; wb reaches a server with --url, and keeps its file in the folder /work.
FROM debian:12-slim
ARG TARGETARCH=amd64
# docker's names of platforms are not those of the archives
RUN --mount=type=bind,source=dist,target=/dist \
    case "$TARGETARCH" in amd64) arch=x86_64 ;; *) arch="$TARGETARCH" ;; esac && \
    tar -xzf /dist/wb-*-linux-"$arch".tar.gz -C /usr/local --strip-components=1 && \
    useradd --create-home --uid 1000 wb && install -d -o wb /work
USER 1000
WORKDIR /work
ENTRYPOINT ["wb"]
CMD ["--help"]
