# duan_library(base SOURCES a.cpp … DEPENDS duan::x …) makes the static library duan_base, alias duan::base.
function(duan_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(duan_${name} STATIC ${ARG_SOURCES})
  add_library(duan::${name} ALIAS duan_${name})
  target_link_libraries(duan_${name} PUBLIC duan::flags ${ARG_DEPENDS})
endfunction()

# Code that is compiled more often than it runs for long, commands and tests: what its files all include is read once
# (HEADERS, or those of the target REUSE), and nothing is unrolled.
function(duan_quick_to_build target)
  cmake_parse_arguments(ARG "" "REUSE" "HEADERS" ${ARGN})
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  if(ARG_REUSE)
    target_precompile_headers(${target} REUSE_FROM ${ARG_REUSE})
  else()
    target_precompile_headers(${target} PRIVATE ${ARG_HEADERS})
  endif()
endfunction()

# duan_test(text/tokenizer_test.cpp DEPENDS duan::text) makes the test program text_tokenizer_test, or NAME.
# A test program runs once per ctest entry: gtest starts cost more than most of our cases.
function(duan_test source)
  cmake_parse_arguments(ARG "SLOW" "NAME" "DEPENDS" ${ARGN})
  string(REGEX REPLACE "\\.cpp$" "" name ${source})
  string(REPLACE "/" "_" name ${name})
  if(ARG_NAME)
    set(name ${ARG_NAME})
  endif()
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE duan_test_support ${ARG_DEPENDS} GTest::gtest GTest::gtest_main)
  duan_quick_to_build(${name} REUSE duan_test_headers)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "DUAN_SOURCE_DIR=${PROJECT_SOURCE_DIR};DUAN_BIN=${CMAKE_BINARY_DIR}/bin/duan")
  if(ARG_SLOW)
    set_tests_properties(${name} PROPERTIES LABELS slow)
  endif()
endfunction()
