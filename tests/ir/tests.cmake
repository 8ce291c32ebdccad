foreach(name builder graph infer verify)
  duan_test(ir/${name}_test.cpp DEPENDS duan::ir)
endforeach()
duan_test(ir/print_test.cpp DEPENDS duan::models)
