#!/usr/bin/env bash
# Installs the chart into a real cluster, makes a key, calls through the Service, upgrades under load, uninstalls, reinstalls: what remains, and does the key still work?
# usage: KUBECONFIG=… IMAGE_REGISTRY=… prove.sh
#   IMAGE_REGISTRY   where keywright-operator, keywright-proxy and keywright lie (`make images`), and IMAGE_TAG (default: the chart's appVersion)
#   REDIS_IMAGE      default: the chart's
#   HELM, KUBECTL    default: those that `make tools` found
# It uses the namespaces keywright-system, keywright-snapshot and keywright-proof, which must not be there before, and removes them in the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${KUBECONFIG:?names the cluster}" "${IMAGE_REGISTRY:?where the images lie}"
helm=${HELM:-$(bash test/tools/helm.sh --find)}
kubectl=${KUBECTL:-$(bash test/tools/control-plane.sh --find)/kubectl}
tag=${IMAGE_TAG:-$(sed -n 's/^appVersion: //p' charts/keywright/Chart.yaml)}
system=keywright-system snapshot=keywright-snapshot proof=keywright-proof
values=(--set "image.registry=$IMAGE_REGISTRY,image.operator.tag=$tag,image.proxy.tag=$tag,redis.enabled=true,proxy.settings.drainSeconds=20")
[ -z "${REDIS_IMAGE:-}" ] || values+=(--set "redis.image=$REDIS_IMAGE")

say() { printf '\n== %s\n' "$*"; }
k() { "$kubectl" "$@"; }
fail() { echo "prove: $*" >&2; k get pods -A -o wide >&2 || true; k -n $system get events --sort-by=.lastTimestamp >&2 | tail -20 || true; exit 1; }

for namespace in $system $snapshot $proof; do
  ! k get namespace $namespace >/dev/null 2>&1 || fail "the namespace $namespace is there already; this cluster is somebody's"
done
cleanup() {
  "$helm" uninstall keywright -n $system --ignore-not-found >/dev/null 2>&1 || true
  k delete namespace $proof $system $snapshot --ignore-not-found --wait=false >/dev/null || true
  k delete crd virtualkeys.keywright.dev channels.keywright.dev --ignore-not-found --wait=false >/dev/null || true
  k delete clusterrole,clusterrolebinding -l app.kubernetes.io/part-of=keywright >/dev/null 2>&1 || true
}
[ "${KEEP:-}" = 1 ] || trap cleanup EXIT

# start_caller NAME SECONDS: a pod that calls through the Service
start_caller() {
  k -n $proof create configmap caller --from-file=test/install/caller.mjs --dry-run=client -o yaml | k apply -f - >/dev/null
  k -n $proof apply -f - >/dev/null <<POD
apiVersion: v1
kind: Pod
metadata: { name: $1 }
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: RuntimeDefault } }
  containers:
    - name: caller
      image: $IMAGE_REGISTRY/keywright:$tag
      args: [/caller/caller.mjs]
      securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }
      env:
        - { name: GATEWAY, value: "http://keywright.$system.svc" }
        - { name: SECONDS, value: "$2" }
        - { name: KEY, valueFrom: { secretKeyRef: { name: my-app-virtualkey, key: apiKey } } }
      volumeMounts: [{ name: caller, mountPath: /caller }]
  volumes: [{ name: caller, configMap: { name: caller } }]
POD
}
# end_caller NAME: what it printed
end_caller() {
  k -n $proof wait --for=jsonpath='{.status.phase}'=Succeeded "pod/$1" --timeout=180s >/dev/null || fail "$1: $(k -n $proof logs "$1" 2>&1 | tail -5)"
  k -n $proof logs "$1"
  k -n $proof delete pod "$1" --wait=false >/dev/null
}
# the Service may be programmed a moment after the pods are ready
until_answered() {
  local try answer=
  for try in 1 2 3 4 5 6; do
    start_caller "first-$1-$try" 0
    answer=$(end_caller "first-$1-$try")
    case $answer in *'"200":1'*) echo "$answer"; return ;; esac
    sleep 2
  done
  fail "no answer through the Service: $answer"
}
only_ok() { case $1 in *'"counts":{"200":'[0-9]*'},'*) ;; *) fail "not every call was answered with 200: $1" ;; esac; }

for namespace in $system $proof; do
  k create namespace $namespace
  k label namespace $namespace pod-security.kubernetes.io/enforce=restricted >/dev/null
done

say "helm $("$helm" version --template '{{ .Version }}') install"
"$helm" install keywright charts/keywright -n $system "${values[@]}" --wait --timeout 180s
k -n $system get pods

say 'a provider, a labelled Secret, a Channel, a VirtualKey'
sed "s#KEYWRIGHT_IMAGE#$IMAGE_REGISTRY/keywright:$tag#" test/install/provider.yaml | k -n $proof apply -f -
k -n $proof rollout status deployment/provider --timeout=120s
sed "s/NAMESPACE/$proof/" test/install/objects.yaml | k -n $proof apply -f -
k -n $proof wait --for=condition=Ready channel/provider virtualkey/my-app --timeout=60s
k -n $proof get virtualkeys,channels

say 'a call through the Service'
until_answered install

say 'helm upgrade (3 proxies, other pods) under load'
start_caller load 75
k -n $proof wait --for=condition=Ready pod/load --timeout=60s >/dev/null
"$helm" upgrade keywright charts/keywright -n $system "${values[@]}" --set proxy.replicas=3,proxy.podAnnotations.proof=upgrade,operator.podAnnotations.proof=upgrade --wait --timeout 180s | sed -n '1,6p'
k -n $system get pods
loaded=$(end_caller load)
echo "$loaded"
only_ok "$loaded"

say 'helm uninstall'
key=$(k -n $proof get secret my-app-virtualkey -o jsonpath='{.data.apiKey}' | sha256sum)
installation=$(k -n $system get secret keywright-installation -o jsonpath='{.metadata.uid}')
"$helm" uninstall keywright -n $system --wait --timeout 120s
k get crd/virtualkeys.keywright.dev crd/channels.keywright.dev namespace/$snapshot -o name
k -n $proof get virtualkey/my-app secret/my-app-virtualkey -o name
k -n $system get secrets -o custom-columns=NAME:.metadata.name,TYPE:.type
k -n $snapshot get secrets -o name | wc -l | sed 's/$/ snapshot Secrets/'
[ -z "$(k -n $system get pods -o name --field-selector=status.phase=Running)" ] || k -n $system wait --for=delete pod --all --timeout=90s

say 'helm install again adopts what is there'
"$helm" install keywright charts/keywright -n $system "${values[@]}" --wait --timeout 180s | sed -n '1,6p'
[ "$installation" = "$(k -n $system get secret keywright-installation -o jsonpath='{.metadata.uid}')" ] || fail 'the installation secret was made anew'
[ "$key" = "$(k -n $proof get secret my-app-virtualkey -o jsonpath='{.data.apiKey}' | sha256sum)" ] || fail 'the key was made anew'
k -n $proof wait --for=condition=Ready virtualkey/my-app --timeout=60s
until_answered reinstall

say 'proved: installed, called, upgraded, uninstalled, reinstalled with the same key'
