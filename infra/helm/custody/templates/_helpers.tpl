{{- define "custody.name" -}}
{{- if contains "custody" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-custody" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "custody.selector" -}}
app.kubernetes.io/name: custody
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .service }}
{{- end }}

{{- define "custody.labels" -}}
{{ include "custody.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "custody.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "custody.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "custody.image" -}}
{{- $image := mergeOverwrite (deepCopy .root.Values.image) (index .root.Values .service "image" | default dict) -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* What the chart knows better than whoever writes the configuration. */}}
{{- define "custody.configuration" -}}
{{- $listen := mergeOverwrite (deepCopy (dig "listen" dict .Values.configuration)) (dict "host" "0.0.0.0" "postgres" 15432 "console" 15480) -}}
{{- $limits := mergeOverwrite (dict "drainMsMax" 20000) (dig "limits" dict .Values.configuration) -}}
{{- mergeOverwrite (deepCopy .Values.configuration) (dict "listen" $listen "limits" $limits) | toYaml }}
{{- end }}

{{/* Four fifths of a service's volume, in bytes: what the log may take of it, whatever the configuration permits. */}}
{{- define "custody.logBytesMax" -}}
{{- $size := (index .root.Values .service).storage.size -}}
{{- $unit := get (dict "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776) (regexFind "[A-Z]i$" $size) -}}
{{- div (mul (regexFind "^[0-9]+" $size | int64) $unit 4) 5 -}}
{{- end }}

{{- define "custody.podSpec" -}}
{{- $values := index .root.Values .service -}}
serviceAccountName: {{ include "custody.serviceAccount" .root }}
automountServiceAccountToken: {{ .root.Values.serviceAccount.automountToken }}
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "custody.selector" . | nindent 8 }}
{{- with $values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "custody.container" -}}
{{- $values := index .root.Values .service -}}
{{- $health := ternary "console" "health" (eq .service "query") -}}
name: {{ .service }}
image: {{ include "custody.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [node, services/{{ .service }}/dist/main.js]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
env:
  # Recorders are named after it: no two processes may share a name.
  - name: CUSTODY_GATEWAY
    valueFrom: { fieldRef: { fieldPath: metadata.name } }
  {{- if ne .service "query" }}
  - { name: CUSTODY_PORT_HEALTH, value: "15490" }
  {{- end }}
  {{- if ne .service "ingest" }}
  # Below its own volume: the configuration is for all services.
  - { name: CUSTODY_LOG_BYTES_MAX, value: {{ include "custody.logBytesMax" . | quote }} }
  {{- end }}
  {{- if .root.Values.authority.configMap }}
  - { name: NODE_EXTRA_CA_CERTS, value: /etc/custody-authority/ca.crt }
  {{- end }}
  {{- with $values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  {{- if eq .service "proxy" }}
  - { name: postgres, containerPort: 15432 }
  {{- end }}
  {{- if eq .service "query" }}
  - { name: console, containerPort: 15480 }
  {{- else }}
  - { name: health, containerPort: 15490 }
  {{- end }}
startupProbe:
  httpGet: { path: /readyz, port: {{ $health }} }
  periodSeconds: 5
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /readyz, port: {{ $health }} }
  periodSeconds: 5
  timeoutSeconds: 4
livenessProbe:
  httpGet: { path: /healthz, port: {{ $health }} }
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 4
resources: {{ toYaml $values.resources | nindent 2 }}
volumeMounts:
  - { name: configuration, mountPath: /etc/custody, readOnly: true }
  - { name: home, mountPath: /var/lib/custody }
  - { name: tmp, mountPath: /tmp }
  {{- if .root.Values.authority.configMap }}
  - { name: authority, mountPath: /etc/custody-authority, readOnly: true }
  {{- end }}
  {{- range $values.secrets }}
  - { name: secret-{{ .directory }}, mountPath: /run/secrets/custody/{{ .directory }}, readOnly: true }
  {{- end }}
{{- end }}

{{- define "custody.volumes" -}}
{{- $values := index .root.Values .service -}}
- name: configuration
  configMap: { name: {{ include "custody.name" .root }} }
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- if .root.Values.authority.configMap }}
- name: authority
  configMap:
    name: {{ .root.Values.authority.configMap }}
    items: [{ key: {{ .root.Values.authority.key }}, path: ca.crt }]
{{- end }}
{{- range $values.secrets }}
- name: secret-{{ .directory }}
  secret:
    secretName: {{ .secret }}
    # 0440, which not every reader of YAML takes for octal.
    defaultMode: 288
    {{- with .items }}
    items: {{ toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- end }}

{{/* A peer list as NetworkPolicy has it: empty means anybody, so the field is left out. */}}
{{- define "custody.egress" -}}
- {{ with .to }}to: {{ toYaml . | nindent 6 }}
  {{ end }}ports:
    {{- range .ports }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
{{- end }}
