#!/usr/bin/env bash
# Checks what the tree promises about itself (docs/architecture.md): which folder includes which, how long files are,
# how big the graph and an architecture may get. Reports sources without a mirrored test. Exits 1 if a rule is broken.
# usage: tools/check_includes.sh [-v]      -v lists the sources without a mirrored test
set -euo pipefail
cd "$(dirname "$0")/.."
verbose=${1:-}

# folder: the folders of src/ it may include, besides itself
declare -A allowed=(
  [base]=""
  [tensor]="base"
  [text]="base"
  [vision]="base"
  [ir]="base tensor"
  [checkpoint]="base tensor"
  [kernels]="base tensor"
  [models]="base tensor ir checkpoint"
  [engine]="base tensor ir checkpoint kernels"
  [onnx]="base tensor ir checkpoint kernels models"
  [ort]="base tensor ir checkpoint kernels models engine onnx"
  [quant]="base tensor text ir checkpoint kernels models engine"
  [eval]="base tensor text ir checkpoint kernels models engine"
  [bench]="base tensor text ir checkpoint kernels models engine"
  [inspect]="base tensor text vision ir checkpoint kernels models engine"
  [cli]="base tensor text vision ir checkpoint kernels models engine quant eval bench inspect onnx ort"
)
max_lines=600 max_ir_lines=1200 max_architecture_lines=60
generated=(src/text/unicode_tables.cpp)  # by tools/make_unicode_tables.py

failed=0
fail() { echo "$*"; failed=1; }

for folder in src/*/; do
  folder=$(basename "$folder")
  [[ -v allowed[$folder] ]] || fail "src/$folder: not in the table of tools/check_includes.sh"
done

while IFS=: read -r file line included; do
  folder=$(cut -d/ -f2 <<<"$file")
  target=${included%%/*}
  [[ -e src/$included || -e src/${included%.pb.h}.proto ]] || fail "$file:$line: \"$included\" is not below src/"
  [[ $target == "$folder" || " ${allowed[$folder]-} " == *" $target "* ]] ||
    fail "$file:$line: $folder may not include $target (\"$included\")"
done <<<"$(grep -rnE --include='*.h' --include='*.cpp' --include='*.inc' '^#include "' src |
         sed -E 's/^([^:]+:[0-9]+):#include "([^"]+)".*/\1:\2/')"

while read -r lines file; do
  [[ $file == total || " ${generated[*]} " == *" $file "* ]] && continue
  ((lines <= max_lines)) || fail "$file: $lines lines, at most $max_lines"
done <<<"$(find src tests benchmarks fuzz tools -name '*.h' -o -name '*.cpp' -o -name '*.inc' | xargs wc -l)"

ir_lines=$(cat src/ir/*.h src/ir/*.cpp | wc -l)
((ir_lines <= max_ir_lines)) || fail "src/ir: $ir_lines lines, at most $max_ir_lines"

# An architecture is a file of models/ that the registry's table names.
for file in src/models/*.cpp; do
  name=$(basename "$file" .cpp)
  grep -q "Architecture{\"[a-z0-9_]*\", $name}" src/models/registry.cpp || continue
  lines=$(wc -l <"$file")
  ((lines <= max_architecture_lines)) || fail "$file: $lines lines, an architecture has at most $max_architecture_lines"
done

unmirrored=()
while read -r file; do
  [[ -e tests/${file#src/} || -e tests/$(sed -E 's/^src\/(.*)\.cpp$/\1_test.cpp/' <<<"$file") ]] || unmirrored+=("$file")
done <<<"$(find src -name '*.cpp' | sort)"
echo "${#unmirrored[@]} of $(find src -name '*.cpp' | wc -l) sources have no test of their own name"
[[ $verbose == -v ]] && printf '  %s\n' "${unmirrored[@]}"

((failed == 0)) && echo "layers and sizes: ok (src/ir $ir_lines of $max_ir_lines lines)"
exit $failed
