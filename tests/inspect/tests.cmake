foreach(name kernel_choices summary)
  duan_test(inspect/${name}_test.cpp DEPENDS duan::inspect)
endforeach()
