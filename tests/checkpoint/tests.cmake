duan_test(base/atomic_file_test.cpp DEPENDS duan::base)
foreach(name checkpoint config config_malformed reference safetensors safetensors_malformed writer)
  duan_test(checkpoint/${name}_test.cpp DEPENDS duan::checkpoint)
endforeach()
