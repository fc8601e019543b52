{{/* The chart's part of every name. */}}
{{- define "lull.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{/*
Name of the objects. A release may have dots in its name, a Service may not; 53 characters leave room for "-activator" in
a Service's 63. Cluster roles carry no namespace in theirs on purpose: a second operator in the cluster would be a second
writer, and Helm refuses it where the names meet.
*/}}
{{- define "lull.fullname" -}}
{{- $name := include "lull.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What tells the operator's pods from others; a Deployment cannot change its selector later. */}}
{{- define "lull.selectorLabels" -}}
app.kubernetes.io/name: {{ include "lull.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "lull.labels" -}}
{{ include "lull.selectorLabels" . }}
app.kubernetes.io/part-of: lull
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "lull.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "lull.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name is empty and serviceAccount.create is false: name the ServiceAccount that exists, or let the chart create one" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Binds the operator's account to the ClusterRole of the given purpose. Takes a list: the root context, the purpose. */}}
{{- define "lull.binding" -}}
{{- $root := index . 0 -}}
{{- $purpose := index . 1 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ include "lull.fullname" $root }}-{{ $purpose }}
  labels:
    {{- include "lull.labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ include "lull.fullname" $root }}-{{ $purpose }}
subjects:
  - kind: ServiceAccount
    name: {{ include "lull.serviceAccountName" $root }}
    namespace: {{ $root.Release.Namespace }}
{{- end -}}

{{/* How many operators; more than one need the Lease. */}}
{{- define "lull.replicas" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection) -}}
{{- fail "replicas is more than 1 and leaderElection is false: several operators without a Lease would all act; set replicas=1, or leaderElection=true" -}}
{{- end -}}
{{- int .Values.replicas -}}
{{- end -}}

{{/*
What the values ask for, or else other nodes than those of pods with the same labels, where there are some. Takes a list:
the affinity of the values, the labels.
*/}}
{{- define "lull.affinity" -}}
{{- if index . 0 -}}
{{- toYaml (index . 0) -}}
{{- else -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- index . 1 | nindent 12 }}
{{- end -}}
{{- end -}}

{{/* Name of the activator's objects, its account included. */}}
{{- define "lull.activator" -}}
{{- include "lull.fullname" . }}-activator
{{- end -}}

{{- define "lull.activatorSelectorLabels" -}}
app.kubernetes.io/name: {{ include "lull.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: activator
{{- end -}}

{{- define "lull.activatorLabels" -}}
{{ merge (include "lull.activatorSelectorLabels" . | fromYaml) (include "lull.labels" . | fromYaml) | toYaml }}
{{- end -}}

{{- define "lull.wakeLabels" -}}
{{ merge (dict "app.kubernetes.io/component" "wake") (include "lull.labels" . | fromYaml) | toYaml }}
{{- end -}}

{{/* First and last holding port, as the operator and the activator read them. */}}
{{- define "lull.holdingPorts" -}}
{{- $from := int .Values.activator.ports.from -}}
{{- $to := int .Values.activator.ports.to -}}
{{- $health := int .Values.activator.healthPort -}}
{{- if gt $from $to -}}
{{- fail (printf "activator.ports.from is %d and activator.ports.to is %d: write the lower one first" $from $to) -}}
{{- end -}}
{{- if and (ge $health $from) (le $health $to) -}}
{{- fail (printf "activator.healthPort is %d, one of the holding ports %d to %d: choose another" $health $from $to) -}}
{{- end -}}
{{- printf "%d-%d" $from $to -}}
{{- end -}}
