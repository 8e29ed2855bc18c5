# The images of Keywright: `make images REGISTRY=… NODE_BUILD_IMAGE=… NODE_RUNTIME_IMAGE=…`, or `docker build --target proxy --build-arg …`.
# Both base images are named by digest, by whoever builds: a tag would be another image tomorrow. There is no default, so that none is taken by accident.
#   NODE_BUILD_IMAGE    Node 24 with npm and a shell, such as docker.io/library/node:24-bookworm-slim@sha256:…
#   NODE_RUNTIME_IMAGE  Node 24 without a shell, such as gcr.io/distroless/nodejs24-debian12:nonroot@sha256:…; its entry point is node
ARG NODE_BUILD_IMAGE
ARG NODE_RUNTIME_IMAGE

FROM ${NODE_BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# no install scripts: the only one that matters brings Node, which is here already
RUN npm ci --ignore-scripts
COPY . .
RUN node_modules/.bin/tsc -p tsconfig.build.json && node build/assemble.ts

FROM ${NODE_RUNTIME_IMAGE} AS base
WORKDIR /app
ENV NODE_ENV=production
USER 65532:65532

FROM base AS operator
COPY --from=build /src/dist/images/operator /app
EXPOSE 9090
CMD ["/app/cli/keywright.js", "operator"]

FROM base AS proxy
COPY --from=build /src/dist/images/proxy /app
EXPOSE 8080 9090
CMD ["/app/cli/keywright.js", "proxy"]

# every command: standalone, lint
FROM base AS keywright
COPY --from=build /src/dist/images/keywright /app
CMD ["/app/cli/keywright.js", "help"]
