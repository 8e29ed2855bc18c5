{{/* What everything is named after: the release, with the chart's name unless the release bears it already. */}}
{{- define "keywright.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The operator's own namespace: everything but the snapshot is here. */}}
{{- define "keywright.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "keywright.snapshotNamespace" -}}
{{- $name := default (printf "%s-snapshot" (include "keywright.fullname" .)) .Values.snapshotNamespace.name -}}
{{- if eq $name (include "keywright.namespace" .) -}}
{{- fail (printf "snapshotNamespace.name: must differ from the release's namespace (%s): proxies may read all Secrets of the former" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* (dict "root" $ "component" "proxy") */}}
{{- define "keywright.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "keywright.labels" -}}
{{ include "keywright.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: keywright
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "keywright.componentName" -}}
{{- printf "%s-%s" (include "keywright.fullname" .root) .component -}}
{{- end -}}

{{- define "keywright.serviceAccount" -}}
{{- $account := index .root.Values .component "serviceAccount" -}}
{{- if $account.create -}}
{{- default (include "keywright.componentName" .) $account.name -}}
{{- else -}}
{{- required (printf "%s.serviceAccount.name: name the account that is to be used, or set %s.serviceAccount.create=true" .component .component) $account.name -}}
{{- end -}}
{{- end -}}

{{- define "keywright.image" -}}
{{- $image := .root.Values.image -}}
{{- $own := index $image .component -}}
{{- $registry := required "image.registry: where the images keywright-operator and keywright-proxy lie, such as registry.example.com/platform; docs/install.md says how to build them" $image.registry -}}
{{- if $own.digest -}}
{{- printf "%s/%s@%s" $registry $own.repository $own.digest -}}
{{- else -}}
{{- printf "%s/%s:%s" $registry $own.repository (default .root.Chart.AppVersion $own.tag) -}}
{{- end -}}
{{- end -}}

{{/* Where clients inside the cluster reach the proxies. */}}
{{- define "keywright.serviceUrl" -}}
{{- $scheme := ternary "https" "http" (ne .Values.tls.existingSecret "") -}}
{{- $usual := ternary 443 80 (eq $scheme "https") -}}
{{- $port := int .Values.service.port -}}
{{- $host := printf "%s.%s.svc" (include "keywright.fullname" .) (include "keywright.namespace" .) -}}
{{- if eq $port $usual -}}
{{- printf "%s://%s" $scheme $host -}}
{{- else -}}
{{- printf "%s://%s:%d" $scheme $host $port -}}
{{- end -}}
{{- end -}}

{{- define "keywright.publicUrl" -}}
{{- if and .Values.publicUrl (not (regexMatch "^https?://[^@?#]+$" .Values.publicUrl)) -}}
{{- fail (printf "publicUrl: must be an http or https address without user, query and fragment, not %q" .Values.publicUrl) -}}
{{- end -}}
{{- default (include "keywright.serviceUrl" .) .Values.publicUrl -}}
{{- end -}}

{{/* How many proxies there may be: their shares of a limit, while Redis is away, add up to no more than the limit. */}}
{{- define "keywright.mostProxies" -}}
{{- ternary .Values.proxy.autoscaling.maxReplicas .Values.proxy.replicas .Values.proxy.autoscaling.enabled | int -}}
{{- end -}}
