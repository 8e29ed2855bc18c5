#!/usr/bin/env bash
# Makes sure that the tests have a Redis to start: REDIS_URL, a Docker engine that answers, redis-server on PATH, else (as root on Debian and its kin) installs it.
set -euo pipefail
say() { echo "redis: $*" >&2; }

[ -n "${REDIS_URL:-}" ] && exit 0
command -v redis-server >/dev/null && exit 0
if command -v docker >/dev/null && docker info >/dev/null 2>&1; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  say 'the tests need a Redis: installing the package redis-server'
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  export DEBIAN_FRONTEND=noninteractive
  # RUNLEVEL=1: the package would otherwise start a server of its own on the usual port
  if { RUNLEVEL=1 apt-get install -y --no-install-recommends redis-server || { apt-get update && RUNLEVEL=1 apt-get install -y --no-install-recommends redis-server; }; } >"$log" 2>&1; then
    exit 0
  fi
  tail -5 "$log" >&2
  say 'installing redis-server failed'
fi
say 'the tests need a Redis: set REDIS_URL, start Docker, or install redis-server (Debian: apt-get install redis-server, macOS: brew install redis)'
exit 1
