# Flags every target of ours is built with; interface target duan::flags.
add_library(duan_flags INTERFACE)
add_library(duan::flags ALIAS duan_flags)

target_include_directories(duan_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
# Contraction is off so that a*b+c means the same sum in every file; kernels ask for FMA by intrinsic.
target_compile_options(duan_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -ffp-contract=off
                       -fstack-protector-strong $<$<CONFIG:Release>:-D_GLIBCXX_ASSERTIONS>)
# GCC 12 sees overlaps in "text" + std::string at -O3 that are not there (its bug 105651).
target_compile_options(duan_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(DUAN_WERROR)
  target_compile_options(duan_flags INTERFACE -Werror)
endif()
if(DUAN_SANITIZE)
  target_compile_options(duan_flags INTERFACE -fsanitize=${DUAN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(duan_flags INTERFACE -fsanitize=${DUAN_SANITIZE})
  # 150 programs with debug information: GNU ld takes ten times as long for each.
  find_program(DUAN_LINKER NAMES ld.lld ld.gold)
  if(DUAN_LINKER MATCHES "ld\\.(lld|gold)$")
    target_link_options(duan_flags INTERFACE -fuse-ld=${CMAKE_MATCH_1})
  endif()
  if(DUAN_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # The instrumentation hides from GCC that an empty std::optional is not read.
    target_compile_options(duan_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(DUAN_FUZZ)
  # Instruments all of duan; fuzz/ adds the driver.
  target_compile_options(duan_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
