foreach(name model registry)
  duan_test(models/${name}_test.cpp DEPENDS duan::models)
endforeach()
