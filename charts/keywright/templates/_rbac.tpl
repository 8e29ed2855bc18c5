{{/* What the operator may do where VirtualKeys and Channels live. Each verb is in docs/rbac.md with the test that fails without it. */}}
{{- define "keywright.tenantRules" -}}
- apiGroups: [keywright.dev]
  resources: [virtualkeys, channels]
  verbs: [get, list, watch]
- apiGroups: [keywright.dev]
  resources: [virtualkeys/status, channels/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update]
{{ include "keywright.eventRule" . }}
{{- end -}}

{{- define "keywright.eventRule" -}}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* (dict "root" $ "component" "operator" "name" "x" "namespace" "y" "rules" "…"): a Role and its binding */}}
{{- define "keywright.role" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "keywright.labels" . | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "keywright.labels" . | nindent 4 }}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .name }} }
subjects:
  - { kind: ServiceAccount, name: {{ include "keywright.serviceAccount" . }}, namespace: {{ include "keywright.namespace" .root }} }
{{- end }}

{{/* as keywright.role, for the whole cluster */}}
{{- define "keywright.clusterRole" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .name }}
  labels:
    {{- include "keywright.labels" . | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "keywright.labels" . | nindent 4 }}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ .name }} }
subjects:
  - { kind: ServiceAccount, name: {{ include "keywright.serviceAccount" . }}, namespace: {{ include "keywright.namespace" .root }} }
{{- end }}

{{- define "keywright.crdRule" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [virtualkeys.keywright.dev, channels.keywright.dev]
  verbs: [get]
{{- end -}}

{{- define "keywright.namespaceRule" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end -}}

{{- /* lists and watches of one name pass a rule with resourceNames; a create cannot */}}
{{- define "keywright.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [keywright-operator]
  verbs: [get, list, watch, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end -}}

{{- define "keywright.ownSecretRule" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete]
{{- end -}}

{{/* Secrets of its own are deleted, never a tenant's: records of keys that are long gone, shards of an old epoch */}}
{{- define "keywright.deleteRule" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [delete]
{{- end -}}

{{- define "keywright.proxyRule" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
{{- end -}}
