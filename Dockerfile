# Contains only the single executable. Build it with `docker build -t dict-vsync .`
FROM node:26-bookworm AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build

FROM debian:bookworm-slim
# A library that Node needs and this base image lacks.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends libatomic1 \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --uid 10001 --home-dir /var/lib/dict-vsync --create-home dict-vsync
COPY --from=build /build/dist/dict-vsync /usr/local/bin/dict-vsync
USER dict-vsync
WORKDIR /var/lib/dict-vsync
EXPOSE 9464
# The health check is for the worker, which the image runs by default.
# After SIGTERM the worker finishes or hands over its current steps.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["dict-vsync", "health"]
ENTRYPOINT ["dict-vsync"]
CMD ["worker"]
