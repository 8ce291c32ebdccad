foreach(name bench generation plot)
  duan_test(bench/${name}_test.cpp DEPENDS duan::bench)
endforeach()
