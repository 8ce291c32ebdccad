#!/usr/bin/env bash
# Disassembles duan's libraries: instructions beyond the baseline (anything VEX or EVEX encoded) may only stand in
# functions of the namespaces of instruction sets (src/base/target.h). Elsewhere they would end the program on older processors,
# and an inline function that leaked out of a target region shows here by its name.
# usage: tools/check_isa.sh BUILD_FOLDER      exits 77 (skipped) where there is no objdump or no x86-64
set -euo pipefail
build=$1

[[ $(uname -m) == x86_64 ]] || { echo "skipped: not an x86-64 machine"; exit 77; }
command -v objdump >/dev/null || { echo "skipped: no objdump (package binutils)"; exit 77; }
read -ra libraries <<<"$(find "$build/src" -name 'libduan_*.a' | tr '\n' ' ')"
[[ ${#libraries[@]} -gt 0 ]] || { echo "no libraries below $build/src"; exit 1; }

objdump --disassemble --demangle --no-show-raw-insn "${libraries[@]}" | awk '
  /^[0-9a-f]+ <.*>:$/ {
    symbol = substr($0, index($0, "<") + 1)
    level = 0
    extra = "none"
    if (symbol ~ /(^|::)(avx2|avx_vnni)::/) level = 1
    if (symbol ~ /(^|::)avx512(_vnni|_bf16)?::/) level = 2
    if (symbol ~ /(^|::)avx(512)?_vnni::/) extra = "vnni"
    if (symbol ~ /(^|::)avx512_bf16::/) extra = "bf16"
    functions++
    next
  }
  $1 ~ /:$/ && ($2 ~ /^v/ || $2 == "{vex}") && $2 !~ /^ver[rw]$/ {
    needs = 1
    beyond = $0 ~ /vpdp(bu|ws)/ ? "vnni" : $2 ~ /^v(dpbf16|cvtne)/ ? "bf16" : extra
    if ($0 ~ /%zmm|%k[0-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])/) needs = 2
    wide[level]++
    if ((needs > level || beyond != extra) && symbol != last) {
      last = symbol
      printf "%s\n    %s\n", symbol, $0
      leaks++
    }
  }
  END {
    printf "%d functions; vector instructions: baseline %d, avx2 %d, avx512 %d\n",
           functions, wide[0], wide[1], wide[2]
    if (functions == 0) exit 1
    if (leaks > 0) { printf "%d functions use instructions their namespace does not promise\n", leaks; exit 1 }
  }'
