# The single executable, and nothing else of ours. `docker build -t dict-vsync .`
FROM node:26-bookworm AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build

FROM debian:bookworm-slim
# What Node is linked with and this image lacks.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends libatomic1 \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --uid 10001 --home-dir /var/lib/dict-vsync --create-home dict-vsync
COPY --from=build /build/dist/dict-vsync /usr/local/bin/dict-vsync
USER dict-vsync
WORKDIR /var/lib/dict-vsync
EXPOSE 9464
# For the worker, which is what the image runs by default. SIGTERM drains it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["dict-vsync", "health"]
ENTRYPOINT ["dict-vsync"]
CMD ["worker"]
