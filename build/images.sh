#!/usr/bin/env bash
# Builds the images keywright-operator, keywright-proxy and keywright. Settings: REGISTRY, TAG (default: the version of package.json), NODE_BUILD_IMAGE, NODE_RUNTIME_IMAGE,
# DOCKER (default: docker; podman and nerdctl take the same words).
set -euo pipefail
cd "$(dirname "$0")/.."
mistakes=()
[ -n "${REGISTRY:-}" ] || mistakes+=('REGISTRY is required: where the images will be pushed, such as registry.example.com/platform')
for name in NODE_BUILD_IMAGE NODE_RUNTIME_IMAGE; do
  # A digest is known only to whoever looked at the image; one that is made up here would pin nothing.
  [[ ${!name:-} =~ @sha256:[0-9a-f]{64}$ ]] || mistakes+=("$name is required and must end in @sha256:<digest>; \`docker buildx imagetools inspect IMAGE\` prints it (Dockerfile says which image)")
done
docker=${DOCKER:-docker}
command -v "$docker" >/dev/null || mistakes+=("$docker is not on PATH: install Docker, or name another builder with DOCKER=…")
if [ ${#mistakes[@]} -gt 0 ]; then
  printf 'images: %s\n' "${mistakes[@]}" >&2
  exit 64
fi
tag=${TAG:-$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)}
for target in operator proxy keywright; do
  image=$REGISTRY/keywright-$target:$tag
  [ "$target" = keywright ] && image=$REGISTRY/keywright:$tag
  "$docker" build --target "$target" --build-arg "NODE_BUILD_IMAGE=$NODE_BUILD_IMAGE" --build-arg "NODE_RUNTIME_IMAGE=$NODE_RUNTIME_IMAGE" --tag "$image" .
  echo "$image"
done
