# duan_library(base SOURCES a.cpp … DEPENDS duan::x …) makes the static library duan_base, alias duan::base.
# HOT: its loops are what tests wait for. With sanitizers only such a library is optimised, and what most files include
# is read once for all libraries (duan_base's for the others, duan_tensor's for hot ones); a plain build reads every file
# by itself, so that none lacks an #include.
function(duan_library name)
  cmake_parse_arguments(ARG "HOT" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(duan_${name} STATIC ${ARG_SOURCES})
  add_library(duan::${name} ALIAS duan_${name})
  target_link_libraries(duan_${name} PUBLIC duan::flags ${ARG_DEPENDS})
  if(DUAN_SANITIZE)
    set(first duan_base)
    if(ARG_HOT)
      set(first duan_tensor)
    else()
      target_compile_options(duan_${name} PRIVATE -O0)
    endif()
    if("duan_${name}" STREQUAL first)
      target_precompile_headers(duan_${name} PRIVATE <algorithm> <filesystem> <functional> <map> <memory> <optional>
                                <span> <string> <vector> <fmt/format.h> <nlohmann/json.hpp>)
    else()
      target_precompile_headers(duan_${name} REUSE_FROM ${first})
    endif()
  endif()
endfunction()

# Code that is compiled more often than it runs for long, commands and tests: what its files all include is read once
# (HEADERS, or those of the target REUSE), and it is optimised little (OPTIMISE, in a plain build) or not at all.
function(duan_quick_to_build target)
  cmake_parse_arguments(ARG "OPTIMISE" "REUSE" "HEADERS" ${ARGN})
  if(ARG_OPTIMISE AND NOT DUAN_SANITIZE)
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  else()
    target_compile_options(${target} PRIVATE -O0)
  endif()
  if(ARG_REUSE)
    target_precompile_headers(${target} REUSE_FROM ${ARG_REUSE})
  elseif(ARG_HEADERS)
    target_precompile_headers(${target} PRIVATE ${ARG_HEADERS})
  endif()
endfunction()

# duan_test(text/tokenizer_test.cpp DEPENDS duan::text) makes the test program text_tokenizer_test, or NAME.
# OPTIMISE: it computes much itself, such as references in double.
# A test program runs once per ctest entry: gtest starts cost more than most of our cases.
function(duan_test source)
  cmake_parse_arguments(ARG "OPTIMISE;SLOW" "NAME" "DEPENDS" ${ARGN})
  string(REGEX REPLACE "\\.cpp$" "" name ${source})
  string(REPLACE "/" "_" name ${name})
  if(ARG_NAME)
    set(name ${ARG_NAME})
  endif()
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE duan_test_support ${ARG_DEPENDS} GTest::gtest GTest::gtest_main)
  if(ARG_OPTIMISE AND NOT DUAN_SANITIZE)
    duan_quick_to_build(${name} OPTIMISE)  # with other flags than the headers that were read once
  else()
    duan_quick_to_build(${name} REUSE duan_test_headers)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "DUAN_SOURCE_DIR=${PROJECT_SOURCE_DIR};DUAN_BIN=${CMAKE_BINARY_DIR}/bin/duan")
  if(ARG_SLOW)
    set_tests_properties(${name} PROPERTIES LABELS slow)
  endif()
endfunction()
