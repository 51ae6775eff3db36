# syntax=docker/dockerfile:1

# An image with nothing in it but the program, certificates and time zones:
#
#     docker build --build-arg VERSION="$(git describe --tags --always)" -t chatbackfill .
#
# The root file system may be read-only. Temporary files go to /tmp: mount
# something writable there when rows are grouped beyond memory (Parquet) or ids
# of a query are listed (Postgres).

# Go compiles for other processors by itself, so this stage is never emulated.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -tags disable_grpc_modules -ldflags "-s -w -X main.version=$VERSION" -o /out/chatbackfill ./cmd/chatbackfill

# Has CA certificates, time zones and /tmp; no shell, no libc, no package manager.
FROM gcr.io/distroless/static-debian13
COPY --from=build /out/chatbackfill /usr/local/bin/chatbackfill
# A number: Kubernetes cannot tell whether a name is root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/chatbackfill"]
