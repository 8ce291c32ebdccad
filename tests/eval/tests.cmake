foreach(name compare kl perplexity statistics)
  duan_test(eval/${name}_test.cpp DEPENDS duan::eval)
endforeach()
