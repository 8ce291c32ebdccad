foreach(name kernel_choices loader_checks summary)
  duan_test(inspect/${name}_test.cpp DEPENDS duan::inspect)
endforeach()
