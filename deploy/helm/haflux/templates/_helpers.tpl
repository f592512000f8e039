{{- define "haflux.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "haflux.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "haflux.labels" -}}
{{ include "haflux.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "haflux.ping" -}}
exec:
  command: [haflux, ping, --url, {{ range .Values.ports }}{{ if eq .name "status" }}{{ printf "http://127.0.0.1:%v%s" .port $.Values.statusPath | quote }}{{ end }}{{ end }}]
timeoutSeconds: 3
{{- end }}
