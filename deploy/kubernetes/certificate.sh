#!/bin/sh
# Makes the injector's certificate and prints what carries it: a Secret, and webhook.yaml with the authority filled in.
#
#   deploy/kubernetes/certificate.sh | kubectl apply -f -
#
# The authority's key is thrown away with the folder that it is made in: to renew, run this again. The injector reads
# the new certificate by itself. Needs openssl. Where cert-manager is installed, take cert-manager.yaml instead.
set -eu

DAYS=${DAYS:-365}
NAME=pillion-injector.pillion.svc

here=$(dirname -- "$(readlink -f -- "$0")")
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
cd -- "$folder"

new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086 # a list of words
openssl req -x509 $new -keyout ca.key -out ca.crt -days "$DAYS" -subj "/CN=pillion injector authority" 2>/dev/null
# shellcheck disable=SC2086
openssl req -new $new -keyout tls.key -out tls.csr -subj "/CN=$NAME" 2>/dev/null
printf 'subjectAltName=DNS:%s,DNS:%s.cluster.local\nextendedKeyUsage=serverAuth\n' "$NAME" "$NAME" > tls.ext
openssl x509 -req -in tls.csr -out tls.crt -CA ca.crt -CAkey ca.key -CAcreateserial -days "$DAYS" -extfile tls.ext \
  2>/dev/null

encode() { openssl base64 -A -in "$1"; }

cat <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: pillion-injector-tls
  namespace: pillion
type: kubernetes.io/tls
data:
  ca.crt: $(encode ca.crt)
  tls.crt: $(encode tls.crt)
  tls.key: $(encode tls.key)
---
YAML
sed "s|caBundle: \"\"|caBundle: $(encode ca.crt)|" "$here/webhook.yaml"
