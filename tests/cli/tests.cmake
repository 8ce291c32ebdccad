foreach(name answer_printer edit_buffer history lines prompt_encoder stop_strings suggest)
  duan_test(cli/${name}_test.cpp DEPENDS duan::console)
endforeach()

# These run the built program.
add_library(duan_test_cli STATIC cli/chain_model.cpp support/program.cpp)
target_link_libraries(duan_test_cli PUBLIC duan_test_support duan::checkpoint duan::text)
foreach(name bench chat compare eval export main quantize run template tokenize)
  duan_test(cli/${name}_test.cpp DEPENDS duan_test_cli)
  add_dependencies(cli_${name}_test duan)
endforeach()
