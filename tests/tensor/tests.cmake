foreach(name angles dtype shape weight)
  duan_test(tensor/${name}_test.cpp DEPENDS duan::tensor)
endforeach()
