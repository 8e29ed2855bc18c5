#!/bin/sh
# Ends what a test process has started, when that process is gone, in whatever way it went (crash, SIGKILL, a CI's timeout): it reads from a pipe whose other end the
# test process holds. Lines: "start PID", "end PID" (it has ended by itself: never touch that number again), "directory PATH" (a temporary one, removed at the end).
set -u
pids=' '
directories=''
while read -r word value; do
  case $word in
  start) pids="$pids$value " ;;
  end) pids=$(printf '%s' "$pids" | sed "s/ $value / /") ;;
  directory) directories="$directories $value" ;;
  esac
done
for pid in $pids; do kill -CONT "$pid"; kill -TERM "$pid"; done 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
  alive=''
  for pid in $pids; do kill -0 "$pid" 2>/dev/null && alive=yes; done
  [ -z "$alive" ] && break
  sleep 0.3
done
for pid in $pids; do kill -KILL "$pid"; done 2>/dev/null
for directory in $directories; do
  case $directory in */keywright-test-*) rm -rf "$directory" ;; esac
done
