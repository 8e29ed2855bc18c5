#!/usr/bin/env bash
# Finds, or builds once for this user, a helm of the given major version, and prints its path.
# usage: helm.sh [--find] [4|3]      (--find: only look, never build; without a number: 4)
# order: 1. KEYWRIGHT_HELM4 or KEYWRIGHT_HELM3   2. helm on PATH, if it is of that major version   3. the user's cache   4. a build from Helm's Go module, into that cache
set -euo pipefail
tool=helm
. "$(dirname "$0")/build-once.sh"

find_only=0
[ "${1:-}" = --find ] && { find_only=1; shift; }
major=${1:-4}
case $major in
4) version=4.3.1 minutes='a minute or two' given=${KEYWRIGHT_HELM4:-} ;;
3) version=3.22.0 minutes='three minutes' given=${KEYWRIGHT_HELM3:-} ;;
*) say "there is no Helm $major here: 4 or 3"; exit 64 ;;
esac
variable=KEYWRIGHT_HELM$major
directory=$keywright_cache/helm/v$version

# is_helm PROGRAM: it runs and is of the wanted major version
is_helm() {
  case $("$1" version --template '{{ .Version }}' 2>/dev/null) in v"$major".*) ;; *) return 1 ;; esac
}

if [ -n "$given" ]; then
  is_helm "$given" || { say "$variable is $given, which is no Helm $major"; exit 1; }
  echo "$given"
  exit
fi
if on_path=$(command -v helm) && is_helm "$on_path"; then
  echo "$on_path"
  exit
fi
if [ -x "$directory/helm" ]; then
  echo "$directory/helm"
  exit
fi
if [ "$find_only" = 1 ]; then
  say "the tests of the chart need Helm $major and there is none; \`make tools\` builds it, or set $variable to one"
  exit 1
fi
command -v go >/dev/null || {
  say "the tests of the chart need Helm $major: set $variable to one, put it on PATH, or install Go (https://go.dev/dl) to build it"
  exit 1
}

lock_build "$directory"
if [ ! -x "$directory/helm" ]; then
  say "the tests of the chart run Helm $major: building $version from its Go module"
  say "this happens once for you: about $minutes on two cores; kept in $directory"
  # without the version flag it takes itself for a development version
  run "building Helm $version" env GOFLAGS=-buildvcs=false GOBIN="$build/out" \
    go install -trimpath -ldflags "-s -w -X helm.sh/helm/v$major/internal/version.version=v$version" "helm.sh/helm/v$major/cmd/helm@v$version"
  # all or nothing: whoever finds the directory finds it whole
  rm -rf "$directory"
  mv "$build/out" "$directory"
fi
echo "$directory/helm"
