foreach(name cpu error free_memory json log mapped_file regex svg thread_pool utf8)
  duan_test(base/${name}_test.cpp DEPENDS duan::base)
endforeach()
