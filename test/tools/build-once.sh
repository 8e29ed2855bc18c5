# Sourced by the scripts beside it: what they share when they build a program from Go modules once for a user.
# The caller sets `tool`, the name that its messages begin with.

keywright_cache=${XDG_CACHE_HOME:-${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache}/keywright

say() { echo "${tool:?}: $*" >&2; }

# lock_build DIRECTORY: one build of DIRECTORY at a time; a second caller waits here and then finds everything done. Sets `build`, a folder that goes with the process.
# mkdir is the lock because macOS has no flock.
lock_build() {
  lock=$1.lock build=$1.build.$$
  local waited=0 owner
  mkdir -p "$(dirname "$1")"
  until mkdir "$lock" 2>/dev/null; do
    owner=$(cat "$lock/pid" 2>/dev/null || true)
    if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
      # of several waiting callers one wins the rename, and only a lock that is still the dead one's
      mv "$lock" "$lock.dead.$$" 2>/dev/null && rm -rf "$lock.dead.$$"
      continue
    fi
    [ "$waited" = 0 ] && say "another run${owner:+ (process $owner)} is building; waiting for it"
    waited=1
    sleep 2
  done
  echo $$ >"$lock/pid"
  trap 'rm -rf "$lock" "$build"' EXIT
  trap 'exit 130' INT TERM
  mkdir -p "$build/out"
  export CGO_ENABLED=0 GOFLAGS=-mod=mod GO111MODULE=on GOWORK=off
}

# run WHAT COMMAND...: quiet unless it fails
run() {
  local what=$1 begin=$SECONDS
  shift
  "$@" >"$build/log" 2>&1 || { tail -20 "$build/log" >&2; say "$what failed"; exit 1; }
  say "$what: $((SECONDS - begin)) s"
}

# k8s.io/kubernetes names its staging modules by relative paths: each gets the published version of the same release.
# kubernetes_module VERSION PROGRAM...: a small module in the current folder from which the programs can be built
kubernetes_module() {
  local version=$1 go_mod staging program
  shift
  go_mod=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
  {
    printf 'module keywright.dev/test/kubernetes\n\n%s\n\nrequire k8s.io/kubernetes v%s\n\n' "$(grep '^go ' "$go_mod")" "$version"
    for staging in $(sed -nE 's,^[[:space:]]*(replace )?(k8s\.io/[a-z0-9-]+) => \./staging/.*,\2,p' "$go_mod" | sort -u); do
      echo "replace $staging => $staging v0.${version#*.}"
    done
  } >go.mod
  printf '//go:build tools\n\npackage tools\n\n' >tools.go
  for program in "$@"; do printf 'import _ "k8s.io/kubernetes/cmd/%s"\n' "$program" >>tools.go; done
  go mod tidy
}

# build_kubernetes VERSION PROGRAM...: into $build/out
build_kubernetes() {
  local version=$1 package=k8s.io/component-base/version major minor flags program
  shift
  mkdir -p "$build/kubernetes"
  cd "$build/kubernetes"
  run 'fetching Kubernetes' kubernetes_module "$version" "$@"
  # without the version flags they take themselves for v0.0.0 and CRD features misbehave
  major=${version%%.*} minor=${version#*.} minor=${minor%%.*}
  flags="-s -w -X $package.gitVersion=v$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
  for program in "$@"; do
    run "building $program" go build -trimpath -ldflags "$flags" -o "$build/out/$program" "k8s.io/kubernetes/cmd/$program"
  done
}
