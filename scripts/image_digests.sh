#!/usr/bin/env bash
# Write the settings that pin each outside image to its digest, as the registry has it now:
#
#     scripts/image_digests.sh >> .env
#
# A tag may be moved to other bytes; a digest cannot. Run it again to take updates.
set -euo pipefail
cd "$(dirname "$0")/.."

pin() { # pin SETTING IMAGE
  local digest
  digest=$(docker buildx imagetools inspect "$2" --format '{{.Manifest.Digest}}') || {
    echo "error: no registry gave the digest of $2: see the message above" >&2
    exit 1
  }
  echo "$1=$2@$digest"
}

pin PYTHON_IMAGE "$(sed -n 's/^ARG PYTHON_IMAGE=//p' Dockerfile)"
sed -n 's/.*image: ${\([A-Z]*_IMAGE\):-\(.*\)}$/\1 \2/p' docker-compose.yml |
  while read -r setting image; do pin "$setting" "$image"; done
