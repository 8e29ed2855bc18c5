#!/usr/bin/env bash
# Finds, or builds once for this user, the programs of a real Kubernetes control plane for the tests, and prints their directory.
# usage: control-plane.sh [--find]      (--find: only look, never build)
# order: 1. KUBEBUILDER_ASSETS   2. the user's cache   3. a build from the Go modules of Kubernetes and etcd, into that cache
# Downloading envtest's archives is left out on purpose: a download without a checksum that we know ourselves is not taken, and the Go module proxy's are checked by
# Go's checksum database.
set -euo pipefail
kubernetes_version=1.36.3 # its staging modules are v0.MINOR.PATCH
etcd_version=3.6.16
programs='etcd kube-apiserver kubectl'

tool=control-plane
. "$(dirname "$0")/build-once.sh"
directory=$keywright_cache/control-plane/kubernetes-$kubernetes_version-etcd-$etcd_version

complete() {
  local program
  for program in $programs; do [ -x "$1/$program" ] || return 1; done
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  complete "$KUBEBUILDER_ASSETS" || { say "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, but not all of $programs are there"; exit 1; }
  (cd "$KUBEBUILDER_ASSETS" && pwd)
  exit
fi
if complete "$directory"; then
  echo "$directory"
  exit
fi
if [ "${1:-}" = --find ]; then
  say "the tests need a real API server and there is none; \`make tools\` builds one ($programs), or set KUBEBUILDER_ASSETS to a directory that has them"
  exit 1
fi
command -v go >/dev/null || {
  say "the tests need a real API server: set KUBEBUILDER_ASSETS to a directory with $programs, or install Go (https://go.dev/dl) to build them"
  exit 1
}

lock_build "$directory"
if complete "$directory"; then
  echo "$directory"
  exit
fi

mkdir -p "$build/etcd"
say "the tests run against a real API server: building $programs (Kubernetes $kubernetes_version, etcd $etcd_version) from Go modules"
say "this happens once for you: about 8 minutes on two cores, seconds when Go's build cache has them; kept in $directory"

# The server command is the root of etcd's module, which `go install module@version` refuses for its replace lines: hence a small module that requires it.
etcd_module() {
  printf 'module keywright.dev/test/etcd\n\ngo 1.24\n\nrequire go.etcd.io/etcd/server/v3 v%s\n' "$etcd_version" >go.mod
  printf '//go:build tools\n\npackage tools\n\nimport _ "go.etcd.io/etcd/server/v3"\n' >tools.go
  go mod tidy
}

cd "$build/etcd"
run 'fetching etcd' etcd_module
run 'building etcd' go build -trimpath -ldflags '-s -w' -o "$build/out/etcd" go.etcd.io/etcd/server/v3

build_kubernetes "$kubernetes_version" kube-apiserver kubectl

# all or nothing: whoever finds the directory finds it whole
rm -rf "$directory"
mv "$build/out" "$directory"
echo "$directory"
