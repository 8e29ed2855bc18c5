#!/usr/bin/env bash
# Prints the path of a Python that has the official SDKs of OpenAI, Anthropic and Google, in the versions of python-sdks.txt.
# order: 1. KEYWRIGHT_PYTHON_SDKS   2. the user's cache   3. a virtual environment made from the Python package index, into that cache (about 20 s)
set -euo pipefail
tool=python-sdks
here=$(cd "$(dirname "$0")" && pwd)
. "$here/build-once.sh"

if [ -n "${KEYWRIGHT_PYTHON_SDKS:-}" ]; then
  "$KEYWRIGHT_PYTHON_SDKS" -c 'import openai, anthropic, google.genai' || { say 'KEYWRIGHT_PYTHON_SDKS names no Python with openai, anthropic and google-genai'; exit 1; }
  echo "$KEYWRIGHT_PYTHON_SDKS"
  exit 0
fi

python=$(command -v python3 || true)
[ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { say 'the tests of the Python SDKs need python3, 3.10 or newer'; exit 1; }
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
directory=$keywright_cache/python-sdks/$version-$(cksum <"$here/python-sdks.txt" | tr ' ' '-')
found() { [ -f "$directory/complete" ] && "$directory/bin/python" -c '' 2>/dev/null; }

if found; then
  echo "$directory/bin/python"
  exit 0
fi
lock_build "$directory"
if found; then
  echo "$directory/bin/python"
  exit 0
fi

# Debian's python3 comes without the part that makes virtual environments
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  run 'installing the package python3-venv' sh -c 'apt-get install -y --no-install-recommends python3-venv || { apt-get update && apt-get install -y --no-install-recommends python3-venv; }'
fi
say "this happens once for you: about 20 seconds; kept in $directory"
# not in the build folder: a virtual environment cannot be moved
rm -rf "$directory"
run 'making a virtual environment' "$python" -m venv "$directory"
run 'installing the Python SDKs from the package index' "$directory/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/python-sdks.txt"
touch "$directory/complete"
echo "$directory/bin/python"
