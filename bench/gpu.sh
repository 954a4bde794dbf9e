#!/usr/bin/env bash
# What a GPU does with our kernels, on a machine that has the card's driver and nothing else of ours: no .NET, no network.
#   bench/gpu.sh publish [FOLDER]   on a machine with the SDK: makes FOLDER (publish/gpu), to be carried there
#   FOLDER/gpu.sh                   there: checks every kernel, measures, prints one table
# Peers are measured beside it where Python has them (torch, transformers, sentence-transformers), and compute-sanitizer's racecheck is run where
# it is. Without a card it runs on an OpenCL device (PoCL), to show that it runs: those figures say nothing about a card.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ "${1:-}" = publish ]; then
  cd "$here/.." || exit 1
  to=${2:-publish/gpu}
  rm -rf "$to"
  dotnet publish bench/Kernels -c Release -r linux-x64 --self-contained -p:PublishSingleFile=true -p:PublishReadyToRun=true \
    -p:EnableCompressionInSingleFile=true -p:DebugType=none -p:PublishDocumentationFiles=false -o "$to" -v q -nologo || exit 1
  cp bench/gpu.sh bench/gpu_peers.py "$to/"
  size=$(du -sm "$to" | cut -f1)
  echo "$to: $size MB"
  [ "$size" -lt 60 ] || { echo "more than 60 MB"; exit 1; }
  exit 0
fi

kernels=$here/Platform.Kernels
[ -x "$kernels" ] || { echo "There is no $kernels: run 'bench/gpu.sh publish' first, then the gpu.sh in its folder."; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PLATFORM_KERNEL_CACHE=$work/cache DOTNET_BUNDLE_EXTRACT_BASE_DIR=$work/bundle
code=0

echo "== every kernel against its reference"
"$kernels" devices check || code=1

if command -v compute-sanitizer >/dev/null; then
  for tool in racecheck memcheck; do
    echo "== compute-sanitizer, $tool"
    compute-sanitizer --tool "$tool" --error-exitcode 1 --print-limit 20 "$kernels" devices check | tail -15 || code=1
  done
else
  echo "== compute-sanitizer is not here: races between a group's work items were not looked for"
fi

echo "== measuring"
"$kernels" devices model "$work/model" || exit 1
rm -rf "$work/cache"
"$kernels" devices start "$work/model" "$work/ours" || code=1
"$kernels" devices start "$work/model" "$work/ours" || code=1
"$kernels" devices measure "$work/model" "$work/ours" || code=1

: >"$work/peers"
if command -v python3 >/dev/null; then python3 "$here/gpu_peers.py" "$work/model" "$work/peers" || true
else echo "== python3 is not here: no peers"; fi

echo "== the table (part: of the limit measured in this run; ratio: ours to the peer)"
awk -F'\t' '
  FILENAME == ARGV[1] { if ($1 != "") { name[$1, ++count[$1]] = $2; value[$1, count[$1]] = $3 } next }
  { line = sprintf("%-92s %12s %-16s %6s", $2, $3, $4, $5)
    for (i = 1; i <= count[$1]; i++) line = line sprintf("   %s %s, ratio %.2f", name[$1, i], value[$1, i], $3 / value[$1, i])
    print line }' "$work/peers" "$work/ours"
exit $code
