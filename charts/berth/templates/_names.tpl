{{- define "berth.fullname" -}}
{{- if contains "berth" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- else -}}{{ printf "%s-berth" .Release.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "berth.host" -}}
{{- required "host is required: the host name that clients type, for example --set host=registry.example.org" .Values.host -}}
{{- end -}}

{{/* Labels of one component: dict "root" $ "component" "access" */}}
{{- define "berth.selector" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "berth.labels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/part-of: berth
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* repository[:tag][@digest]: dict "image" .Values.image "default" .Chart.AppVersion */}}
{{- define "berth.image" -}}
{{- if .image.digest -}}{{ printf "%s@%s" .image.repository .image.digest }}{{- else -}}{{ printf "%s:%s" .image.repository (.image.tag | default .default) }}{{- end -}}
{{- end -}}

{{- define "berth.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "berth.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "berth.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Over which nodes the replicas of one component are spread; those of an older version do not count: dict "root" $ "component" "access" */}}
{{- define "berth.spread" -}}
{{- $self := . -}}
{{- with .root.Values.spreadOver }}
topologySpreadConstraints:
{{- range . }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "berth.selector" $self | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- end -}}

{{/* Settings that every process reads. */}}
{{- define "berth.env" -}}
- {name: BERTH_HOST, value: {{ include "berth.host" . | quote }}}
- {name: BERTH_NAMESPACE, value: {{ .Release.Namespace | quote }}}
- {name: BERTH_INSTANCE, value: {{ .Release.Name | quote }}}
- {name: BERTH_CLUSTER_DOMAIN, value: {{ .Values.clusterDomain | quote }}}
- {name: BERTH_LOG_LEVEL, value: {{ .Values.logLevel | quote }}}
{{- end -}}

{{- define "berth.accessURL" -}}
http://{{ include "berth.fullname" . }}-access.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}

{{/* The projected ServiceAccount token with which a process proves itself: dict "audience" "access" */}}
{{- define "berth.tokenVolume" -}}
- name: {{ .audience }}-token
  projected:
    defaultMode: 0440
    sources:
    - serviceAccountToken: {audience: berth-{{ .audience }}, expirationSeconds: 3600, path: token}
{{- end -}}

{{- define "berth.tokenMount" -}}
- {name: {{ .audience }}-token, mountPath: /var/run/secrets/berth/{{ .audience }}, readOnly: true}
{{- end -}}
