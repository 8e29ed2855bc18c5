{{/* (dict "root" $ "component" "proxy"): what both Deployments' pods have in common */}}
{{- define "keywright.podSpec" -}}
{{- $values := index .root.Values .component -}}
serviceAccountName: {{ include "keywright.serviceAccount" . }}
automountServiceAccountToken: true
# a Service named keywright would otherwise set KEYWRIGHT_* variables
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "keywright.podSecurity" .root | nindent 2 }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if kindIs "slice" $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "keywright.selectorLabels" $ | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "keywright.podSecurity" -}}
runAsNonRoot: true
{{- if not .Values.openshift.enabled }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
{{- end }}
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "keywright.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "keywright.probes" -}}
# liveness depends on nothing but the process: an outage elsewhere restarts nobody
startupProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: admin }
  periodSeconds: 2
  timeoutSeconds: 5
{{- end -}}

{{/* Environment variables of a map of settings: maxBodyBytes is KEYWRIGHT_MAX_BODY_BYTES. */}}
{{- define "keywright.settings" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
- name: KEYWRIGHT_{{ snakecase $name | upper }}
  {{- if kindIs "slice" $value }}
  value: {{ join "," $value | quote }}
  {{- else if kindIs "float64" $value }}
  {{- /* Helm reads whole numbers as floating point, which would print large ones as 3.3e+07 */}}
  value: {{ int64 $value | quote }}
  {{- else if and (eq $name "crdCheck") (kindIs "bool" $value) }}
  {{- /* YAML 1.1 reads on and off as booleans */}}
  value: {{ ternary "on" "off" $value | quote }}
  {{- else }}
  value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "component" "proxy"): KEYWRIGHT_REDIS_URL, from an existing Secret where it may hold a password; the operator may have a user of its own */}}
{{- define "keywright.redisUrl" -}}
{{- $redis := .root.Values.redis -}}
{{- $secret := $redis.existingSecret -}}
{{- $key := ternary (default $secret.key $secret.operatorKey) $secret.key (eq .component "operator") -}}
{{- $given := list -}}
{{- if $redis.enabled }}{{ $given = append $given "redis.enabled" }}{{ end -}}
{{- if $redis.url }}{{ $given = append $given "redis.url" }}{{ end -}}
{{- if $redis.existingSecret.name }}{{ $given = append $given "redis.existingSecret.name" }}{{ end -}}
{{- if gt (len $given) 1 -}}
{{- fail (printf "redis: set one of redis.existingSecret.name, redis.url and redis.enabled, not %s" (join " and " $given)) -}}
{{- end -}}
{{- if and $redis.url (not (regexMatch "^rediss?([+](sentinel|cluster))?://[^@]+$" $redis.url)) -}}
{{- fail "redis.url: must be redis://host:port (or rediss://, redis+sentinel://, redis+cluster://) without user and password; an address with a password belongs into a Secret, named by redis.existingSecret.name" -}}
{{- end -}}
{{- if and (empty $given) (ne (include "keywright.mostProxies" .root) "1") -}}
{{- fail "redis: limits are shared through Redis: set redis.existingSecret.name (a Secret that holds its address), or redis.enabled=true for a small one to try out, or proxy.replicas=1 to run a single proxy without" -}}
{{- end -}}
{{- if $redis.existingSecret.name }}
- name: KEYWRIGHT_REDIS_URL
  valueFrom:
    secretKeyRef: { name: {{ $secret.name }}, key: {{ $key }} }
{{- else if $redis.url }}
- name: KEYWRIGHT_REDIS_URL
  value: {{ $redis.url | quote }}
{{- else if $redis.enabled }}
- name: KEYWRIGHT_REDIS_URL
  value: {{ printf "redis://%s-redis.%s.svc:6379" (include "keywright.fullname" .root) (include "keywright.namespace" .root) | quote }}
{{- end }}
{{- if and $redis.enabled $redis.caSecret.name -}}
{{- fail "redis.caSecret: the small Redis of redis.enabled speaks no TLS" -}}
{{- end }}
{{- if $redis.caSecret.name }}
- name: KEYWRIGHT_REDIS_CA_FILE
  value: /etc/keywright/redis-ca/ca.crt
{{- end }}
{{- with $redis.sentinelSecret }}
{{- if .name }}
{{- if .usernameKey }}
- name: KEYWRIGHT_REDIS_SENTINEL_USERNAME
  valueFrom:
    secretKeyRef: { name: {{ .name }}, key: {{ .usernameKey }} }
{{- end }}
- name: KEYWRIGHT_REDIS_SENTINEL_PASSWORD
  valueFrom:
    secretKeyRef: { name: {{ .name }}, key: {{ .passwordKey }} }
{{- end }}
{{- end }}
{{- end -}}
