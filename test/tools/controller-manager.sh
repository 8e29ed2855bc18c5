#!/usr/bin/env bash
# Finds, or builds once for this user, a kube-controller-manager of the API server's version, and prints its path: for the proofs that need a garbage collector.
# usage: controller-manager.sh [--find]      (--find: only look, never build)
# order: 1. KEYWRIGHT_CONTROLLER_MANAGER   2. the user's cache   3. a build from the Go modules of Kubernetes, into that cache
set -euo pipefail
tool=controller-manager
. "$(dirname "$0")/build-once.sh"

version=1.36.3 # that of control-plane.sh
given=${KEYWRIGHT_CONTROLLER_MANAGER:-}
directory=$keywright_cache/controller-manager/v$version
program=$directory/kube-controller-manager

if [ -n "$given" ]; then
  [ -x "$given" ] || { say "KEYWRIGHT_CONTROLLER_MANAGER is $given, which cannot be run"; exit 1; }
  echo "$given"
  exit
fi
if [ -x "$program" ]; then
  echo "$program"
  exit
fi
if [ "${1:-}" = --find ]; then
  say "this proof needs a kube-controller-manager and there is none; \`make prove-api-faults\` builds it, or set KEYWRIGHT_CONTROLLER_MANAGER to one"
  exit 1
fi
command -v go >/dev/null || { say "set KEYWRIGHT_CONTROLLER_MANAGER to a kube-controller-manager, or install Go (https://go.dev/dl) to build it"; exit 1; }

lock_build "$directory"
if [ ! -x "$program" ]; then
  say "building kube-controller-manager $version from Go modules"
  say "this happens once for you: about three minutes on two cores, if an API server was built before; kept in $directory"
  build_kubernetes "$version" kube-controller-manager
  # all or nothing: whoever finds the directory finds it whole
  rm -rf "$directory"
  mv "$build/out" "$directory"
fi
echo "$program"
